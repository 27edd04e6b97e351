"""The command `export`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.cli.command import OK
from keras_se.cli.images import check_exist, find_images, load_images
from keras_se.cli.models import MODEL_HELP, WEIGHTS_HELP, check_model, resolve_model
from keras_se.cli.startup import native_stderr_dropped

if TYPE_CHECKING:
    import numpy as np

    from keras_se.cli.models import ResolvedModel

FORMATS = (
    "keras",
    "litert",
    "litert_int8",
    "onnx",
    "onnx_fixed",
    "onnx_int8",
    "openvino",
    "openvino_int8",
    "saved_model",
    "state_dict",
)
# More of them fix the ranges no better, and take longer.
CALIBRATION_IMAGES = 300
# What --preprocessing without a value stands for.
OWN = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `export` to its parser."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("path", metavar="PATH", type=Path, help="file or folder to write")
    parser.add_argument("--weights", metavar="TAG_OR_FILE", help=WEIGHTS_HELP)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="what to write (default: by the ending of PATH, .onnx, .xml for OpenVINO, .tflite for "
        "LiteRT, .keras or .safetensors; without an ending a SavedModel)",
    )
    parser.add_argument(
        "--no-fold",
        action="store_true",
        help="write the network as it was trained; by default it is rewritten for inference, but "
        "in a state dict, which has timm's names",
    )
    _add_contents(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the export that is at PATH"
    )


def _add_contents(parser):
    """Adds what is written besides the network, and what its integers need."""
    parser.add_argument(
        "--preprocessing",
        metavar="[NETWORK.]TAG",
        nargs="?",
        const=OWN,
        help="take uint8 images and normalize them in the written network, as the model's run or "
        "weights want it, or as other weights do, such as seresnet50.a1_in1k",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of the classes, one a line, for the metadata (default: those of the weights "
        "or of the run)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FOLDER",
        type=Path,
        help="images that fix the ranges of 8-bit integers, for the formats that end in _int8; of "
        f"more than {CALIBRATION_IMAGES} so many are taken. In folders that are called as the "
        "classes are, they tell the accuracy too",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that are missing."""
    check_model(options.model, options.weights)
    for path in (options.labels, options.calibration):
        if path is not None:
            check_exist([path])


def run(options: argparse.Namespace) -> int:
    """Runs `export`; returns the exit status."""
    from keras_se.export import export_model
    from keras_se.preprocessing import behind_colors

    format = _format(options)
    model = resolve_model(options.model, options.weights, options.preprocessing or None)
    if model.network is None:
        raise ValueError(f"{options.model!r} is an export already: only Keras models are exported.")
    included = options.preprocessing is not None
    network = behind_colors(model.network) if included else model.network
    # Loaded from a file it does not know; the metadata says it even if it is not included.
    network.preprocessing = model.preprocessing
    names = model.class_names
    if options.labels is not None:
        names = options.labels.read_text(encoding="utf-8").splitlines()
    calibration, folders = None, []
    if options.calibration is not None:
        calibration, folders = load_calibration(options.calibration, model, included)
    with native_stderr_dropped():
        written = export_model(
            network,
            options.path,
            format,
            fold=not options.no_fold,
            preprocessing=model.require_preprocessing() if included else None,
            class_names=names,
            calibration=calibration,
            overwrite=options.overwrite,
        )
    print(f"{options.path}: largest difference from the Keras model {written.difference:.1e}")
    if written.agreement is not None:
        print(
            f"the likeliest class is the Keras model's for {100 * written.agreement:.2f} % of "
            f"{len(calibration)} images"
        )
        if names and set(folders) <= set(names):
            accuracy = _accuracy(written.path, calibration, folders, names)
            print(f"and the right one for {accuracy:.2f} %")
    return OK


def _accuracy(path, images, folders, names):
    """Percent of the images whose likeliest class has the name of their folder."""
    import numpy as np

    from keras_se.export import load_exported
    from keras_se.export.verify import likeliest_classes

    likeliest = likeliest_classes(load_exported(path), images)
    # By name: ImageNet has two classes of cranes.
    return 100 * float(np.mean([names[index] for index in likeliest] == np.array(folders)))


def _format(options):
    """The format's name; what cannot work costs no time, as nothing has been loaded yet."""
    from keras_se.export.formats import find_format

    chosen = find_format(options.format, options.path)
    if chosen.calibrated and options.calibration is None:
        raise ValueError(f"--format {chosen.name} needs --calibration FOLDER")
    if options.calibration is not None and not chosen.calibrated:
        names = ", ".join(name for name in FORMATS if name.endswith("_int8"))
        raise ValueError(f"--calibration goes with {names}, not with {chosen.name}.")
    chosen.require_environment()
    return chosen.name


def load_calibration(
    folder: Path, model: "ResolvedModel", included: bool = False
) -> tuple["np.ndarray", list[str]]:
    """Loads the images of a folder that fix the ranges of 8-bit integers.

    Args:
        folder: The folder, with images at any level; some are taken, evenly, of too many.
        model: The `ResolvedModel`, for whose network they are prepared.
        included: Whether the written network normalizes them, so that they stay pixels.

    Returns:
        The images, and the name of the folder that each is in.

    Raises:
        ValueError: If there are none that can be read.
    """
    import numpy as np

    files = list(find_images([folder]))
    if len(files) > CALIBRATION_IMAGES:
        chosen = np.linspace(0, len(files) - 1, CALIBRATION_IMAGES).astype(int)
        files = [files[index] for index in chosen]
    pairs = list(load_images(files, model.require_preprocessing(), []))
    if not pairs:
        raise ValueError(f"--calibration: no image in {str(folder)!r} can be read")
    images = np.stack([pixels for _, pixels in pairs])
    folders = [path.parent.name for path, _ in pairs]
    return images if included else model.to_input(images), folders
