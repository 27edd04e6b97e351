"""What `keras-se evaluate` does: the accuracy of a network on held-out images."""

import contextlib

import keras
import numpy as np

from keras_se import applications, data
from keras_se import augmentation as augment
from keras_se.recipes.recipe import recipe_beside
from keras_se.training.run_folder import class_names_beside


def outputs(network, dataset, normalize=None, batch_size=64):
    """Runs a network over the held-out images.

    Args:
        network: Functional `keras.Model` of images.
        dataset: The `keras_se.data.Dataset`.
        normalize: A function of float32 images from 0 to 1 that normalises them; `None` leaves
            them as they are.
        batch_size: Images at a time.

    Returns:
        The network's outputs, `(image, class)`, and the labels of the same images, those that
        could be read.
    """
    normalize = normalize or augment.normalization("none")
    held_out = data.EvalBatches(
        dataset.test_images,
        dataset.test_labels,
        batch_size,
        lambda images, labels: (normalize(images), labels),
    )
    with contextlib.closing(held_out):
        found = network.predict(data.stream(held_out), verbose=0)
    broken = sorted(getattr(dataset.test_images, "broken", ()))
    return tuple(np.delete(rows, broken, axis=0) for rows in (found, dataset.test_labels))


def evaluate_file(network, path, name, batch_size=64, size=None):
    """Measures a network that `train` has written.

    Its images are prepared as the `recipe.json` beside it says; without one, their pixels go from
    0 to 1.

    Args:
        network: The `keras.Model` of the file.
        path: The `.keras` file.
        name: Name of a dataset of `keras_se.data`.
        batch_size: Images at a time.
        size: Side of the images in pixels, if it is not the network's, as some recipes train with
            smaller images than they are tested with.

    Returns:
        A text with the accuracies in percent, and the files that could not be read.

    Raises:
        ValueError: If the images or classes are not those of the network, or it cannot be of that
            size.
        OSError: If the data cannot be read.
    """
    recipe = recipe_beside(path)
    if size is not None:
        network = _of_size(network, size)
    expected = tuple(network.input_shape[1:])
    first = keras.config.image_data_format() == "channels_first"
    size = expected[1] if first else expected[0]
    resized = {"crop": recipe.crop, "interpolation": recipe.interpolation} if recipe else {}
    dataset = data.load(name, size=size, **resized, decode_train=False)
    if any(
        want not in (None, got) for want, got in zip(expected, dataset.image_shape, strict=True)
    ):
        raise ValueError(
            f"`data` must have images of {expected} for {str(path)!r}. "
            f"Received: data={name!r} with {dataset.image_shape}"
        )
    _require_names(class_names_beside(path), dataset, path)
    normalize = augment.normalization(recipe.normalize if recipe else "none")
    return _measured(network, dataset, normalize, batch_size)


def _of_size(network, size):
    """The network for squares of `size` pixels."""
    if size < 1:
        raise ValueError(f"`size` must be at least 1 pixel. Received: size={size}")
    first = keras.config.image_data_format() == "channels_first"
    channels = network.input_shape[1 if first else -1]
    shape = (channels, size, size) if first else (size, size, channels)
    try:
        resized = keras.models.clone_model(network, input_tensors=keras.Input(shape))
        resized.set_weights(network.get_weights())
    except ValueError as error:
        raise ValueError(
            f"`size` must be one that {network.name} of {tuple(network.input_shape[1:])} can also "
            f"have. Received: size={size}, with which {str(error).splitlines()[0]}"
        ) from error
    return resized


def _require_names(names, dataset, path):
    """Raises a ValueError unless the classes are those that a network was trained on."""
    found = list(dataset.class_names)
    if names is None or names == found:
        return
    if len(names) != len(found):
        raise ValueError(
            f"`data` must have the {len(names)} classes of {str(path)!r}. Received: {len(found)}"
        )
    index = next(i for i, pair in enumerate(zip(names, found, strict=True)) if len({*pair}) > 1)
    raise ValueError(
        f"`data` must have the classes that {str(path)!r} was trained on, in their order. Class "
        f"{index} must be {names[index]!r}. Received: {found[index]!r}. If they only have other "
        "names, change those in class_names.txt beside it."
    )


def evaluate_network(name, weights, data_name, batch_size=64, size=None):
    """Measures a network of the zoo with its images prepared as its weights want them.

    Args:
        name: The network's name, such as `"seresnet50"`.
        weights: `"imagenet"` or a tag.
        data_name: Name of a dataset of `keras_se.data`, whose classes have the order of the
            weights' classes.
        batch_size: Images at a time.
        size: Side of the images in pixels, if not that of the weights.

    Returns:
        What `evaluate_file` does.

    Raises:
        ValueError: If there is no such network, weights or data, or the classes do not fit.
        OSError: If the weights or the data cannot be read.
    """
    application = applications.get_model(name)
    data.check(data_name)
    looks = application.preprocessing(weights)
    size = looks.size if size is None else size
    resized = {"size": size, "crop": looks.crop, "interpolation": looks.interpolation}
    dataset = data.load(data_name, **resized, decode_train=False)
    network = application(weights=weights, input_shape=dataset.image_shape)
    return _measured(
        network,
        dataset,
        lambda images: looks.normalize(255 * images),
        batch_size,
    )


def accuracies(found, labels):
    """The percentages of images whose class is the likeliest, and among the five likeliest.

    Args:
        found: Array `(image, class)`, the larger the likelier.
        labels: Integer array `(image,)`.

    Returns:
        Two floats.

    Example:
    >>> accuracies(np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1]]), np.array([0, 0]))
    (50.0, 100.0)
    """
    right = np.take_along_axis(found, labels[:, None], axis=1)
    place = (found > right).sum(axis=1)
    return 100 * float(np.mean(place == 0)), 100 * float(np.mean(place < 5))


def _measured(network, dataset, normalize, batch_size):
    classes = len(dataset.class_names)
    if network.output_shape[-1] != classes:
        raise ValueError(
            f"`data` must have the {network.output_shape[-1]} classes of the network. "
            f"Received: {classes}"
        )
    found, labels = outputs(network, dataset, normalize, batch_size)
    first, five = accuracies(found, labels)
    lines = [f"{network.name}: {len(labels)} images, top-1 {first:.2f} %, top-5 {five:.2f} %"]
    return "\n".join([*lines, *(f"skipped {one}" for one in dataset.all_skipped())])
