"""Every public checkpoint of these networks and of their plain twins, one line each.

Sources: tags, sizes, crops, statistics and licenses from the pretrained configurations of timm
1.0.31; top-1 and top-5 from timm's results-imagenet.csv, commit aa4b585 for the ResNets and
ResNeXts with SE, commit 7479d45 for the plain ones, and commit 0173a13 for the other families. A
legacy checkpoint exists only as a release file of 2018, whose name ends in the first digits of its
sha256.
"""

import difflib
from dataclasses import dataclass
from typing import Any

from keras_se.preprocessing import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    HALF,
    IMAGENET_CLASSES,
    ONES,
    ZEROS,
    Preprocessing,
    imagenet_class_names,
)

# fmt: off
CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
# fmt: on
RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/"


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
        unused: What the names of tensors begin with that only training needs, and that are left out.
        sha256: Hexadecimal sha256 of the file, or its first digits, if known and not part of its
            name.
        class_names: The names of the classes, if they are not those of ImageNet; the accuracies
            are then those on that dataset's held-out images.
    """

    tag: str
    source: str
    preprocessing: Preprocessing
    top1: float | None = None
    top5: float | None = None
    classes: int = IMAGENET_CLASSES
    license: str | None = "apache-2.0"
    unused: str | None = None
    sha256: str | None = None
    class_names: tuple | None = None

    @property
    def labels(self) -> tuple | None:
        """The names of the classes in the order of the scores, or `None` if they are unknown."""
        if self.class_names is not None:
            return self.class_names
        return imagenet_class_names() if self.classes == IMAGENET_CLASSES else None


def row(
    tag: str,
    source: str,
    size: int,
    crop: float,
    top1: float | None,
    top5: float | None,
    **others: Any,
) -> Weights:
    """Returns the `Weights` that a line of the table describes.

    Args:
        tag: As for `Weights`.
        source: As for `Weights`.
        size: As for `Preprocessing`.
        crop: As for `Preprocessing`.
        top1: As for `Weights`.
        top5: As for `Weights`.
        **others: Other fields of `Preprocessing` and `Weights`.
    """
    names = ("crop_mode", "interpolation", "mean", "std")
    fields = {name: others.pop(name) for name in names if name in others}
    preprocessing = Preprocessing(size=size, crop=crop, **fields)
    return Weights(tag, source, preprocessing, top1, top5, **others)


def find_weights(weights: str, rows: tuple, *, network: str) -> Weights:
    """Returns the checkpoint of a tag.

    Args:
        weights: `"imagenet"`, which is the first of `rows` that was trained on it, or a tag.
        rows: The published `Weights` of the network.
        network: The network's name, for the message.

    Returns:
        One of `rows`.

    Raises:
        ValueError: If none has this tag; the message lists those there are, the nearest first.
    """
    tags = {checkpoint.tag: checkpoint for checkpoint in rows}
    on_imagenet = [checkpoint for checkpoint in rows if checkpoint.class_names is None]
    if weights == "imagenet" and on_imagenet:
        return on_imagenet[0]
    if weights in tags:
        return tags[weights]
    near = difflib.get_close_matches(str(weights), tags, len(tags) or 1, 0.0)
    legal = (
        f"one of {', '.join(map(repr, near))}" if near else "a file: it has no published weights"
    )
    raise ValueError(f"`weights` of {network} must be {legal}. Received: weights={weights!r}")


# The first of each is "imagenet": a head of ImageNet-1k, a license for any use if there is one, and
# then the best top-1.
# fmt: off
WEIGHTS = {
    "InceptionV3": (
        row("gluon_in1k", "timm/inception_v3.gluon_in1k", 299, 0.875, 78.806, 94.374),
        row("tf_in1k", "timm/inception_v3.tf_in1k", 299, 0.875, 77.862, 93.644, mean=HALF, std=HALF),
        row("tf_adv_in1k", "timm/inception_v3.tf_adv_in1k", 299, 0.875, 77.592, 93.73, mean=HALF, std=HALF),
        row("tv_in1k", "timm/inception_v3.tv_in1k", 299, 0.875, 77.434, 93.474, mean=HALF, std=HALF, unused="AuxLogits."),
    ),
    "InceptionResNetV2": (
        row("tf_in1k", "timm/inception_resnet_v2.tf_in1k", 299, 0.8975, 80.462, 95.308, mean=HALF, std=HALF),
        row("tf_ens_adv_in1k", "timm/inception_resnet_v2.tf_ens_adv_in1k", 299, 0.8975, 79.978, 94.946, mean=HALF, std=HALF),
    ),
    "MobileNet": (
        row("ra4_e3600_r224_in1k", "timm/mobilenetv1_100.ra4_e3600_r224_in1k", 224, 0.875, 75.388, None, mean=HALF, std=HALF),
    ),
    "MobileNetV2": (
        row("ra_in1k", "timm/mobilenetv2_100.ra_in1k", 224, 0.875, 72.976, 91.01),
    ),
    "MobileNetV3Large": (
        row("miil_in21k_ft_in1k", "timm/mobilenetv3_large_100.miil_in21k_ft_in1k", 224, 0.875, 77.918, 92.914, interpolation="bilinear", mean=ZEROS, std=ONES),
        row("ra4_e3600_r224_in1k", "timm/mobilenetv3_large_100.ra4_e3600_r224_in1k", 224, 0.95, 76.31, None, mean=HALF, std=HALF),
        row("ra_in1k", "timm/mobilenetv3_large_100.ra_in1k", 224, 0.875, 75.766, 92.538),
        row("miil_in21k", "timm/mobilenetv3_large_100.miil_in21k", 224, 0.875, None, None, interpolation="bilinear", mean=ZEROS, std=ONES, classes=11221),
    ),
    "MobileNetV3Small": (
        row("lamb_in1k", "timm/mobilenetv3_small_100.lamb_in1k", 224, 0.875, 67.656, 87.636),
    ),
    "MobileNetV3Small_075": (
        row("lamb_in1k", "timm/mobilenetv3_small_075.lamb_in1k", 224, 0.875, 65.234, 85.446),
    ),
    "MobileNetV3Small_050": (
        row("lamb_in1k", "timm/mobilenetv3_small_050.lamb_in1k", 224, 0.875, 57.91, 80.18),
    ),
    "VGG11": (
        row("tv_in1k", "timm/vgg11_bn.tv_in1k", 224, 0.875, 70.382, 89.808, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "VGG13": (
        row("tv_in1k", "timm/vgg13_bn.tv_in1k", 224, 0.875, 71.588, 90.378, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "VGG16": (
        row("tv_in1k", "timm/vgg16_bn.tv_in1k", 224, 0.875, 73.37, 91.514, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "VGG19": (
        row("tv_in1k", "timm/vgg19_bn.tv_in1k", 224, 0.875, 74.216, 91.844, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "DenseNet121": (
        row("ra_in1k", "timm/densenet121.ra_in1k", 288, 0.95, 76.5, 93.368),
        row("tv_in1k", "timm/densenet121.tv_in1k", 224, 0.875, 74.764, 92.154),
    ),
    "DenseNet169": (
        row("tv_in1k", "timm/densenet169.tv_in1k", 224, 0.875, 75.9, 93.028),
    ),
    "DenseNet201": (
        row("tv_in1k", "timm/densenet201.tv_in1k", 224, 0.875, 77.286, 93.48),
    ),
    "LegacySENet154": (
        row("in1k", RELEASES + "v0.1-weights/legacy_senet154-e9eb9fe6.pth", 224, 0.875, 81.32, 95.502, interpolation="bilinear"),
    ),
    "LegacySEResNet18": (
        row("in1k", RELEASES + "v0.1-weights/seresnet18-4bb0ce65.pth", 224, 0.875, 71.742, 90.34),
    ),
    "LegacySEResNet34": (
        row("in1k", RELEASES + "v0.1-weights/seresnet34-a4004e63.pth", 224, 0.875, 74.788, 92.134, interpolation="bilinear"),
    ),
    "LegacySEResNet50": (
        row("in1k", RELEASES + "v0.1-cadene/se_resnet50-ce0d4300.pth", 224, 0.875, 77.65, 93.732, interpolation="bilinear"),
    ),
    "LegacySEResNet101": (
        row("in1k", RELEASES + "v0.1-cadene/se_resnet101-7e38fcc6.pth", 224, 0.875, 78.37, 94.264, interpolation="bilinear"),
    ),
    "LegacySEResNet152": (
        row("in1k", RELEASES + "v0.1-cadene/se_resnet152-d17c99b7.pth", 224, 0.875, 78.662, 94.37, interpolation="bilinear"),
    ),
    "LegacySEResNeXt26_32x4d": (
        row("in1k", RELEASES + "v0.1-weights/seresnext26_32x4d-65ebdb501.pth", 224, 0.875, 77.1, 93.332),
    ),
    "LegacySEResNeXt50_32x4d": (
        row("in1k", RELEASES + "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad.pth", 224, 0.875, 79.08, 94.428, interpolation="bilinear"),
    ),
    "LegacySEResNeXt101_32x4d": (
        row("in1k", RELEASES + "v0.1-weights/legacy_se_resnext101_32x4d-37725eac.pth", 224, 0.875, 80.274, 95.032, interpolation="bilinear"),
    ),
    "ResNet18": (
        row("a1_in1k", "timm/resnet18.a1_in1k", 224, 0.95, 71.488, 90.076),
        row("gluon_in1k", "timm/resnet18.gluon_in1k", 224, 0.875, 70.844, 89.75),
        row("a2_in1k", "timm/resnet18.a2_in1k", 224, 0.95, 70.634, 89.486),
        row("tv_in1k", "timm/resnet18.tv_in1k", 224, 0.875, 69.752, 89.08, interpolation="bilinear", license="bsd-3-clause"),
        row("a3_in1k", "timm/resnet18.a3_in1k", 160, 0.95, 65.664, 86.278),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnet18.fb_swsl_ig1b_ft_in1k", 224, 0.875, 73.288, 91.754, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnet18.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 72.636, 91.416, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "ResNet34": (
        row("ra4_e3600_r224_in1k", "timm/resnet34.ra4_e3600_r224_in1k", 224, 0.9, 77.492, None, mean=HALF, std=HALF),
        row("a1_in1k", "timm/resnet34.a1_in1k", 224, 0.95, 76.414, 92.886),
        row("a2_in1k", "timm/resnet34.a2_in1k", 224, 0.95, 75.516, 92.456),
        row("bt_in1k", "timm/resnet34.bt_in1k", 224, 0.875, 75.162, 92.17),
        row("gluon_in1k", "timm/resnet34.gluon_in1k", 224, 0.875, 74.574, 91.988),
        row("tv_in1k", "timm/resnet34.tv_in1k", 224, 0.875, 73.298, 91.422, interpolation="bilinear", license="bsd-3-clause"),
        row("a3_in1k", "timm/resnet34.a3_in1k", 160, 0.95, 70.572, 89.522),
    ),
    "ResNet50": (
        row("a1_in1k", "timm/resnet50.a1_in1k", 224, 0.95, 80.382, 94.598),
        row("d_in1k", "timm/resnet50.d_in1k", 224, 0.95, 79.904, 94.666),
        row("c2_in1k", "timm/resnet50.c2_in1k", 224, 0.95, 79.868, 94.866),
        row("a2_in1k", "timm/resnet50.a2_in1k", 224, 0.95, 79.828, 94.56),
        row("c1_in1k", "timm/resnet50.c1_in1k", 224, 0.95, 79.766, 94.958),
        row("b1k_in1k", "timm/resnet50.b1k_in1k", 224, 0.95, 79.564, 94.622),
        row("tv2_in1k", "timm/resnet50.tv2_in1k", 176, 0.875, 79.432, 94.632, interpolation="bilinear", license="bsd-3-clause"),
        row("b2k_in1k", "timm/resnet50.b2k_in1k", 224, 0.95, 79.38, 94.576),
        row("a1h_in1k", "timm/resnet50.a1h_in1k", 176, 0.9, 79.26, 94.498),
        row("ram_in1k", "timm/resnet50.ram_in1k", 224, 0.875, 79.032, 94.386),
        row("am_in1k", "timm/resnet50.am_in1k", 224, 0.875, 79.004, 94.392),
        row("ra_in1k", "timm/resnet50.ra_in1k", 224, 0.875, 78.814, 94.32),
        row("bt_in1k", "timm/resnet50.bt_in1k", 224, 0.875, 78.432, 94.27),
        row("gluon_in1k", "timm/resnet50.gluon_in1k", 224, 0.875, 77.58, 93.726),
        row("tv_in1k", "timm/resnet50.tv_in1k", 224, 0.875, 76.156, 92.866, interpolation="bilinear", license="bsd-3-clause"),
        row("a3_in1k", "timm/resnet50.a3_in1k", 160, 0.95, 75.994, 92.494),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnet50.fb_swsl_ig1b_ft_in1k", 224, 0.875, 81.146, 95.98, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnet50.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 79.252, 94.826, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("bamboo", "timm/resnet50.bamboo", 224, 1.0, None, None, classes=0, license=None),
    ),
    "ResNet50D": (
        row("ra4_e3600_r224_in1k", "timm/resnet50d.ra4_e3600_r224_in1k", 224, 0.95, 80.956, 95.38, mean=HALF, std=HALF),
        row("a1_in1k", "timm/resnet50d.a1_in1k", 224, 0.95, 80.73, 94.678),
        row("ra2_in1k", "timm/resnet50d.ra2_in1k", 224, 0.875, 80.548, 95.158),
        row("a2_in1k", "timm/resnet50d.a2_in1k", 224, 0.95, 80.268, 94.642),
        row("gluon_in1k", "timm/resnet50d.gluon_in1k", 224, 0.875, 79.08, 94.458),
        row("a3_in1k", "timm/resnet50d.a3_in1k", 160, 0.95, 77.222, 93.256),
    ),
    "ResNet101": (
        row("a1h_in1k", "timm/resnet101.a1h_in1k", 224, 0.95, 81.95, 95.76),
        row("a1_in1k", "timm/resnet101.a1_in1k", 224, 0.95, 81.494, 95.164),
        row("a2_in1k", "timm/resnet101.a2_in1k", 224, 0.95, 81.344, 95.198),
        row("tv2_in1k", "timm/resnet101.tv2_in1k", 176, 0.875, 79.906, 94.604, interpolation="bilinear", license="bsd-3-clause"),
        row("gluon_in1k", "timm/resnet101.gluon_in1k", 224, 0.875, 79.306, 94.538),
        row("a3_in1k", "timm/resnet101.a3_in1k", 160, 0.95, 77.928, 93.686),
        row("tv_in1k", "timm/resnet101.tv_in1k", 224, 0.875, 77.404, 93.552, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "ResNet152": (
        row("a1h_in1k", "timm/resnet152.a1h_in1k", 224, 0.95, 82.818, 96.124),
        row("a1_in1k", "timm/resnet152.a1_in1k", 224, 0.95, 81.998, 95.294),
        row("a2_in1k", "timm/resnet152.a2_in1k", 224, 0.95, 81.764, 95.27),
        row("tv2_in1k", "timm/resnet152.tv2_in1k", 176, 0.875, 80.212, 94.654, interpolation="bilinear", license="bsd-3-clause"),
        row("gluon_in1k", "timm/resnet152.gluon_in1k", 224, 0.875, 79.712, 94.72),
        row("a3_in1k", "timm/resnet152.a3_in1k", 160, 0.95, 78.896, 94.124),
        row("tv_in1k", "timm/resnet152.tv_in1k", 224, 0.875, 78.33, 94.046, interpolation="bilinear", license="bsd-3-clause"),
    ),
    "ResNet152D": (
        row("ra2_in1k", "timm/resnet152d.ra2_in1k", 256, 0.95, 83.156, 96.382),
        row("gluon_in1k", "timm/resnet152d.gluon_in1k", 224, 0.875, 80.476, 95.196),
    ),
    "ResNeXt50_32x4d": (
        row("a1h_in1k", "timm/resnext50_32x4d.a1h_in1k", 224, 0.95, 81.14, 95.32),
        row("a1_in1k", "timm/resnext50_32x4d.a1_in1k", 224, 0.95, 80.526, 94.458),
        row("a2_in1k", "timm/resnext50_32x4d.a2_in1k", 224, 0.95, 80.444, 94.63),
        row("ra_in1k", "timm/resnext50_32x4d.ra_in1k", 224, 0.875, 79.8, 94.608),
        row("tv2_in1k", "timm/resnext50_32x4d.tv2_in1k", 176, 0.875, 79.374, 94.302, interpolation="bilinear", license="bsd-3-clause"),
        row("gluon_in1k", "timm/resnext50_32x4d.gluon_in1k", 224, 0.875, 79.354, 94.424),
        row("a3_in1k", "timm/resnext50_32x4d.a3_in1k", 160, 0.95, 77.734, 93.314),
        row("tv_in1k", "timm/resnext50_32x4d.tv_in1k", 224, 0.875, 77.632, 93.674, interpolation="bilinear", license="bsd-3-clause"),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnext50_32x4d.fb_swsl_ig1b_ft_in1k", 224, 0.875, 82.162, 96.224, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnext50_32x4d.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 80.316, 95.386, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "ResNeXt101_32x4d": (
        row("gluon_in1k", "timm/resnext101_32x4d.gluon_in1k", 224, 0.875, 80.336, 94.908),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnext101_32x4d.fb_swsl_ig1b_ft_in1k", 224, 0.875, 83.268, 96.76, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnext101_32x4d.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 80.936, 95.732, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "ResNeXt101_32x8d": (
        row("tv2_in1k", "timm/resnext101_32x8d.tv2_in1k", 176, 0.875, 81.99, 95.716, interpolation="bilinear", license="bsd-3-clause"),
        row("tv_in1k", "timm/resnext101_32x8d.tv_in1k", 224, 0.875, 79.314, 94.524, interpolation="bilinear", license="bsd-3-clause"),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnext101_32x8d.fb_swsl_ig1b_ft_in1k", 224, 0.875, 84.282, 97.174, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_wsl_ig1b_ft_in1k", "timm/resnext101_32x8d.fb_wsl_ig1b_ft_in1k", 224, 0.875, 82.72, 96.624, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnext101_32x8d.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 81.62, 96.036, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "ResNeXt101_32x16d": (
        row("fb_wsl_ig1b_ft_in1k", "timm/resnext101_32x16d.fb_wsl_ig1b_ft_in1k", 224, 0.875, 84.164, 97.188, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_swsl_ig1b_ft_in1k", "timm/resnext101_32x16d.fb_swsl_ig1b_ft_in1k", 224, 0.875, 83.346, 96.844, interpolation="bilinear", license="cc-by-nc-4.0"),
        row("fb_ssl_yfcc100m_ft_in1k", "timm/resnext101_32x16d.fb_ssl_yfcc100m_ft_in1k", 224, 0.875, 81.88, 96.1, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "ResNeXt101_32x32d": (
        row("fb_wsl_ig1b_ft_in1k", "timm/resnext101_32x32d.fb_wsl_ig1b_ft_in1k", 224, 0.875, 85.098, 97.442, interpolation="bilinear", license="cc-by-nc-4.0"),
    ),
    "SENet154": (
        row("gluon_in1k", "timm/senet154.gluon_in1k", 224, 0.875, 81.258, 95.358),
    ),
    "SEResNet20": (
        # cifar10-fast with 120 epochs, of which 95 on a GPU, then 10 down to a rate of zero on a CPU
        # (applications/README.md); 2026-11-26.
        row("cifar10", "package:seresnet20.cifar10.safetensors", 32, 1.0, 88.77, 99.30, interpolation="bilinear", mean=CIFAR10_MEAN, std=CIFAR10_STD, classes=10, sha256="b5eba6b175df9f7fdc8c1389a55f3d3bc444ed394c931b04250476b3162bb083", class_names=CIFAR10),
    ),
    "SEResNet33TS": (
        row("ra2_in1k", "timm/seresnet33ts.ra2_in1k", 256, 0.9, 80.38, 95.106),
    ),
    "SEResNet50": (
        row("ra2_in1k", "timm/seresnet50.ra2_in1k", 224, 0.875, 80.26, 95.068),
        row("a2_in1k", "timm/seresnet50.a2_in1k", 224, 0.95, 80.102, 94.72),
        row("a1_in1k", "timm/seresnet50.a1_in1k", 224, 0.95, 80.012, 94.704),
        row("a3_in1k", "timm/seresnet50.a3_in1k", 160, 0.95, 75.104, 92.096),
    ),
    "SEResNet56": (
        # cifar10-fast with 62 epochs, of which about 42 on a GPU, then one down to a rate of zero on a
        # CPU (applications/README.md); 2026-11-26.
        row("cifar10", "package:seresnet56.cifar10.safetensors", 32, 1.0, 88.77, 99.52, interpolation="bilinear", mean=CIFAR10_MEAN, std=CIFAR10_STD, classes=10, sha256="159904d94d7b8975f3103988590184dafee9447d0a375207e2d34c70a1270fda", class_names=CIFAR10),
    ),
    "SEResNet152D": (
        row("ra2_in1k", "timm/seresnet152d.ra2_in1k", 256, 0.95, 83.702, 96.794),
    ),
    "SEResNeXt26D_32x4d": (
        row("bt_in1k", "timm/seresnext26d_32x4d.bt_in1k", 224, 0.875, 77.592, 93.614),
    ),
    "SEResNeXt26T_32x4d": (
        row("bt_in1k", "timm/seresnext26t_32x4d.bt_in1k", 224, 0.875, 77.98, 93.75),
    ),
    "SEResNeXt26TS": (
        row("ch_in1k", "timm/seresnext26ts.ch_in1k", 256, 0.9, 77.86, 93.79),
    ),
    "SEResNeXt50_32x4d": (
        row("racm_in1k", "timm/seresnext50_32x4d.racm_in1k", 224, 0.875, 81.268, 95.624),
        row("gluon_in1k", "timm/seresnext50_32x4d.gluon_in1k", 224, 0.875, 79.916, 94.816),
    ),
    "SEResNeXt101_32x4d": (
        row("gluon_in1k", "timm/seresnext101_32x4d.gluon_in1k", 224, 0.875, 80.886, 95.268),
    ),
    "SEResNeXt101_32x8d": (
        row("ah_in1k", "timm/seresnext101_32x8d.ah_in1k", 224, 0.95, 83.618, 96.412),
    ),
    "SEResNeXt101_64x4d": (
        row("gluon_in1k", "timm/seresnext101_64x4d.gluon_in1k", 224, 0.875, 80.884, 95.308),
    ),
    "SEResNeXt101D_32x8d": (
        row("ah_in1k", "timm/seresnext101d_32x8d.ah_in1k", 224, 0.95, 83.702, 96.62),
    ),
    "SEResNeXtAA101D_32x8d": (
        row("sw_in12k_ft_in1k_288", "timm/seresnextaa101d_32x8d.sw_in12k_ft_in1k_288", 288, 0.95, 86.53, 98.094),
        row("sw_in12k_ft_in1k", "timm/seresnextaa101d_32x8d.sw_in12k_ft_in1k", 224, 0.875, 85.956, 97.824),
        row("ah_in1k", "timm/seresnextaa101d_32x8d.ah_in1k", 224, 0.95, 83.9, 96.648),
        row("sw_in12k", "timm/seresnextaa101d_32x8d.sw_in12k", 224, 0.95, None, None, classes=11821),
    ),
    "SEResNeXtAA201D_32x8d": (
        row("sw_in12k_ft_in1k_384", "timm/seresnextaa201d_32x8d.sw_in12k_ft_in1k_384", 384, 1.0, 87.304, 98.334),
        row("sw_in12k", "timm/seresnextaa201d_32x8d.sw_in12k", 320, 0.95, None, None, classes=11821),
    ),
}
# fmt: on
