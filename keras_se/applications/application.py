"""A row of the zoo, called as a builder of Keras Applications is called."""

import inspect
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import keras

from keras_se.applications.arguments import check_arguments, require_preprocessing, se_factory
from keras_se.applications.bricks import classifier
from keras_se.applications.hints import describe, explain_missing_weights, explain_options
from keras_se.applications.image_input import image_input
from keras_se.class_names import decode_predictions
from keras_se.layers import SqueezeExcite
from keras_se.preprocessing import Preprocessing
from keras_se.weights import WEIGHTS, Weights, find_weights

# timm's rounding of the bottleneck; at the widths of ResNet-50 it is the paper's C / 16.
TIMM_SE = partial(SqueezeExcite, ratio=16, divisor=8)

# Options that say where gates go, and so change nothing in the plain twin.
GATE_OPTIONS = ("placement", "stages")
POOLS = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
# What stands for the default of an argument that differs between networks.
DEFAULT = "default"


class Application:
    """Builds one network of the zoo, with or without SE, pretrained or not.

    Args:
        name: The network's name, as the papers write it in Keras's case.
        trunk: A function of a Keras tensor and the SE factory that gives the last feature map.
        twin_name: The plain twin's name; by default the same without `SE`, or with `Plain` in front
            if there is no `SE` in it.
        se: The SE factory as published: a callable with a `name` argument that makes a layer.
        head: A function of the feature map, the classes and the activation, and of `name` and
            `dropout`, that gives the predictions.
        head_layers: Names of the head's layers with weights, the classifier last.
        dropout: Fraction of the features that the head drops in training.
        size: Default side of the square input, in pixels.
        min_size: Least legal side of the input, in pixels.
        options: Names of the `arguments` that may also be given when the network is built.
        is_twin: Whether this is a plain network, without SE.
        **arguments: What the trunk takes to become this network.

    Attributes:
        name: The network's name.
        fields: All arguments of this class by name; `Application(**fields)` is the same network.
    """

    def __init__(  # noqa: PLR0913 (the columns of the table)
        self,
        name: str,
        trunk: Callable,
        *,
        twin_name: str | None = None,
        se: Callable = TIMM_SE,
        head: Callable = classifier,
        head_layers: tuple = ("fc",),
        dropout: float = 0.0,
        size: int = 224,
        min_size: int = 32,
        options: tuple = (),
        is_twin: bool = False,
        **arguments: Any,
    ):
        own = {key: value for key, value in locals().items() if key not in ("self", "arguments")}
        self.fields = own | arguments
        self.name = self.__name__ = name
        self.size, self.min_size, self.options = size, min_size, options
        self.is_twin = is_twin
        self._arguments = arguments
        without = name.replace("SE", "", 1)
        self._twin_name = twin_name or (without if without != name else f"Plain{name}")
        # What this network is a variant of, and the options that make it that.
        self._base, self._changed = self, {}
        self.__signature__ = self._signature()
        self.__doc__ = describe(self, self._twin_name)

    def __repr__(self) -> str:
        return f"keras_se.applications.{self.name}"

    def _signature(self):
        """What calling this network takes, its own options by name."""
        call = inspect.signature(type(self).__call__)
        trunk = inspect.signature(partial(self.fields["trunk"], **self._arguments)).parameters
        defaults = {"weights": self.default_weights, "se": not self.is_twin}
        own = [
            parameter.replace(default=defaults.get(parameter.name, parameter.default))
            for parameter in call.parameters.values()
            if parameter.name not in ("self", "options")
        ]
        own += [trunk[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in self.options]
        return call.replace(parameters=own)

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The published checkpoints; `weights="imagenet"` is the first that ImageNet trained."""
        return WEIGHTS.get(self.name, ())

    @property
    def default_weights(self) -> str:
        """The `weights` that the network is built with if none are named.

        The tag of the only checkpoint, if its license allows any use; of several, `"imagenet"`, or
        the tag of the first if none is of ImageNet.
        """
        rows = self.weights
        of_others = rows and all(row.class_names for row in rows)
        only = len(rows) == 1 and rows[0].is_commercial
        return rows[0].tag if only or of_others else "imagenet"

    @cached_property
    def twin(self) -> "Application":
        """The same network without SE, or with SE if this one is without."""
        names = {"name": self._twin_name, "twin_name": self.name, "is_twin": not self.is_twin}
        twin = Application(**self.fields | names)
        twin.twin = self
        return twin

    def replace(self, **options: Any) -> "Application":
        """Returns the network that other options make, with weights of its own if there are any.

        Args:
            **options: Values of what `.options` names.

        Returns:
            An `Application`; this one if all options are as they are here.

        Raises:
            TypeError: If there is no such option.

        Example:
        >>> from keras_se.applications import SEResNet50
        >>> SEResNet50.replace(placement="pre")
        keras_se.applications.SEResNet50_pre
        """
        unknown = options.keys() - set(self.options)
        if unknown:
            raise TypeError(explain_options(self.name, unknown, self.options))
        if self.is_twin:
            return self.twin.replace(**options).twin
        base = self._base
        parameters = inspect.signature(base.fields["trunk"]).parameters
        changed = {
            name: value
            for name, value in (self._changed | options).items()
            if value != base._arguments.get(name, parameters[name].default)
        }
        if not changed:
            return base
        # Where the gates are makes no difference to a network without any.
        of_twin = [value for name, value in changed.items() if name not in GATE_OPTIONS]
        names = {
            "name": base.name + "".join(map(_label, changed.values())),
            "twin_name": base._twin_name + "".join(map(_label, of_twin)),
        }
        variant = Application(**base.fields | changed | names)
        variant._base, variant._changed = base, changed
        return variant

    def preprocessing(self, weights: str = DEFAULT) -> Preprocessing:
        """Returns how an image becomes the input that a checkpoint was trained on.

        Args:
            weights: `"imagenet"` or a tag of `.weights`; by default those that the network is
                built with.

        Raises:
            ValueError: If there is no such checkpoint.

        Example:
        >>> from keras_se.applications import SEResNet50
        >>> SEResNet50.preprocessing().size
        224
        """
        return self._published(weights).preprocessing

    def preprocess_input(
        self, images: Any, weights: str = DEFAULT, data_format: str | None = None
    ) -> Any:
        """Normalizes pixels from 0 to 255 as a checkpoint wants them.

        See `keras_se.preprocessing.Preprocessing.normalize`; `.twin` has the plain twin's own.
        """
        return self.preprocessing(weights).normalize(images, data_format=data_format)

    def load_image(self, image: Any, weights: str = DEFAULT) -> Any:
        """Decodes, resizes and crops an image file as a checkpoint wants it.

        See `keras_se.preprocessing.Preprocessing.load_image`; `.twin` has the plain twin's own.
        """
        return self.preprocessing(weights).load_image(image)

    def decode_predictions(self, predictions: Any, top: int = 5, weights: str = DEFAULT) -> list:
        """Names the `top` classes of each prediction as `(synset, name, score)`.

        See `keras_se.class_names.decode_predictions`; the synset is `None` for weights of
        another dataset than ImageNet.
        """
        names = None
        if weights != DEFAULT or self.weights:
            checkpoint = self._published(weights)
            if checkpoint.labels is None:
                raise ValueError(
                    f"The {checkpoint.classes} classes of {checkpoint.tag} of {self.name} have no "
                    "names here: use keras_se.class_names.decode_predictions with class_names="
                )
            names = checkpoint.class_names
        return decode_predictions(predictions, top=top, class_names=names)

    def __call__(  # noqa: PLR0913 (the contract of Keras Applications, and `se`)
        self,
        include_top: bool = True,
        weights: Any = DEFAULT,
        input_tensor: Any = None,
        input_shape: tuple | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | Callable | None = "softmax",
        name: str | None = None,
        *,
        se: Any = None,
        include_preprocessing: bool = False,
        preprocessing: Preprocessing | None = None,
        dropout: float | None = None,
        drop_path: float = 0.0,
        **options: Any,
    ) -> keras.Model:
        """Builds the network, with the contract of Keras Applications.

        Args:
            include_top: Whether to end in global average pooling and a classifier.
            weights: `None` (random), `"imagenet"` (the first published checkpoint), a tag of
                `.weights`, `"hf://owner/repo"`, or the path of a file: `.safetensors`,
                `.weights.h5`, `.keras`, `.pth`, `.pth.tar`, `.pdparams`, `.pkl`, `.h5` or
                `.h5.zip`. By default the only checkpoint of a network that has one, else
                `"imagenet"`, or the first checkpoint if none is of ImageNet.
            input_tensor: Keras tensor to use as the image input.
            input_shape: Shape of one image, `(height, width, channels)` or, channels first,
                `(channels, height, width)`, in pixels; sizes may be `None`. By default the
                network's own size with the top and any size without. With weights for 3 channels
                any other number works too: the first kernel is summed or tiled, as timm does.
            pooling: Without the top, `"avg"`, `"max"` or `None` for the feature map.
            classes: Number of classes; by default as many as the weights have, 1000 without
                weights. If the weights have another number, the trunk is loaded, the head is left
                random, and a log line says so.
            classifier_activation: Activation of the head; `None` gives logits.
            name: The model's name; by default the network's in lower case.
            se: `True` for SE as published, `False` for the plain twin, or a factory: a callable
                with a `name` argument that makes a layer, such as
                `functools.partial(SqueezeExcite, ratio=8)`.
            include_preprocessing: Whether the model takes pixels from 0 to 255 and normalizes
                them itself.
            preprocessing: How images become the input, for weights that are not published and
                for `weights=None` with `include_preprocessing`.
            dropout: Fraction of the features that the head drops in training; by default that of
                the paper.
            drop_path: Fraction of images for which training leaves out the last residual branch,
                rising linearly from zero for the first (stochastic depth).
            **options: What `.options` names: `placement` and `stages` of the gates, `alpha` or
                `scale` of the widths, `groups`. See the trunk's module; `.replace(**options)` is
                the network they make.

        Returns:
            A functional `keras.Model`. Its attributes `preprocessing` and `class_names` say what
            its weights want and tell apart, or are `None` if that is not known.

        Raises:
            ValueError: If an argument is not legal, there are no such weights, or they do not fit.
            TypeError: If the network has no such option.
            OSError: If weights can be neither read nor downloaded.
        """
        call = {key: value for key, value in locals().items() if key not in ("self", "options")}
        if options:
            return self.replace(**options)(**call)
        if (se is False) != self.is_twin and se is not None:
            return self.twin(**call)
        check_arguments(include_top, pooling, classes, dropout)
        factory = None if self.is_twin else se_factory(se, self.fields["se"])
        published, source = self._checkpoint(weights)
        preprocessing = preprocessing or (published and published.preprocessing)
        if classes is None and include_top:
            classes = source.classes(self.fields["head_layers"]) if source else 1000
        side = self.size if include_top else None
        inputs = image_input(input_tensor, input_shape, side, self.min_size, self.name)
        x = inputs
        if include_preprocessing:
            x = require_preprocessing(preprocessing, weights).rescaling()(x)
        x = self._trunk()(x, factory)
        x = self._top(x, include_top, classes, classifier_activation, pooling, dropout)
        model = keras.Model(_source(input_tensor, inputs), x, name=name or self.name.lower())
        if source is not None:
            source.load_into(model, self.fields["head_layers"])
        if drop_path:
            model = _with_drop_path(model, drop_path, input_tensor)
        return _described(model, preprocessing, include_preprocessing, published)

    def _top(self, x, include_top, classes, activation, pooling, dropout):
        """What follows the last feature map."""
        if include_top:
            dropout = self.fields["dropout"] if dropout is None else dropout
            name = self.fields["head_layers"][-1]
            return self.fields["head"](x, classes, activation, dropout=dropout, name=name)
        return POOLS[pooling](name=f"{pooling}_pool")(x) if pooling else x

    def _trunk(self):
        return partial(self.fields["trunk"], **self._arguments)

    def _checkpoint(self, weights):
        """The row of the registry that `weights` names, and the checkpoint, or `None`."""
        if weights is None:
            return None, None
        from keras_se.weights.sources import open_weights

        weights = self.default_weights if weights is DEFAULT else weights
        if weights == "imagenet" and all(row.class_names for row in self.weights):
            raise ValueError(self._no_weights())
        # Before the network is built, so that a wrong name or file costs no time.
        source = open_weights(weights, self.weights, network=self.name)
        return source.row, source

    def _published(self, weights):
        weights = self.default_weights if weights is DEFAULT else weights
        if not self.weights:
            has = f"keras_se.applications.get_model({self.twin.name.lower()!r})"
            has = has if self.twin.weights else "a network that has, such as SEResNet50"
            raise ValueError(
                f"{self.name} has no published weights, and so no preprocessing of its own. Use "
                f"that of {has}."
            )
        return find_weights(weights, self.weights, network=self.name)

    def _no_weights(self):
        if self._changed:
            # An option that is not legal has no weights either, but that is not what is wrong.
            self._trunk()(image_input(None, None, None, self.min_size, self.name), None)
        trained = [name for name, rows in WEIGHTS.items() if not rows[0].class_names]
        has_trained_twin = not self.is_twin and not self._changed and self.twin.weights
        tags = [row.tag for row in self.weights]
        return explain_missing_weights(self.name, tags, trained, has_trained_twin)


def _described(model, preprocessing, included, published):
    """The model, with what its weights want and tell apart as attributes."""
    model.preprocessing = preprocessing
    if included:
        model.preprocessing = preprocessing.replace(mean=None, std=None)
    labels = published and published.labels
    model.class_names = labels if labels and model.output_shape[-1] == len(labels) else None
    return model


def _source(input_tensor, inputs):
    """What a model begins with that was built on `input_tensor`."""
    if input_tensor is None:
        return inputs
    sources = keras.utils.get_source_inputs(input_tensor)
    # A list of one would make every call of the model with one tensor warn.
    return sources[0] if len(sources) == 1 else sources


def _with_drop_path(model, drop_path, input_tensor):
    if input_tensor is not None:
        raise ValueError(
            "`drop_path` goes with `input_shape`, not with `input_tensor`: the network is rebuilt. "
            f"Received: drop_path={drop_path!r}"
        )
    from keras_se.surgery.drop_path import add_drop_path

    return add_drop_path(model, drop_path)


def _label(value):
    """What an option's value adds to a network's name: `_075` for a width of 0.75."""
    if isinstance(value, float):
        return "_" + f"{100 * value:.6g}".replace(".", "p").zfill(3)
    return "_" + "".join(map(str, value if isinstance(value, tuple | list) else (value,)))
