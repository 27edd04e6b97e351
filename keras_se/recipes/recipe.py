"""A training run as one flat record, its checks, and its changes from the command line."""

import dataclasses
import difflib
import json
import math
import re
from collections.abc import Iterable, Sequence

OPTIMIZERS = ("sgd", "adamw", "lamb")
SCHEDULES = ("cosine", "constant", "step")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
LOSSES = ("crossentropy", "bce")
BATCH_NORMS = ("train", "inference", "reestimate")
XLA = ("auto", "on", "off")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training run.

    Attributes:
        about: What it trains, the command, its cost, and the expected result with its spread.
        network: Name of a network of the zoo in any case, such as `"SEResNet20"`.
        data: Name of a dataset of `keras_se.data`.
        size: Side of the images in pixels.
        epochs: Number of passes over the training images.
        batch_size: Images per step.
        optimizer: `"sgd"`, with momentum, `"adamw"` or `"lamb"`.
        learning_rate: The highest rate, reached after the warm-up.
        momentum: Fraction of the old direction that is kept; `beta_1` of the others.
        weight_decay: Fraction of a weight that is taken off per step, for a learning rate of one.
            Norms and biases are exempt. This is decoupled, as Keras does it: what PyTorch's SGD
            calls `d` with momentum `m` is about `d / (1 - m)` here.
        schedule: `"cosine"`, to zero at the last step, `"constant"`, or `"step"`.
        warmup_epochs: Epochs in which the rate rises linearly.
        augment: Random changes of the training images, such as `("translate(0.1)", "rotate(5)")`;
            see `keras_se.augmentation.transforms.parse`.
        label_smoothing: Fraction of the target spread evenly over all classes.
        precision: Keras's dtype policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        seed: Integer that fixes the initial weights, the order and the changes of the images.
        twin: Whether to train the plain twin, the network without SE, as well.
        nesterov: Whether SGD's momentum is Nesterov's.
        milestones: With schedule `"step"`, the epochs after which the rate is multiplied by
            `decay_factor`, such as `(30, 60, 90)`.
        decay_factor: See `milestones`.
        base_batch_size: If not zero, `learning_rate` is for this number of images per update and is
            scaled linearly to `batch_size * gradient_accumulation_steps`.
        gradient_accumulation_steps: Batches whose gradients are averaged for one update.
        ema_decay: If not zero, the weights that are evaluated and saved are an exponential moving
            average, of which this fraction is kept at each update.
        loss: `"crossentropy"`, or `"bce"`, a binary cross-entropy for each class.
        target_threshold: If not zero, targets become one above it and zero below.
        mixup: Alpha of MixUp, zero for none.
        cutmix: Alpha of CutMix, zero for none; with both, each batch gets one of them.
        repeats: How often an image comes in an epoch that is as long as without.
        frozen_norm_epochs: Last epochs, in which batch norms no longer change.
        normalize: `"none"` for pixels from 0 to 1, or whose mean and standard deviation they are
            normalized with: `"imagenet"`, `"half"` (0.5 and 0.5), `"cifar10"` or `"cifar100"`.
        crop: The square cut from the center of a file's picture, as a fraction of the short side.
        crop_mode: `"center"` keeps the proportions of files' pictures; `"squash"` resizes both
            sides alike before the square is cut.
        interpolation: How files' pictures are resized: `"bilinear"`, `"bicubic"` or `"nearest"`.
        steps_per_epoch: Most steps of an epoch, zero for no limit.
        weights: What training starts from, as the network's `weights`; empty for random ones.
        head_epochs: First epochs, in which only the classifier is trained. With `weights`, it is
            a new one, also if theirs has as many classes.
        layer_decay: The learning rate of each stage is this fraction of that of the next one.
        batch_norm: What batch norms do: `"train"`, `"inference"` (keep the statistics and
            parameters they have) or `"reestimate"` (the statistics change, the parameters do not).
        drop_path: Fraction of images for which training leaves out the last residual
            branch; it rises linearly from zero for the first.
        se: How the gates differ from the network's own: `block=eca` (those of ECA-Net) or
            `block=se`, `ratio=8`, `squeeze=max`, `gate=relu`, `activation=silu`, and what the
            network has in its `.options`, such as `placement=pre` or `stages=1+2`.
        se_weight_decay: Whether `weight_decay` is for the two dense layers of the gates too.
        xla: Whether XLA compiles the step: `"auto"`, as Keras does it, `"on"` or `"off"`, which is
            faster for TensorFlow on a CPU.

    Raises:
        ValueError: If a value is not legal; the message names the field. Names of networks, data,
            augmentations, normalizations, crop modes and interpolations are looked up by
            `keras_se.training.resolve`, so that recipes can be listed without Keras.
    """

    about: str
    network: str
    data: str
    size: int
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup_epochs: int
    augment: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    precision: str = "float32"
    seed: int = 0
    twin: bool = True
    nesterov: bool = True
    milestones: tuple[float, ...] = ()
    decay_factor: float = 0.1
    base_batch_size: int = 0
    gradient_accumulation_steps: int = 1
    ema_decay: float = 0.0
    loss: str = "crossentropy"
    target_threshold: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1
    frozen_norm_epochs: int = 0
    normalize: str = "none"
    crop: float = 1.0
    crop_mode: str = "center"
    interpolation: str = "bilinear"
    steps_per_epoch: int = 0
    weights: str = ""
    head_epochs: int = 0
    layer_decay: float = 1.0
    batch_norm: str = "train"
    drop_path: float = 0.0
    se: tuple[str, ...] = ()
    se_weight_decay: bool = True
    xla: str = "auto"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))
        for names, is_legal, legal in RULES:
            for name in names:
                if not is_legal(getattr(self, name)):
                    raise illegal(name, getattr(self, name), legal)
        self._check_epochs()
        self._check_milestones()

    def _check_epochs(self):
        for name in ("warmup_epochs", "frozen_norm_epochs", "head_epochs"):
            if getattr(self, name) > self.epochs:
                raise illegal(name, getattr(self, name), f"at most epochs={self.epochs}")
        # Keras neither swaps the averages of several optimizers nor begins one in the middle.
        for name, off in (("layer_decay", 1.0), ("frozen_norm_epochs", 0), ("head_epochs", 0)):
            if self.ema_decay and getattr(self, name) != off:
                raise illegal("ema_decay", self.ema_decay, f"0 with {name}={getattr(self, name)}")

    def _check_milestones(self):
        if bool(self.milestones) != (self.schedule == "step"):
            legal = f"{'empty' if self.milestones else 'set'} with schedule={self.schedule!r}"
            raise illegal("milestones", self.milestones, legal)
        bounds = [0, *self.milestones, self.epochs]
        if self.milestones and sorted(set(bounds)) != bounds:
            legal = f"rising numbers between 0 and epochs={self.epochs}"
            raise illegal("milestones", self.milestones, legal)

    @property
    def scaled_learning_rate(self) -> float:
        """The highest learning rate, scaled to the images of an update."""
        images = self.batch_size * self.gradient_accumulation_steps
        return self.learning_rate * (images / self.base_batch_size if self.base_batch_size else 1)

    @property
    def preprocessing(self) -> "Preprocessing":  # noqa: F821 (imports Keras)
        """How images that are not changed at random are prepared.

        Raises:
            ValueError: If there is no normalization of that name.
        """
        from keras_se.preprocessing import NORMALIZATIONS, Preprocessing

        if self.normalize not in NORMALIZATIONS:
            raise illegal("normalize", self.normalize, f"one of {', '.join(NORMALIZATIONS)}")
        mean, std = NORMALIZATIONS[self.normalize]
        return Preprocessing(self.size, self.crop, self.crop_mode, self.interpolation, mean, std)

    @property
    def augmentations(self) -> tuple:
        """The parsed `augment`."""
        from keras_se.augmentation import parse

        return tuple(map(parse, self.augment))

    def to_json(self) -> str:
        """Returns the recipe as JSON text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


# Fields, what their values must fulfill, and that in words.
POSITIVE = ("size", "epochs", "batch_size", "gradient_accumulation_steps", "repeats")
NOT_NEGATIVE = (
    "warmup_epochs",
    "base_batch_size",
    "frozen_norm_epochs",
    "steps_per_epoch",
    "head_epochs",
)
FRACTIONS = ("momentum", "label_smoothing", "ema_decay", "target_threshold", "drop_path")
CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "loss": LOSSES,
    "batch_norm": BATCH_NORMS,
    "xla": XLA,
}
RULES = (
    (POSITIVE, lambda x: x > 0, "a positive integer"),
    (NOT_NEGATIVE, lambda x: x >= 0, "zero or a positive integer"),
    (("seed",), lambda x: 0 <= x < 2**32, "an integer from 0 to 2**32 - 1"),
    (("learning_rate",), lambda x: 0 < x < math.inf, "a positive number"),
    (("weight_decay", "mixup", "cutmix"), lambda x: 0 <= x < math.inf, "zero or a positive number"),
    (FRACTIONS, lambda x: 0 <= x < 1, "at least 0 and less than 1"),
    (("decay_factor", "crop", "layer_decay"), lambda x: 0 < x <= 1, "above 0 and at most 1"),
    *(
        ((name,), legal.__contains__, f"one of {', '.join(legal)}")
        for name, legal in CHOICES.items()
    ),
)


def from_json(text: str) -> Recipe:
    """Reads a recipe from JSON text, such as the file `recipe.json` of a run.

    Args:
        text: What `Recipe.to_json` returned.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If the text is not JSON, or a field is unknown, missing or not legal.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"A recipe must be a JSON object. Received: {text[:40]!r}")
    for key in values:
        _check_name(key)
    for field in dataclasses.fields(Recipe):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise ValueError(f"The recipe has no `{field.name}`.")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Recipe(**values | lists)


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Changes fields of a recipe as the command line asks.

    Args:
        recipe: The `Recipe` to start from; it is left as it is.
        assignments: Strings `"key=value"`. The value is read as the field's type: `epochs=3`,
            `learning_rate=1e-2`, `twin=false`, `augment=translate(0.1),rotate(5)`, and
            `augment=` for none. If a key comes twice, the last one counts.

    Returns:
        A new `Recipe`.

    Raises:
        ValueError: If an assignment has no `=`, there is no such field (the message offers the
            nearest names), or a value is not legal.

    Example:
    >>> from keras_se.recipes import DIGITS
    >>> override(DIGITS, ["epochs=3", "twin=false"]).epochs
    3
    """
    changes = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"An assignment must be key=value. Received: {assignment!r}")
        read, legal = TYPES[_check_name(key).type]
        try:
            changes[key] = read(text)
        except (ValueError, KeyError) as error:
            raise illegal(key, text, legal) from error
    return dataclasses.replace(recipe, **changes)


def nearest(name: str, names: Sequence[str]) -> str:
    """Returns the few of `names` that look most like `name`, or all, as text for a message."""
    return ", ".join(difflib.get_close_matches(str(name), names, 3, 0.5) or names)


def illegal(name: str, value: object, legal: str) -> ValueError:
    """Returns the error that says what a field must be."""
    return ValueError(f"`{name}` must be {legal}. Received: {name}={value!r}")


def _read_integer(text):
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError(text)
    return int(text)


def _read_number(text):
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        raise ValueError(text)
    return float(text)


def _read_texts(text):
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def _read_numbers(text):
    return tuple(map(_read_number, _read_texts(text)))


# Of each field's type: how to read it, and what is legal in words.
TYPES = {
    int: (_read_integer, "an integer"),
    float: (_read_number, "a number"),
    str: (str, "a string"),
    bool: ({"true": True, "false": False}.__getitem__, "true or false"),
    tuple[str, ...]: (_read_texts, "a tuple of strings, or strings separated by commas"),
    tuple[float, ...]: (_read_numbers, "a tuple of numbers, or numbers separated by commas"),
}


def _check_name(key):
    """Returns the field of this name."""
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    if key not in fields:
        raise ValueError(f"A recipe has no {key!r}. The nearest are: {nearest(key, fields)}")
    return fields[key]


def _check_type(field, value):
    kind, values = field.type, [value]
    if kind in (tuple[str, ...], tuple[float, ...]):
        kind = kind.__args__[0]
        values = value if isinstance(value, tuple) else [None]
    accepted = (int, float) if kind is float else kind
    for item in values:
        if not isinstance(item, accepted) or (isinstance(item, bool) and kind is not bool):
            raise illegal(field.name, value, TYPES[field.type][1])
