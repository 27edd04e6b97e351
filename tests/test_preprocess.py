import io
import math
import threading
import warnings
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from keras_se.preprocessing import Preprocessing

pytestmark = pytest.mark.backend_neutral

ROW = Preprocessing()
NO_CROP = Preprocessing(size=8, crop=1.0, interpolation="nearest")
ROWS = [
    Preprocessing(224, 0.875, interpolation="bicubic"),
    Preprocessing(224, 0.875, interpolation="bilinear"),
    Preprocessing(288, 1.0, interpolation="bicubic"),
    Preprocessing(160, 0.95, interpolation="bicubic"),
    Preprocessing(176, 0.875, interpolation="bilinear"),
    Preprocessing(130, 0.95, interpolation="bicubic"),  # 136.8 pixels: rounding down shows.
]
# (height, width): landscape, portrait, square, odd, already the short side, tiny, one pixel.
SIZES = [(300, 500), (500, 300), (333, 333), (397, 261), (256, 301), (7, 5), (1, 1)]


def photo(height, width, seed=0):
    """Smooth color ramps plus noise: every pixel differs and edges reach 0 and 255."""
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
    loaded = row.load_image(saved(Image.fromarray(pixels), tmp_path / "photo.png"))
    assert loaded.dtype == np.uint8
    assert loaded.shape == (row.size, row.size, 3)
    difference = np.abs(loaded - reference(pixels, row))
    assert difference.max() <= 1
    # Offsets or kernels that are slightly off pass a tolerance on smooth parts, not on average.
    assert difference.mean() < 0.01


@pytest.mark.parametrize(("width", "left"), [(9, 0), (10, 1), (11, 2), (12, 2), (13, 2), (15, 4)])
def test_the_crop_rounds_half_a_pixel_to_the_even_offset(width, left):
    pixels = photo(8, width)
    np.testing.assert_array_equal(NO_CROP.load_image(pixels), pixels[:, left : left + 8])
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    np.testing.assert_array_equal(NO_CROP.load_image(turned), turned[left : left + 8])


def test_a_path_as_text_a_picture_and_an_array_give_the_same(tmp_path):
    pixels = photo(90, 120)
    path = saved(Image.fromarray(pixels), tmp_path / "photo.png")
    expected = ROW.load_image(path)
    np.testing.assert_array_equal(ROW.load_image(str(path)), expected)
    np.testing.assert_array_equal(ROW.load_image(Image.fromarray(pixels)), expected)
    np.testing.assert_array_equal(ROW.load_image(pixels), expected)
    assert expected.flags.writeable


def test_a_grey_array_and_an_array_of_negative_strides(tmp_path):
    pixels = photo(8, 8)
    gray = np.repeat(pixels[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(NO_CROP.load_image(pixels[:, :, 0]), gray)
    np.testing.assert_array_equal(NO_CROP.load_image(pixels[::-1, ::-1]), pixels[::-1, ::-1])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "1", "CMYK", "HSV"])
def test_other_modes_become_their_rgb(mode):
    picture = Image.fromarray(photo(8, 8)).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(photo(8, 8, seed=1)[:, :, 0]))
    expected = np.asarray(picture.convert("RGB"))
    assert expected.std() > 20
    np.testing.assert_array_equal(NO_CROP.load_image(picture), expected)


def test_a_palette_with_transparency_keeps_its_colors_without_a_warning(tmp_path):
    colors = photo(1, 8)[0]
    picture = Image.fromarray(np.arange(64, dtype="uint8").reshape(8, 8) % 8)
    picture.putpalette(colors.tobytes())
    path = saved(picture, tmp_path / "palette.png", transparency=bytes([0, 128, 255, 7]))
    with Image.open(path) as picture:
        assert isinstance(picture.info["transparency"], bytes)
    loaded = NO_CROP.load_image(path)
    np.testing.assert_array_equal(loaded, np.broadcast_to(colors, (8, 8, 3)))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path, suffix):
    levels = (np.arange(64) * 1040).reshape(8, 8).astype("uint16")
    path = saved(Image.fromarray(levels), tmp_path / f"gray.{suffix}")
    expected = np.repeat((levels // 256).astype("uint8")[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(NO_CROP.load_image(path), expected)
    wide = Image.fromarray(levels.astype("int32"))
    assert wide.mode == "I"
    np.testing.assert_array_equal(NO_CROP.load_image(wide), expected)


def test_the_orientation_of_the_camera_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = photo(8, 8)
    path = saved(Image.fromarray(pixels), tmp_path / "turned.png", exif=exif)
    with Image.open(path) as picture:
        assert picture.getexif()[0x0112] == 6
    np.testing.assert_array_equal(NO_CROP.load_image(path), pixels)


def test_a_missing_file_and_a_folder_name_themselves(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing_here\.jpg"):
        ROW.load_image(tmp_path / "nothing_here.jpg")
    with pytest.raises(OSError, match=tmp_path.name):
        ROW.load_image(tmp_path)


@pytest.mark.parametrize("content", [b"", b"plain text, no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: (not an image|cannot be)"):
        ROW.load_image(path)


@pytest.mark.parametrize(
    "content",
    (
        # Pillow would start Ghostscript for the first, and look for a library for the other.
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n",
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    ),
)
def test_a_file_of_a_format_that_is_none_of_pictures(tmp_path, content):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"photo\.jpg: not an image file of JPEG"):
        Preprocessing().load_image(path)


def test_cameras_write_several_pictures_into_a_jpeg(tmp_path):
    path, pictures = tmp_path / "photo.jpg", [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    pictures[0].save(path, "MPO", save_all=True, append_images=pictures[1:])
    assert Preprocessing(size=8).load_image(path)[4, 4].argmax() == 0


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_a_truncated_file(tmp_path, suffix):
    whole = io.BytesIO()
    Image.fromarray(photo(64, 64)).save(whole, suffix)
    path = tmp_path / f"half.{suffix}"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(ValueError, match=rf"half\.{suffix}: (not an image|cannot be)"):
        ROW.load_image(path)


@pytest.mark.parametrize("limit", [600, 400], ids=["warned about", "refused"])
def test_a_decompression_bomb_is_an_error_of_ours(tmp_path, monkeypatch, limit):
    path = saved(Image.fromarray(photo(30, 30)), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with (
        warnings.catch_warnings(record=True) as leaked,
        pytest.raises(ValueError, match=r"bomb\.png: .*\(900 pixels\)"),
    ):
        warnings.simplefilter("always")
        NO_CROP.load_image(path)
    assert leaked == []


def test_a_strip_that_would_grow_huge_is_an_error(monkeypatch):
    strip = photo(1, 3000)
    with pytest.raises(ValueError, match="3000 x 1 pixels would become 1536000 x 512"):
        Preprocessing(size=448).load_image(strip)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert Preprocessing(size=8).load_image(strip).shape == (8, 8, 3)


def test_loading_in_threads_leaves_the_warning_filters_alone(tmp_path):
    path = saved(Image.fromarray(photo(8, 8)), tmp_path / "photo.png")
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [NO_CROP.load_image(path) for _ in range(50)])
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
    with pytest.raises(ValueError, match=rf"`image`.*must be uint8.*Received: {received}"):
        ROW.load_image(array)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.new("F", (8, 8)), "floating point"),
        (Image.new("RGB", (0, 8)), "no pixels"),
        (Image.new("I", (8, 8), 65536), "gray levels 65536 to 65536 do not fit 16 bits"),
        (Image.new("I", (8, 8), -1), "gray levels -1 to -1 do not fit 16 bits"),
    ],
)
def test_pictures_without_a_sensible_rgb(picture, reason):
    with pytest.raises(ValueError, match=f"the PIL image: cannot be decoded: .*{reason}"):
        ROW.load_image(picture)
