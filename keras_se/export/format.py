"""What a format is: its files, what it needs, and how it is written, run and read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_se.validation import require_packages


@dataclass(frozen=True)
class Format:
    """One way to write a network. Subclasses write, run and read it.

    Attributes:
        name: What `export_model` calls it.
        suffix: How its file's name ends, or `None` for a folder.
        packages: Names of the modules that it needs.
        tensorflow: Whether only the TensorFlow backend can write it.
        beside: Endings of further files, which replace `suffix`.
        graph: Whether the network itself is written, and not only its weights.
        calibrated: Whether it needs calibration images.
        fixed_size: Whether it is for images of the size of the model only.
        rewritten: Whether networks are rewritten so that its 8-bit integers hold them.
    """

    name: str
    suffix: str | None
    packages: tuple = ()
    tensorflow: bool = False
    beside: tuple = ()
    graph: bool = True
    calibrated: bool = False
    fixed_size: bool = False
    rewritten: bool = False

    def prepare(self, inference_model):
        """Makes what is written of the `InferenceModel`.

        Args:
            inference_model: The `InferenceModel`.

        Returns:
            An `InferenceModel`, which is described, written and compared in its place.
        """
        return inference_model

    def write(self, inference_model, path: Path, metadata: dict, calibration=None) -> None:
        """Writes the files of an export.

        Args:
            inference_model: The `InferenceModel`.
            path: The file or folder.
            metadata: What `describe` says about it.
            calibration: The images that fix the ranges of 8-bit integers, if `calibrated`.
        """
        raise NotImplementedError

    def load(self, path: Path, inference_model=None) -> Callable:
        """Loads an export into its runtime.

        Args:
            path: The file or folder.
            inference_model: The `InferenceModel` that it was made of, which a format that has no
                graph is run by.

        Returns:
            A callable from a batch of images to a list of output arrays.
        """
        raise NotImplementedError

    def read(self, path: Path) -> str | bytes:
        """Returns the metadata of an export as JSON.

        Args:
            path: The file or folder.
        """
        raise NotImplementedError

    def check_overwrite(self, path: Path, overwrite: bool) -> None:
        """Refuses to write where anything but an export to be replaced would be lost.

        Args:
            path: The file or folder to write.
            overwrite: Whether an export of this format may be replaced.

        Raises:
            FileExistsError: If so.
        """
        if self.suffix is None:
            if not path.exists() or (path.is_dir() and not any(path.iterdir())):
                return
            if not overwrite:
                raise FileExistsError(f"{str(path)!r} is there already and not an empty folder.")
            if not (path / "saved_model.pb").is_file():
                raise FileExistsError(f"{str(path)!r} is not a SavedModel, so it is not replaced.")
            return
        for file in (*(path.with_suffix(suffix) for suffix in self.beside), path):
            if file.exists() and not overwrite:
                raise FileExistsError(f"{str(file)!r} is there already.")
            if file.exists() and not file.is_file():
                raise FileExistsError(f"{str(file)!r} is not a file, so it is not replaced.")

    def require_arguments(self, fold, preprocessing, calibration) -> None:
        """Requires arguments of `export_model` that go with the format.

        Args:
            fold: As for `export_model`.
            preprocessing: As for `export_model`.
            calibration: As for `export_model`.

        Raises:
            ValueError: If they do not.
        """
        if not self.graph and preprocessing is not None:
            raise ValueError(
                f"`preprocessing` cannot be part of format={self.name!r}, which holds weights "
                f"only. Received: preprocessing={preprocessing!r}"
            )
        if self.calibrated and not fold:
            raise ValueError(f"format={self.name!r} needs fold=True. Received: fold={fold!r}")
        if self.calibrated == (calibration is None):
            need = "needs" if self.calibrated else "takes no"
            raise ValueError(
                f"format={self.name!r} {need} calibration images, which fix the ranges of 8-bit "
                f"integers. Received: calibration {'missing' if self.calibrated else 'given'}"
            )

    def require_environment(self) -> None:
        """Requires the backend and the packages that write the format.

        Raises:
            ValueError: If it needs the TensorFlow backend.
            ImportError: If packages are missing; the message has the command that installs them.
        """
        if self.tensorflow and keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Exporting format={self.name!r} needs the TensorFlow backend: set "
                "KERAS_BACKEND=tensorflow and load the model there. Received: the backend "
                + keras.backend.backend()
            )
        require_packages(f"Exporting format={self.name!r}", *self.packages)
