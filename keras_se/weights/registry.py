"""Every public checkpoint of these networks and of their plain twins, a line of checkpoints.csv each.

The first line of a network is its "imagenet", unless its license forbids commercial use: a head of
ImageNet-1k, timm's if there is one, a license for any use if there is one, and then the best top-1.
An empty field means that there is no such thing or that nobody
knows; `normalization` is a name of `keras_se.preprocessing.NORMALIZATIONS`.

Sources: tags, sizes, crops, statistics and licenses from the pretrained configurations of timm
1.0.31; top-1 and top-5 from timm's results-imagenet.csv, commit aa4b585 for the ResNets and
ResNeXts with SE, commit 7479d45 for the plain ones, and commit 0173a13 for the other families. A
legacy checkpoint exists only as a release file of 2018, whose name ends in the first digits of its
sha256.

The `cifar10` checkpoints were trained with the recipe cifar10-fast (applications/README.md), ready on
2026-11-26: SE-ResNet-20 with 120 epochs, of which 95 on a GPU, then 10 down to a rate of zero on a
CPU; SE-ResNet-56 with 62 epochs, of which about 42 on a GPU, then one and five down to a rate of zero
on a CPU.
"""

import csv
import difflib
import importlib.resources
import io
import re
from dataclasses import dataclass

from keras_se.class_names import IMAGENET_CLASSES, imagenet_class_names
from keras_se.preprocessing import NORMALIZATIONS, Preprocessing

TABLE, PROOFS = "checkpoints.csv", "proofs.csv"
# Licenses for research only: "imagenet" stands for none of these.
NON_COMMERCIAL = ("cc-by-nc-4.0", "seer-license")
# fmt: off
# The names of the classes of other datasets than ImageNet.
CLASS_NAMES = {
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    "cifar100": (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
        "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
        "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
        "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
        "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
        "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
        "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
        "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
        "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
        "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
        "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ),
    "svhn": tuple("0123456789"),
}
# fmt: on


@dataclass(frozen=True)
class Weights:
    """A published checkpoint, and what an image must look like for it.

    Attributes:
        tag: timm's tag: who trained it, how, and on what.
        source: Repository on the Hugging Face hub, `"timm/<network>.<tag>"`, a URL, or
            `"package:FILE"` for a file that comes with keras_se.
        preprocessing: How an image becomes the input that `top1` and `top5` were measured with.
        top1: Accuracy on the ImageNet-1k validation set, in percent, if known.
        top5: The same for the five likeliest classes.
        classes: Number of classes of the head; 0 for a checkpoint without a head.
        license: SPDX identifier, or `None` where the authors name none.
        origin: Whose code and names the file is of: `"timm"`, `"keras_se"`, or the `name` of an
            `Origin` of `keras_se.weights.origins`.
        unused: What the names of tensors begin with that only training needs, and that are left out.
        sha256: Hexadecimal sha256 of the file, or of the one file in a `.zip`, or its first digits,
            if known and not part of its name.
        class_names: The names of the classes, if they are not those of ImageNet; the accuracies
            are then those on that dataset's held-out images.
        checksum: The same where the publisher gives another hash, `"md5:..."` or `"sha1:..."`.
    """

    tag: str
    source: str
    preprocessing: Preprocessing
    top1: float | None = None
    top5: float | None = None
    classes: int = IMAGENET_CLASSES
    license: str | None = "apache-2.0"
    origin: str = "timm"
    unused: str | None = None
    sha256: str | None = None
    class_names: tuple | None = None
    checksum: str | None = None

    @property
    def labels(self) -> tuple | None:
        """The names of the classes in the order of the scores, or `None` if they are unknown."""
        if self.class_names is not None:
            return self.class_names
        return imagenet_class_names() if self.classes == IMAGENET_CLASSES else None

    @property
    def is_commercial(self) -> bool:
        """Whether the license does not forbid commercial use."""
        return self.license not in NON_COMMERCIAL


def find_weights(weights: str, rows: tuple, *, network: str) -> Weights:
    """Returns the checkpoint of a tag.

    Args:
        weights: `"imagenet"`, which is the first of `rows` that was trained on it and has a license
            for any use, or a tag.
        rows: The published `Weights` of the network.
        network: The network's name, for the message.

    Returns:
        One of `rows`.

    Raises:
        ValueError: If none has this tag, or "imagenet" stands for none; the message lists those
            there are, the nearest first.
    """
    tags = {checkpoint.tag: checkpoint for checkpoint in rows}
    on_imagenet = [checkpoint for checkpoint in rows if checkpoint.class_names is None]
    if weights == "imagenet" and on_imagenet:
        free = [checkpoint for checkpoint in on_imagenet if checkpoint.is_commercial]
        if not free:
            choices = ", ".join(f"{one.tag!r} ({one.license})" for one in on_imagenet)
            raise ValueError(
                f"`weights` of {network} must be chosen by tag, since no license of them allows "
                f"commercial use: {choices}. Received: weights='imagenet'"
            )
        return free[0]
    if weights in tags:
        return tags[weights]
    near = difflib.get_close_matches(str(weights), tags, len(tags) or 1, 0.0)
    legal = (
        f"one of {', '.join(map(repr, near))}" if near else "a file: it has no published weights"
    )
    raise ValueError(f"`weights` of {network} must be {legal}. Received: weights={weights!r}")


def find_published(name: str) -> dict[str, Weights]:
    """Finds what a checkpoint is by its repository on the hub, its address or its file's name.

    Args:
        name: The repository, the address or the name of a file, in any case; what `.zip` it came
            in may be left out.

    Returns:
        Its `Weights` by the network's name; empty if it is not published.
    """
    return {
        network: row
        for network, rows in WEIGHTS.items()
        for row in rows
        if name.lower() in _names_of(row.source.lower())
    }


def find_networks(text: str) -> list[str]:
    """Finds the networks with published checkpoints that a text names.

    Args:
        text: Words, of which some may be names of keras_se or of timm, in any case.

    Returns:
        The names of the networks in the order of the words.

    Example:
    >>> find_networks("trained from mobilenetv3_small_100")
    ['MobileNetV3Small']
    """
    names = {}
    for network, rows in WEIGHTS.items():
        sources = [row.source for row in rows if row.origin == "timm" and ":" not in row.source]
        of_timm = [source.partition("/")[2].partition(".")[0] for source in sources]
        names |= {_plain(name): network for name in (network, *of_timm)}
    words = map(_plain, re.findall(r"[\w-]+", text))
    return [names[word] for word in words if word in names]


def _plain(name):
    """A name without what is written in more than one way."""
    return re.sub("[_-]", "", name).lower()


def _names_of(source):
    """The names by which a published source may be called."""
    names = {source} if ":" not in source else {source, source.rpartition("/")[2]}
    return names | {name.removesuffix(".zip") for name in names}


def read_table() -> dict[str, tuple[Weights, ...]]:
    """Reads the checkpoints from the package.

    Returns:
        The `Weights` of every network that has some, by the network's name, in the table's order.
    """
    table = {}
    for line in csv.DictReader(io.StringIO(_text(TABLE))):
        table.setdefault(line["network"], []).append(_weights(line))
    return {network: tuple(rows) for network, rows in table.items()}


def read_proofs() -> dict[tuple[str, str], str]:
    """Reads from the package what tests compare with the source of the checkpoints.

    tests/make_proofs.py writes it: `"logits"` where the tests have logits of the source's own code
    for this network, `"twin"` where they have those of its twin, `"names"` where names and shapes of
    the parameters were compared with the source's own code, and `"accuracy"` where it was trained and
    measured here.

    Returns:
        One of these by the network's name and the `origin` of its checkpoints, or nothing.
    """
    lines = csv.DictReader(io.StringIO(_text(PROOFS)))
    return {(line["network"], line["origin"]): line["proof"] for line in lines}


def _text(name):
    return importlib.resources.files("keras_se.weights").joinpath(name).read_text()


def _weights(line):
    """The checkpoint that a line describes."""
    mean, std = NORMALIZATIONS[line["normalization"]]
    preprocessing = Preprocessing(
        size=int(line["size"]),
        crop=float(line["crop"]),
        crop_mode=line["crop_mode"],
        interpolation=line["interpolation"],
        mean=mean,
        std=std,
    )
    return Weights(
        line["tag"],
        line["source"],
        preprocessing,
        top1=float(line["top1"]) if line["top1"] else None,
        top5=float(line["top5"]) if line["top5"] else None,
        classes=int(line["classes"]),
        license=line["license"] or None,
        origin=line["origin"],
        unused=line["unused"] or None,
        sha256=line["sha256"] or None,
        class_names=CLASS_NAMES[line["class_names"]] if line["class_names"] else None,
        # The last column: most lines end before it.
        checksum=line["checksum"] or None,
    )


WEIGHTS = read_table()
