import io
import math
import threading
import warnings
from fractions import Fraction
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_se.preprocess import (
    decode_predictions,
    load_image,
    normalization,
    preprocess_input,
)

# Keras 3.15 itself triggers this when it turns a torch tensor into a NumPy 2 array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def make_row(size=224, crop=0.875, interpolation="bicubic", classes=1000):
    return SimpleNamespace(
        tag="in1k",
        size=size,
        crop=crop,
        interpolation=interpolation,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=classes,
    )


ROW = make_row()
NO_CROP = make_row(size=8, crop=1.0, interpolation="nearest")
ROWS = [
    make_row(224, 0.875, "bicubic"),
    make_row(224, 0.875, "bilinear"),
    make_row(288, 1.0, "bicubic"),
    make_row(160, 0.95, "bicubic"),
    make_row(176, 0.875, "bilinear"),
    make_row(130, 0.95, "bicubic"),  # 136.8 pixels: rounding down shows.
]
# (height, width): landscape, portrait, square, odd, already the short side, tiny, one pixel.
SIZES = [(300, 500), (500, 300), (333, 333), (397, 261), (256, 301), (7, 5), (1, 1)]


def photo(height, width, seed=0):
    """Smooth colour ramps plus noise: every pixel differs and edges reach 0 and 255."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:height, 0:width]
    ramps = np.stack([down * 255 / max(height, 2), across * 255 / max(width, 2), down + across], 2)
    return ((ramps + rng.integers(0, 160, (height, width, 3))) % 256).astype("uint8")


def kernel(distance, interpolation):
    distance = np.abs(distance)
    if interpolation == "bilinear":
        return np.maximum(0.0, 1.0 - distance)
    a = -0.5
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def resample_axis_0(image, target, interpolation):
    """The antialiased filter in float64: its kernel widens when the picture shrinks."""
    scale = image.shape[0] / target
    centres = (np.arange(target) + 0.5) * scale
    sources = np.arange(image.shape[0]) + 0.5
    filters = kernel((sources - centres[:, None]) / max(scale, 1.0), interpolation)
    filters /= filters.sum(axis=1, keepdims=True)
    # Pillow's weights have 22 bits after the point, which decides how exact halves are rounded.
    filters = np.rint(filters * 2**22) / 2**22
    values = np.tensordot(filters, image.astype("float64"), axes=1)
    return np.clip(np.floor(values + 0.5), 0, 255)


def reference(image, row):
    height, width = image.shape[:2]
    short = math.floor(row.size / row.crop)
    if width <= height:
        new_width, new_height = short, short * height // width
    else:
        new_width, new_height = short * width // height, short
    turned = resample_axis_0(image.transpose(1, 0, 2), new_width, row.interpolation)
    resized = resample_axis_0(turned.transpose(1, 0, 2), new_height, row.interpolation)
    # Fraction rounds halves to even exactly, whatever the machine's floats do.
    top = round(Fraction(new_height - row.size, 2))
    left = round(Fraction(new_width - row.size, 2))
    return resized[top : top + row.size, left : left + row.size]


def saved(picture, path, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.size}-{row.crop}-{row.interpolation}")
def test_load_image_is_the_reference_to_one_grey_level(tmp_path, row, size):
    pixels = photo(*size)
    loaded = load_image(saved(Image.fromarray(pixels), tmp_path / "photo.png"), row)
    assert loaded.dtype == np.uint8
    assert loaded.shape == (row.size, row.size, 3)
    difference = np.abs(loaded - reference(pixels, row))
    assert difference.max() <= 1
    # Offsets or kernels that are slightly off pass a tolerance on smooth parts, not on average.
    assert difference.mean() < 0.01


@pytest.mark.parametrize(("width", "left"), [(9, 0), (10, 1), (11, 2), (12, 2), (13, 2), (15, 4)])
def test_the_crop_rounds_half_a_pixel_to_the_even_offset(width, left):
    pixels = photo(8, width)
    np.testing.assert_array_equal(load_image(pixels, NO_CROP), pixels[:, left : left + 8])
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    np.testing.assert_array_equal(load_image(turned, NO_CROP), turned[left : left + 8])


def test_a_path_as_text_a_picture_and_an_array_give_the_same(tmp_path):
    pixels = photo(90, 120)
    path = saved(Image.fromarray(pixels), tmp_path / "photo.png")
    expected = load_image(path, ROW)
    np.testing.assert_array_equal(load_image(str(path), ROW), expected)
    np.testing.assert_array_equal(load_image(Image.fromarray(pixels), ROW), expected)
    np.testing.assert_array_equal(load_image(pixels, ROW), expected)
    assert expected.flags.writeable


def test_a_grey_array_and_an_array_of_negative_strides(tmp_path):
    pixels = photo(8, 8)
    grey = np.repeat(pixels[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(load_image(pixels[:, :, 0], NO_CROP), grey)
    np.testing.assert_array_equal(load_image(pixels[::-1, ::-1], NO_CROP), pixels[::-1, ::-1])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "1", "CMYK", "HSV"])
def test_other_modes_become_their_rgb(mode):
    picture = Image.fromarray(photo(8, 8)).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(photo(8, 8, seed=1)[:, :, 0]))
    expected = np.asarray(picture.convert("RGB"))
    assert expected.std() > 20
    np.testing.assert_array_equal(load_image(picture, NO_CROP), expected)


def test_a_palette_with_transparency_keeps_its_colours_without_a_warning(tmp_path):
    colours = photo(1, 8)[0]
    picture = Image.fromarray(np.arange(64, dtype="uint8").reshape(8, 8) % 8)
    picture.putpalette(colours.tobytes())
    path = saved(picture, tmp_path / "palette.png", transparency=bytes([0, 128, 255, 7]))
    with Image.open(path) as picture:
        assert isinstance(picture.info["transparency"], bytes)
    loaded = load_image(path, NO_CROP)
    np.testing.assert_array_equal(loaded, np.broadcast_to(colours, (8, 8, 3)))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path, suffix):
    levels = (np.arange(64) * 1040).reshape(8, 8).astype("uint16")
    path = saved(Image.fromarray(levels), tmp_path / f"grey.{suffix}")
    expected = np.repeat((levels // 256).astype("uint8")[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(load_image(path, NO_CROP), expected)
    wide = Image.fromarray(levels.astype("int32"))
    assert wide.mode == "I"
    np.testing.assert_array_equal(load_image(wide, NO_CROP), expected)


def test_the_orientation_of_the_camera_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = photo(8, 8)
    path = saved(Image.fromarray(pixels), tmp_path / "turned.png", exif=exif)
    with Image.open(path) as picture:
        assert picture.getexif()[0x0112] == 6
    np.testing.assert_array_equal(load_image(path, NO_CROP), pixels)


def test_a_missing_file_and_a_folder_name_themselves(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing_here\.jpg"):
        load_image(tmp_path / "nothing_here.jpg", ROW)
    with pytest.raises(OSError, match=tmp_path.name):
        load_image(tmp_path, ROW)


@pytest.mark.parametrize("content", [b"", b"plain text, no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: (not an image|cannot be)"):
        load_image(path, ROW)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_a_truncated_file(tmp_path, suffix):
    whole = io.BytesIO()
    Image.fromarray(photo(64, 64)).save(whole, suffix)
    path = tmp_path / f"half.{suffix}"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(ValueError, match=rf"half\.{suffix}: (not an image|cannot be)"):
        load_image(path, ROW)


@pytest.mark.parametrize("limit", [600, 400], ids=["warned about", "refused"])
def test_a_decompression_bomb_is_an_error_of_ours(tmp_path, monkeypatch, limit):
    path = saved(Image.fromarray(photo(30, 30)), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with (
        warnings.catch_warnings(record=True) as leaked,
        pytest.raises(ValueError, match=r"bomb\.png: cannot be read.*\(900 pixels\).*limit"),
    ):
        warnings.simplefilter("always")
        load_image(path, NO_CROP)
    assert leaked == []


def test_a_strip_that_would_grow_huge_is_an_error(monkeypatch):
    strip = photo(1, 3000)
    with pytest.raises(ValueError, match="3000 x 1 pixels would become 1536000 x 512"):
        load_image(strip, make_row(size=448))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_image(strip, make_row(size=8)).shape == (8, 8, 3)


def test_loading_in_threads_leaves_the_warning_filters_alone(tmp_path):
    path = saved(Image.fromarray(photo(8, 8)), tmp_path / "photo.png")
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [load_image(path, NO_CROP) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@pytest.mark.parametrize(
    ("array", "received"),
    [
        (np.zeros((8, 8, 3), "float32"), r"float32 \(8, 8, 3\)"),
        (np.zeros((8, 8, 4), "uint8"), r"uint8 \(8, 8, 4\)"),
        (np.zeros((1, 8, 8, 3), "uint8"), r"uint8 \(1, 8, 8, 3\)"),
        (np.zeros((0, 8), "uint8"), r"uint8 \(0, 8\)"),
    ],
)
def test_arrays_that_are_no_picture(array, received):
    with pytest.raises(ValueError, match=rf"`path`.*must be uint8.*Received: {received}"):
        load_image(array, ROW)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.new("F", (8, 8)), "floating point"),
        (Image.new("RGB", (0, 8)), "no pixels"),
        (Image.new("I", (8, 8), 65536), "grey levels 65536 to 65536 do not fit 16 bits"),
        (Image.new("I", (8, 8), -1), "grey levels -1 to -1 do not fit 16 bits"),
    ],
)
def test_pictures_without_a_sensible_rgb(picture, reason):
    with pytest.raises(ValueError, match=f"the PIL image: cannot be decoded: .*{reason}"):
        load_image(picture, ROW)


def normalised(images, row=ROW):
    return (images.astype("float64") / 255 - np.array(row.mean)) / np.array(row.std)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (2, 5, 4, 3), (0, 5, 4, 3)])
def test_preprocess_input_of_arrays(dtype, shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    images.setflags(write=False)
    result = preprocess_input(images, ROW)
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, normalised(images), rtol=0, atol=1e-6)


def test_preprocess_input_of_known_levels():
    black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], "uint8")
    expected = [[[-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]]]
    np.testing.assert_allclose(preprocess_input(black_and_white, ROW), expected, atol=1e-6)
    np.testing.assert_allclose(preprocess_input(black_and_white.tolist(), ROW), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "bfloat16"])
def test_preprocess_input_of_tensors(dtype):
    images = np.random.default_rng(1).integers(0, 256, (2, 5, 4, 3))
    result = preprocess_input(keras.ops.convert_to_tensor(images, dtype), ROW)
    assert keras.ops.is_tensor(result)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    result = keras.ops.convert_to_numpy(result)
    # bfloat16 holds the grey levels up to 255 exactly.
    np.testing.assert_allclose(result, normalised(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batched", [True, False])
def test_channels_first_by_argument_and_by_setting(batched):
    images = np.random.default_rng(2).integers(0, 256, (2, 5, 4, 3)).astype("uint8")
    expected = np.moveaxis(normalised(images), -1, 1)
    first = np.moveaxis(images, -1, 1)
    if not batched:
        first, expected = first[0], expected[0]
    tensor = keras.ops.convert_to_tensor(first)
    close = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(preprocess_input(first, ROW, "channels_first"), expected, **close)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_allclose(preprocess_input(first, ROW), expected, **close)
        result = keras.ops.convert_to_numpy(preprocess_input(tensor, ROW))
    finally:
        keras.config.set_image_data_format(before)
    np.testing.assert_allclose(result, expected, **close)


def test_preprocess_input_inside_a_model():
    inputs = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(inputs, preprocess_input(inputs, ROW))
    images = np.random.default_rng(3).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    result = model.predict(images, verbose=0)
    np.testing.assert_allclose(result, normalised(images), rtol=0, atol=1e-5)


def test_preprocess_input_in_a_tf_data_pipeline():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras.ops inside tf.data needs the TensorFlow backend")
    import tensorflow as tf

    images = np.random.default_rng(4).integers(0, 256, (4, 6, 6, 3)).astype("uint8")
    pipeline = tf.data.Dataset.from_tensor_slices(images).batch(2)
    pipeline = pipeline.map(lambda batch: preprocess_input(batch, ROW))
    result = np.concatenate(list(pipeline.as_numpy_iterator()))
    np.testing.assert_allclose(result, normalised(images), rtol=0, atol=1e-5)


def test_a_tensor_of_unknown_rank_or_channels_is_an_error():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has shapes that are not known")
    import tensorflow as tf

    for shape in (None, (None, None, None)):
        trace = tf.function(
            lambda images: preprocess_input(images, ROW),
            input_signature=[tf.TensorSpec(shape, "uint8")],
        )
        with pytest.raises(ValueError, match="its rank and number of channels known"):
            trace.get_concrete_function()


def test_preprocess_input_in_a_jitted_function():
    if keras.backend.backend() != "jax":
        pytest.skip("needs the JAX backend")
    import jax

    images = np.random.default_rng(5).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    result = jax.jit(lambda images: preprocess_input(images, ROW))(images)
    np.testing.assert_allclose(result, normalised(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 4), (2, 3, 4, 4), (4, 3), (1, 2, 4, 4, 3)])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_images_of_another_shape_are_an_error(shape, as_tensor):
    images = np.zeros(shape, "float32")
    given = keras.ops.convert_to_tensor(images) if as_tensor else images
    numbers = ", ".join(str(side) for side in shape)
    with pytest.raises(ValueError, match=rf"`images` must.*width, 3\).*\W{numbers}\W"):
        preprocess_input(given, ROW)


def test_channels_last_images_are_an_error_under_channels_first():
    with pytest.raises(ValueError, match=r"`images` must have the shape \(3, height, width\)"):
        preprocess_input(np.zeros((4, 4, 3)), ROW, data_format="channels_first")


def test_complex_images_and_an_unknown_data_format_are_errors():
    with pytest.raises(ValueError, match=r"`images` must be of a real dtype.*complex64"):
        preprocess_input(np.zeros((4, 4, 3), "complex64"), ROW)
    with pytest.raises(ValueError, match=r"`data_format` must be .*'channels_middle'"):
        preprocess_input(np.zeros((4, 4, 3)), ROW, data_format="channels_middle")


def test_normalization_is_preprocess_input():
    scale, offset = normalization(ROW)
    np.testing.assert_allclose(scale, [0.017124754, 0.017507003, 0.017429194], rtol=1e-6)
    np.testing.assert_allclose(offset, [-2.117904, -2.035714, -1.804444], rtol=1e-6)
    levels = np.repeat(np.arange(256.0)[:, None, None], 3, axis=2)
    np.testing.assert_allclose(levels * scale + offset, normalised(levels), rtol=0, atol=1e-12)
    layer = keras.layers.Rescaling(list(scale), list(offset))
    result = keras.ops.convert_to_numpy(layer(levels[None].astype("float32")))
    np.testing.assert_allclose(result, preprocess_input(levels[None], ROW), rtol=0, atol=2e-6)


LABELS = {
    0: ("n01440764", "tench"),
    1: ("n01443537", "goldfish"),
    134: ("n02012849", "crane"),
    207: ("n02099601", "golden_retriever"),
    285: ("n02124075", "Egyptian_cat"),
    386: ("n02504458", "African_elephant"),
    517: ("n03126707", "crane"),
    999: ("n15075141", "toilet_tissue"),
}


@pytest.mark.parametrize("as_tensor", [False, True])
def test_decode_predictions_names_the_golden_labels(as_tensor):
    scores = np.eye(1000, dtype="float32")[list(LABELS)] * 0.5
    given = keras.ops.convert_to_tensor(scores) if as_tensor else scores
    decoded = decode_predictions(given, top=1, weights=ROW)
    assert decoded == [[(*label, 0.5)] for label in LABELS.values()]


def test_decode_predictions_sorts_by_descending_score():
    scores = np.full((2, 1000), -3.0)
    scores[0, [999, 0, 207, 1, 285, 386]] = [0.1, 0.2, 0.5, 0.3, 0.4, -1.0]
    scores[1, 386] = 7.0
    first, second = decode_predictions(scores)
    assert [name for _, name, _ in first] == [
        "golden_retriever",
        "Egyptian_cat",
        "goldfish",
        "tench",
        "toilet_tissue",
    ]
    assert [score for _, _, score in first] == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert second[0] == ("n02504458", "African_elephant", 7.0)
    assert len(second) == 5


def test_equal_scores_come_in_class_order():
    scores = np.zeros((1, 1000), "float32")
    scores[0, [999, 1, 386]] = 1.0
    (decoded,) = decode_predictions(scores, top=4)
    names = [name for _, name, _ in decoded]
    assert names == ["goldfish", "African_elephant", "toilet_tissue", "tench"]


def test_a_top_over_1000_names_every_class_once_in_order():
    (decoded,) = decode_predictions(np.arange(1000)[None], top=np.int64(1001))
    assert [score for _, _, score in decoded] == list(range(999, -1, -1))
    synsets = [synset for synset, _, _ in decoded]
    assert synsets == sorted(set(synsets), reverse=True)
    assert len(synsets) == 1000
    assert all(len(synset) == 9 and synset[0] == "n" for synset in synsets)
    names = [name for _, name, _ in decoded]
    # Two pairs of classes share a first lemma: the birds and machines called crane, and maillot.
    assert len(set(names)) == 998
    assert all(name.isascii() and name and " " not in name for name in names)


def test_no_predictions_give_no_names():
    assert decode_predictions(np.zeros((0, 1000))) == []


@pytest.mark.parametrize("shape", [(1000,), (1, 1000, 1), (2, 999), (1, 11821)])
def test_predictions_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match=r"`predictions` must .*\(batch, 1000\).*12k") as caught:
        decode_predictions(np.zeros(shape, "float32"))
    assert str(shape) in str(caught.value)


def test_a_row_whose_classes_have_no_names_is_an_error():
    with pytest.raises(ValueError, match=r"ImageNet-12k .*the row 'in1k' with 11821 classes"):
        decode_predictions(np.zeros((1, 1000)), weights=make_row(classes=11821))


@pytest.mark.parametrize("top", [0, -1, 2.0, None])
def test_a_top_that_is_no_positive_integer_is_an_error(top):
    with pytest.raises(ValueError, match=f"`top` must be an integer of at least 1.*top={top}"):
        decode_predictions(np.zeros((1, 1000)), top=top)
