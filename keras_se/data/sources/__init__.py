"""Where data come from: `--data digits`, `fake`, `folder:PATH`, `places365:PATH`, and others.

A source is a class with a `usage`, such as `"folder:PATH"`, whose only argument is what follows the
colon (none without a colon), and with a method `load`. That returns a `Dataset` of arrays, channels
last and of any size, or the `ImageLists` of images that are decoded later. To add one, write a
module with such a class and add the class to `SOURCES`.
"""

from keras_se.data.dataset import Dataset
from keras_se.data.loading import open_images, resize
from keras_se.data.sources.array import ArrayFile
from keras_se.data.sources.digits import Digits
from keras_se.data.sources.fake import Fake
from keras_se.data.sources.folder import Folder
from keras_se.data.sources.places365 import Places365
from keras_se.data.sources.tfds import TensorFlowDataset
from keras_se.preprocessing import Preprocessing

SOURCES = (Digits, Fake, Folder, Places365, ArrayFile, TensorFlowDataset)
KINDS = tuple(source.usage for source in SOURCES)
# Images that need more than this when decoded are decoded batch by batch.
MEMORY = 2 * 2**30
WHOLE_IMAGE = Preprocessing(crop=1.0, interpolation="bilinear")


def load(
    name: str,
    *,
    size: int | None = None,
    preprocessing: Preprocessing = WHOLE_IMAGE,
    memory: int = MEMORY,
    decode_train: bool = True,
    workers: int = 0,
) -> Dataset:
    """Loads a dataset by name.

    * `"digits"`: the 1,797 handwritten digits that scikit-learn ships, of 8x8 pixels; every fifth
      of each class is held out, 355 in all. The writers of the held-out digits wrote training
      digits too, so this is not a test on new writers.
    * `"fake"`: 160 images of noise in ten classes that differ in brightness, to try things with.
    * `"folder:PATH"`: a folder of images; see `keras_se.data.sources.folder.list_folder`.
    * `"places365:PATH"`: Places365 as its authors give it; see
      `keras_se.data.sources.places365.Places365`.
    * `"array:FILE"`: a file that `keras-se data prepare` has made of such a folder.
    * `"tfds:NAME"`: an image classification dataset that TensorFlow Datasets has prepared.

    Image files become uint8 squares: the short side is resized and the center is cropped. Broken
    files are left out and listed in `skipped`.

    Args:
        name: The name of the data.
        size: Side of the images in pixels; `None` leaves digits, fakes and arrays as they are, and
            is not legal for the others.
        preprocessing: How the images of folders and TFDS are resized and cropped to `size`; by
            default to the largest square in their center, by bilinear interpolation.
        memory: Bytes; images that would need more when decoded are decoded batch by batch.
        decode_train: Whether training images of files may be decoded at once. Batches that crop
            them at random need them as `LazyImages`, whatever the memory: a decoded image has lost
            all but its center. The held-out ones are decoded if they alone fit.
        workers: How many processes decode image files; with zero, threads of this process do, of
            which about four work at a time. Sets that are arrays have nothing to decode. As with
            every Python program that starts processes, the lines of a script that do so are behind
            `if __name__ == "__main__":`.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If there is no such source, a class is empty, the classes held out are not
            those to train on, or there are workers for images that are not files.
        ImportError: If a package is missing.
        OSError: If files are not there or cannot be read.

    Example:
    >>> load("fake", size=8).image_shape
    (8, 8, 3)
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise ValueError(f"`workers` must be zero or a positive integer. Received: {workers=}")
    contents = _source(name).load()
    if isinstance(contents, Dataset):
        return resize(contents, size)
    if size is None:
        raise ValueError(f"`size` is required for data={name!r}: its images may differ in size.")
    sized = preprocessing.replace(size=size)
    return open_images(contents, sized, memory, decode_train, name, workers)


def check(name: str) -> str:
    """Checks the name of a dataset, without looking whether the data are there.

    Args:
        name: The name, such as `"digits"` or `"folder:PATH"`.

    Returns:
        The name.

    Raises:
        ValueError: If no source has such a name.

    Example:
    >>> check("folder:photos")
    'folder:photos'
    """
    _source(name)
    return name


def _source(name):
    """The source of a name, made from what follows the colon."""
    prefix, colon, argument = str(name).partition(":")
    for source in SOURCES:
        source_prefix, source_colon, _ = source.usage.partition(":")
        if (prefix, colon, bool(argument)) == (source_prefix, source_colon, bool(source_colon)):
            return source(argument) if colon else source()
    legal = ", ".join(map(repr, KINDS))
    raise ValueError(f"`data` must be one of: {legal}. Received: data={name!r}")
