"""Normalization of arrays and tensors against NumPy."""

import keras
import numpy as np
import pytest
from conftest import keras_setting
from test_preprocess import ROW


def normalized(images, row=ROW):
    return (images.astype("float64") / 255 - np.array(row.mean)) / np.array(row.std)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (2, 5, 4, 3), (0, 5, 4, 3)])
def test_preprocess_input_of_arrays(dtype, shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    images.setflags(write=False)
    result = ROW.normalize(images)
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, normalized(images), rtol=0, atol=1e-6)


def test_preprocess_input_of_known_levels():
    black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], "uint8")
    expected = [[[-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]]]
    np.testing.assert_allclose(ROW.normalize(black_and_white), expected, atol=1e-6)
    np.testing.assert_allclose(ROW.normalize(black_and_white.tolist()), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "bfloat16"])
def test_preprocess_input_of_tensors(dtype):
    images = np.random.default_rng(1).integers(0, 256, (2, 5, 4, 3))
    result = ROW.normalize(keras.ops.convert_to_tensor(images, dtype))
    assert keras.ops.is_tensor(result)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    result = keras.ops.convert_to_numpy(result)
    # bfloat16 holds the gray levels up to 255 exactly.
    np.testing.assert_allclose(result, normalized(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batched", [True, False])
def test_channels_first_by_argument_and_by_setting(batched):
    images = np.random.default_rng(2).integers(0, 256, (2, 5, 4, 3)).astype("uint8")
    expected = np.moveaxis(normalized(images), -1, 1)
    first = np.moveaxis(images, -1, 1)
    if not batched:
        first, expected = first[0], expected[0]
    tensor = keras.ops.convert_to_tensor(first)
    close = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(ROW.normalize(first, "channels_first"), expected, **close)
    with keras_setting(image_data_format="channels_first"):
        np.testing.assert_allclose(ROW.normalize(first), expected, **close)
        result = keras.ops.convert_to_numpy(ROW.normalize(tensor))
    np.testing.assert_allclose(result, expected, **close)


def test_preprocess_input_inside_a_model():
    inputs = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(inputs, ROW.normalize(inputs))
    images = np.random.default_rng(3).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    result = model.predict(images, verbose=0)
    np.testing.assert_allclose(result, normalized(images), rtol=0, atol=1e-5)


def test_preprocess_input_in_a_tf_data_pipeline():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras.ops inside tf.data needs the TensorFlow backend")
    import tensorflow as tf

    images = np.random.default_rng(4).integers(0, 256, (4, 6, 6, 3)).astype("uint8")
    pipeline = tf.data.Dataset.from_tensor_slices(images).batch(2)
    pipeline = pipeline.map(lambda batch: ROW.normalize(batch))
    result = np.concatenate(list(pipeline.as_numpy_iterator()))
    np.testing.assert_allclose(result, normalized(images), rtol=0, atol=1e-5)


def test_a_tensor_of_unknown_rank_or_channels_is_an_error():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has shapes that are not known")
    import tensorflow as tf

    for shape in (None, (None, None, None)):
        trace = tf.function(
            lambda images: ROW.normalize(images), input_signature=[tf.TensorSpec(shape, "uint8")]
        )
        with pytest.raises(ValueError, match="its rank and number of channels known"):
            trace.get_concrete_function()


def test_preprocess_input_in_a_jitted_function():
    if keras.backend.backend() != "jax":
        pytest.skip("needs the JAX backend")
    import jax

    images = np.random.default_rng(5).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    result = jax.jit(lambda images: ROW.normalize(images))(images)
    np.testing.assert_allclose(result, normalized(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 4), (2, 3, 4, 4), (4, 3), (1, 2, 4, 4, 3)])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_images_of_another_shape_are_an_error(shape, as_tensor):
    images = np.zeros(shape, "float32")
    given = keras.ops.convert_to_tensor(images) if as_tensor else images
    numbers = ", ".join(str(side) for side in shape)
    with pytest.raises(ValueError, match=rf"`images` must.*width, 3\).*\W{numbers}\W"):
        ROW.normalize(given)


def test_channels_last_images_are_an_error_under_channels_first():
    with pytest.raises(ValueError, match=r"\(3, height, width\)"):
        ROW.normalize(np.zeros((4, 4, 3)), data_format="channels_first")


def test_complex_images_and_an_unknown_data_format_are_errors():
    with pytest.raises(ValueError, match=r"`images` must be of a real dtype.*complex64"):
        ROW.normalize(np.zeros((4, 4, 3), "complex64"))
    with pytest.raises(ValueError, match=r"`data_format` must be .*'channels_middle'"):
        ROW.normalize(np.zeros((4, 4, 3)), data_format="channels_middle")


def test_normalization_is_preprocess_input():
    scale, offset = ROW.scale_and_offset()
    np.testing.assert_allclose(scale, [0.017124754, 0.017507003, 0.017429194], rtol=1e-6)
    np.testing.assert_allclose(offset, [-2.117904, -2.035714, -1.804444], rtol=1e-6)
    levels = np.repeat(np.arange(256.0)[:, None, None], 3, axis=2)
    np.testing.assert_allclose(levels * scale + offset, normalized(levels), rtol=0, atol=1e-12)
    layer = keras.layers.Rescaling(list(scale), list(offset))
    result = keras.ops.convert_to_numpy(layer(levels[None].astype("float32")))
    np.testing.assert_allclose(result, ROW.normalize(levels[None]), rtol=0, atol=2e-6)
