"""Predicts the parts of a folder one after the other, within one process."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_se.data.pipeline import PrefetchingDataset
from keras_se.formatting import printable
from keras_se.prediction.folder import PredictionFolder
from keras_se.preprocessing import Preprocessing


class DecodedFiles(PrefetchingDataset):
    """Batches of decoded image files, all of one size; threads decode those that come next.

    Args:
        files: The image files.
        preprocessing: How they are resized and cropped.
        batch_size: Images of a batch. Where a file cannot be read, and behind the last one, images
            are black: a network compiled for a batch size is not compiled again.
    """

    def __init__(self, files: list[Path], preprocessing: Preprocessing, batch_size: int):
        super().__init__(prefetch=True)
        self._files, self._preprocessing, self._batch_size = files, preprocessing, batch_size

    def __len__(self) -> int:
        """Returns the number of batches."""
        return -(-len(self._files) // self._batch_size)

    def batch(self, index: int) -> tuple[np.ndarray, list[str | None]]:
        """Decodes a batch.

        Returns:
            uint8 pixels `(image, size, size, 3)`, and for each file why it could not be read, or
            `None`.
        """
        start, size = index * self._batch_size, self._preprocessing.size
        images = np.zeros((self._batch_size, size, size, 3), "uint8")
        errors = []
        for row, file in enumerate(self._files[start : start + self._batch_size]):
            try:
                images[row] = self._preprocessing.load_image(file)
                errors.append(None)
            except (ValueError, OSError) as error:
                errors.append(printable(str(error)))
        return images, errors


@dataclasses.dataclass
class Predictor:
    """Predicts parts of a folder; it may be sent to another process before it is first called.

    Attributes:
        load_model: Callable that loads the model, which has `predict(images)`,
            `require_preprocessing()` and `class_names`.
        folder: Where the parts are.
        batch_size: Images of a batch.
        top: How many classes to keep of an image, the likeliest first.
    """

    load_model: Callable
    folder: PredictionFolder
    batch_size: int
    top: int

    def __call__(self, part: int) -> int:
        """Predicts the image files of a part, writes its Parquet file and returns the part.

        Raises:
            OSError: If the folders of the images are not there, such as a disk that is not mounted.
        """
        import pyarrow

        model = self._model()
        files = self.folder.read_files(part)
        if not any(file.parent.is_dir() for file in files):
            raise FileNotFoundError(f"There is no folder {str(files[0].parent)!r} of images here.")
        batches = DecodedFiles(files, model.require_preprocessing(), self.batch_size)
        columns = {name: [] for name in ("error", "classes", "names", "probabilities")}
        try:
            for index in range(len(batches)):
                images, errors = batches[index]
                for row in self._rows(model.predict(images), errors, model.class_names):
                    for column, value in zip(columns.values(), row, strict=True):
                        column.append(value)
        finally:
            batches.close()
        columns = {"path": [printable(str(file)) for file in files]} | columns
        self.folder.write(part, pyarrow.table(columns, _schema()))
        return part

    def _model(self):
        """The model, which each process loads once."""
        if "_loaded" not in vars(self):
            self._loaded = self.load_model()
        return self._loaded

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_loaded"}

    def _rows(self, scores, errors, class_names):
        """The values of the columns of each image, without its path."""
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top]
        # Scores of black images are left over behind the last file.
        for error, classes, row in zip(errors, best, scores, strict=False):
            if error is not None:
                yield error, None, None, None
            else:
                names = class_names and [class_names[index] for index in classes]
                yield None, classes.tolist(), names, row[classes].tolist()


def _schema():
    import pyarrow

    columns = {
        "path": pyarrow.string(),
        "error": pyarrow.string(),
        "classes": pyarrow.list_(pyarrow.int32()),
        "names": pyarrow.list_(pyarrow.string()),
        "probabilities": pyarrow.list_(pyarrow.float32()),
    }
    return pyarrow.schema(columns.items())
