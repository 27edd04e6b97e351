"""A row of the zoo, called as a builder of Keras Applications is called."""

import copy
import difflib
import inspect
import numbers
from functools import partial

import keras

from keras_se.applications.bricks import channel_axis, classifier
from keras_se.layers import SqueezeExcite

# timm's rounding of the bottleneck; at the widths of ResNet-50 it is the paper's C / 16.
TIMM_SE = partial(SqueezeExcite, ratio=16, divisor=8)

# Options that say where gates go, and so change nothing in the plain twin.
GATE_OPTIONS = ("placement", "stages")


class Application:
    """Builds one network of the zoo, with or without SE, pretrained or not.

    Args:
        name: The network's name, as the papers write it in Keras's case.
        trunk: A function of a Keras tensor and the SE factory that gives the last feature map.
        twin: The plain twin's name; by default the same without `SE`.
        se: The SE factory as published: a callable with a `name` argument that makes a layer.
        head: A function of the feature map, the classes and the activation, and of `name` and
            `dropout`, that gives the predictions.
        head_layers: Names of the head's layers with weights, the classifier last.
        dropout: Fraction of the features that the head drops in training.
        size: Default side of the square input, in pixels.
        min_size: Least legal side of the input, in pixels.
        options: Names of the `arguments` that may also be given when the network is built.
        **arguments: What the trunk takes to become this network.
    """

    def __init__(  # noqa: PLR0913 (the columns of the table)
        self,
        name,
        trunk,
        *,
        twin=None,
        se=TIMM_SE,
        head=classifier,
        head_layers=("fc",),
        dropout=0.0,
        size=224,
        min_size=32,
        options=(),
        **arguments,
    ):
        self.name = name
        # What a variant is one of, and the options that make it that.
        self._origin, self._chosen = self, {}
        self.twin = twin or name.replace("SE", "", 1)
        self.size = size
        self.min_size = min_size
        self.options = options
        self._trunk = partial(trunk, **arguments)
        self._se = se
        self._head = partial(head, dropout=dropout, name=head_layers[-1])
        self._head_layers = head_layers
        self.__signature__ = self._signature()

    def __repr__(self):
        return f"keras_se.applications.{self.name}"

    @property
    def weights(self):
        """The published checkpoints, best documented first; `weights="imagenet"` is the first."""
        return self.pretrained_weights()

    def pretrained_weights(self, se=True):
        """The published checkpoints of this network, or of its plain twin if `se` is false."""
        from keras_se.weights import WEIGHTS

        return WEIGHTS.get(self.twin if se is False else self.name, ())

    def variant(self, **options):
        """The network that other `options` make, with weights of its own if there are any.

        Args:
            **options: Values of what `.options` names.

        Returns:
            An `Application`; this one if all options are as they are here.

        Raises:
            TypeError: If there is no such option.

        Example:
        >>> from keras_se.applications import SEResNet50
        >>> SEResNet50.variant(placement="pre")
        keras_se.applications.SEResNet50_pre
        """
        unknown = options.keys() - set(self.options)
        if unknown:
            legal = ", ".join(self.options) or "none"
            raise TypeError(
                f"{self.name} has no option {', '.join(sorted(unknown))}. Its options: {legal}"
            )
        origin = self._origin
        usual = inspect.signature(origin._trunk).parameters
        chosen = self._chosen | options
        changed = {name: one for name, one in chosen.items() if one != usual[name].default}
        if not changed:
            return origin
        variant = copy.copy(origin)
        variant._chosen = changed
        variant._trunk = partial(origin._trunk, **changed)
        variant.name += "".join(map(_label, changed.values()))
        # Where the gates are makes no difference to a network without any.
        whole = [one for name, one in changed.items() if name not in GATE_OPTIONS]
        variant.twin += "".join(map(_label, whole))
        variant.__signature__ = variant._signature()
        return variant

    def preprocess_input(self, images, weights="imagenet", data_format=None, *, se=True):
        """Normalises `images` (0 to 255) as the named checkpoint wants them.

        See `keras_se.preprocessing.preprocess_input`; `se=False` names the plain twin's
        checkpoints.
        """
        from keras_se.preprocessing import preprocess_input

        return preprocess_input(images, self._row(weights, se), data_format=data_format)

    def load_image(self, image, weights="imagenet", *, se=True):
        """Decodes, resizes and crops an image file as the named checkpoint wants it.

        See `keras_se.preprocessing.load_image`; `se=False` names the plain twin's checkpoints.
        """
        from keras_se.preprocessing import load_image

        return load_image(image, self._row(weights, se))

    def decode_predictions(self, predictions, top=5, weights="imagenet", *, se=True):
        """Gives the `top` classes of each prediction as (synset, name, score).

        See `keras_se.preprocessing.decode_predictions`; the synset is `None` for weights of another
        dataset than ImageNet.
        """
        from keras_se.preprocessing import decode_predictions

        row = None if weights == "imagenet" else self._row(weights, se)
        return decode_predictions(predictions, top=top, weights=row)

    def __call__(  # noqa: PLR0913 (the contract of Keras Applications, and `se`)
        self,
        include_top=True,
        weights="imagenet",
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=1000,
        classifier_activation="softmax",
        name=None,
        *,
        se=True,
        **options,
    ):
        """Builds the network, with the contract of Keras Applications.

        Args:
            include_top: Whether to end in global average pooling and a classifier.
            weights: `None` (random), `"imagenet"` (the first published checkpoint), a tag of
                `.weights`, `"hf://owner/repo"`, or the path of a `.safetensors`, `.pth`,
                `.pth.tar`, `.weights.h5` or `.keras` file.
            input_tensor: Keras tensor to use as the image input.
            input_shape: Shape of one image, `(height, width, channels)` or, channels first,
                `(channels, height, width)`, in pixels; sizes may be `None`. By default the
                network's own size with the top and any size without. With weights for 3 channels
                any other number works too: the first kernel is summed or tiled, as timm does.
            pooling: Without the top, `"avg"`, `"max"` or `None` for the feature map.
            classes: Number of classes, or `None` for as many as the weights have. If the weights
                have another number, the trunk is loaded, the head is left random, and a log line
                says so.
            classifier_activation: Activation of the head; `None` gives logits.
            name: The model's name; by default the network's in lower case.
            se: `True` for SE as published, `False` for the plain twin, or a factory: a callable
                with a `name` argument that makes a layer, such as
                `functools.partial(SqueezeExcite, ratio=8)`.
            **options: What `.options` names: `placement` and `stages` of the gates, `alpha` or
                `scale` of the widths, `groups`. See the trunk's module; `.variant(**options)` is
                the network they make.

        Returns:
            A functional `keras.Model`.

        Raises:
            ValueError: If an argument is not legal, there are no such weights, or they do not fit.
            TypeError: If the network has no such option.
            OSError: If weights can be neither read nor downloaded.
        """
        if options:
            given = (include_top, weights, input_tensor, input_shape, pooling, classes)
            return self.variant(**options)(*given, classifier_activation, name, se=se)
        factory = self._factory(se)
        self._check(include_top, weights, pooling, classes)
        rows = self.pretrained_weights(se)
        if weights == "imagenet" and all(row.class_names for row in rows):
            raise ValueError(self._no_weights(se))
        source = None
        if weights is not None:
            from keras_se.weights.sources import open_weights

            # Before the network is built, so that a wrong name or file costs no time.
            source = open_weights(weights, rows, network=self._network_name(se))
            classes = classes or source.classes(self._head_layers)
        inputs = self._inputs(input_tensor, input_shape, include_top)
        x = self._trunk(inputs, factory)
        if include_top:
            x = self._head(x, classes, classifier_activation)
        elif pooling:
            pool = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPool2D}
            x = pool[pooling](name=f"{pooling}_pool")(x)
        if input_tensor is not None:
            inputs = keras.utils.get_source_inputs(input_tensor)
            # A list of one would make every call of the model with one tensor warn.
            inputs = inputs[0] if len(inputs) == 1 else inputs
        model = keras.Model(inputs, x, name=name or self._network_name(se).lower())
        if source is not None:
            source.load_into(model, self._head_layers)
        return model

    def _signature(self):
        """What calling this network takes, its own options by name."""
        call = inspect.signature(type(self).__call__)
        trunk = inspect.signature(self._trunk).parameters
        kept = [one for one in call.parameters.values() if one.name not in ("self", "options")]
        own = [trunk[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in self.options]
        return call.replace(parameters=kept + own)

    def _network_name(self, se):
        return self.twin if se is False else self.name

    def _row(self, weights, se):
        from keras_se.weights import find

        name = self._network_name(se)
        if not self.pretrained_weights(se):
            has = f"its plain twin: se=False of {self.name}"
            has = (
                has
                if self.pretrained_weights(se=False)
                else "a network that has, such as SEResNet50"
            )
            raise ValueError(
                f"{name} has no published weights, and so no preprocessing of its own. Use that of "
                f"{has}."
            )
        return find(weights, self.pretrained_weights(se), network=name)

    def _no_weights(self, se):
        from keras_se.weights import WEIGHTS

        if self._chosen:
            # An option that is not legal has no weights either, but that is not what is wrong.
            self._trunk(self._inputs(None, None, False), None)
        name = self._network_name(se)
        trained = [one for one, rows in WEIGHTS.items() if not rows[0].class_names]
        near = difflib.get_close_matches(name, trained, 3, 0.5)
        hints = [f"weights={one.tag!r}" for one in self.pretrained_weights(se)]
        hints += [f"or a network that has some, such as {', '.join(near)}"] if near else []
        if se is not False and not self._chosen and self.pretrained_weights(se=False):
            hints.append(
                f"or put gates into the trained plain twin: "
                f"keras_se.surgery.insert_se({self.name}(se=False))"
            )
        return (
            f"There are no published ImageNet weights of {name}. Use `weights=None` for random "
            f"weights, the path of a file, {', '.join(hints)}".rstrip(", ")
            + "."
        )

    def _factory(self, se):
        if se is True:
            return self._se
        if se is False:
            return None
        if not callable(se):
            raise ValueError(
                "`se` must be True (SE as published), False (the plain twin) or a callable with a "
                f"`name` argument that makes a layer. Received: se={se!r}"
            )
        return partial(_checked_layer, se)

    def _check(self, include_top, weights, pooling, classes):
        if include_top not in (True, False):
            raise ValueError(f"`include_top` must be a bool. Received: include_top={include_top!r}")
        if pooling not in (None, "avg", "max"):
            raise ValueError(
                f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}"
            )
        if include_top and not (_is_size(classes) or (classes is None and weights is not None)):
            raise ValueError(
                "`classes` must be a positive integer, or None for as many as `weights` have. "
                f"Received: classes={classes!r}"
            )

    def _inputs(self, input_tensor, input_shape, include_top):
        """The tensor that the trunk begins with."""
        if input_tensor is not None:
            if not keras.utils.is_keras_tensor(input_tensor):
                raise ValueError(
                    "`input_tensor` must be a Keras tensor, such as keras.Input(...) gives. "
                    f"Received: {type(input_tensor).__name__}"
                )
            shape = tuple(input_tensor.shape[1:])
            self._check_shape("input_tensor", shape)
            if input_shape is not None and tuple(input_shape) != shape:
                raise ValueError(
                    "`input_shape` must be that of `input_tensor`, or None. Received: "
                    f"input_shape={input_shape} with an input_tensor of {shape}"
                )
            return input_tensor
        if input_shape is None:
            side = self.size if include_top else None
            input_shape = (side, side)
            input_shape = (*input_shape, 3) if channel_axis() == -1 else (3, *input_shape)
        self._check_shape("input_shape", input_shape)
        return keras.Input(tuple(input_shape))

    def _check_shape(self, argument, shape):
        axis = channel_axis()
        legal = "(height, width, channels)" if axis == -1 else "(channels, height, width)"
        triple = isinstance(shape, tuple | list) and len(shape) == 3
        if not triple or not all(size is None or _is_size(size) for size in shape):
            raise ValueError(f"`{argument}` must have the shape {legal}. Received: {shape}")
        channels = shape[-1 if axis == -1 else 0]
        sides = shape[:-1] if axis == -1 else shape[1:]
        if channels is None:
            raise ValueError(f"`{argument}` must have known channels, {legal}. Received: {shape}")
        if any(side is not None and side < self.min_size for side in sides):
            raise ValueError(
                f"`{argument}` must be at least {self.min_size} pixels high and wide for "
                f"{self.name}. Received: {shape}"
            )


def _is_size(size):
    return isinstance(size, numbers.Integral) and not isinstance(size, bool) and size > 0


def _checked_layer(factory, name):
    """What `factory` makes, if it is a layer: a forgotten `return` must not remove SE silently."""
    layer = factory(name=name)
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            f"`se` must be a callable that makes a Keras layer. It made {layer!r} for {name!r}"
        )
    return layer


def _label(value):
    """What an option's value adds to a network's name: `_075` for a width of 0.75."""
    if isinstance(value, float):
        return "_" + f"{100 * value:.6g}".replace(".", "p").zfill(3)
    return "_" + "".join(map(str, value if isinstance(value, tuple | list) else (value,)))
