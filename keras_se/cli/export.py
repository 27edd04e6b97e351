"""The command `export`."""

import argparse
import dataclasses
import sys
from pathlib import Path

from keras_se.cli.command import (
    OK,
    add_weights,
    find_preprocessing,
    load_model,
    one_line,
)

FORMATS = (
    "keras",
    "litert",
    "litert_int8",
    "onnx",
    "onnx_fixed",
    "openvino",
    "saved_model",
    "state_dict",
)
# More of them fix the ranges no better, and take longer.
CALIBRATION_IMAGES = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `export` to its parser."""
    parser.add_argument(
        "model", metavar="MODEL", help="a .keras file, or the name of a network with --weights"
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="file or folder to write")
    add_weights(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=None,
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
        metavar="NETWORK.TAG",
        nargs="?",
        const="",
        default=None,
        help="take uint8 images and normalise them in the written network, as these weights want "
        "it, such as seresnet50.a1_in1k (default: those of --weights)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of the classes, one a line, for the metadata (default: those of the weights, "
        "or of the run that a .keras file is of)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FOLDER",
        type=Path,
        help=f"images for litert_int8; of more than {CALIBRATION_IMAGES} so many are taken",
    )


def run(options: argparse.Namespace) -> int:
    """Runs `export`; returns the exit status."""
    from keras_se.export import export_model
    from keras_se.export.formats import find_format

    chosen = find_format(options.format, options.path)
    # Before anything is loaded, so that what cannot work costs no time.
    if chosen.calibrated and options.calibration is None:
        raise ValueError(f"--format {chosen.name} needs --calibration FOLDER")
    if options.calibration is not None and not chosen.calibrated:
        raise ValueError(f"--calibration goes with litert_int8, not with {chosen.name}.")
    chosen.require_environment()
    names = None if options.labels is None else _lines(options.labels)
    preprocessing = _preprocessing(options)
    model, default_names = _model(options)
    calibration = None
    if options.calibration is not None:
        calibration = _calibration(options, model, preprocessing)
    written = export_model(
        model,
        options.path,
        chosen.name,
        fold=not options.no_fold,
        preprocessing=preprocessing,
        class_names=names or default_names,
        calibration=calibration,
        overwrite=options.overwrite,
    )
    print(f"{options.path}: largest difference from the Keras model {written.difference:.1e}")
    if written.agreement is not None:
        print(
            f"the likeliest class is the Keras model's for {100 * written.agreement:.2f} % of "
            f"{len(calibration)} images"
        )
    return OK


def _model(options):
    """The model, and the names of its classes or `None`."""
    if options.model.endswith(".keras"):
        from keras_se.training.run_folder import class_names_beside

        return load_model(options), class_names_beside(options.model)
    from keras_se import applications

    application = applications.get_model(options.model)
    model = application(weights=options.weights or application.default_weights)
    return model, model.class_names


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def _calibration(options, model, preprocessing):
    """The images of the folder, as the written network takes them."""
    import numpy as np

    row = preprocessing or _own_row(options)
    sides = {side for side in model.inputs[0].shape[1:-1] if side is not None}
    if options.model.endswith(".keras") and len(sides) == 1:
        row = dataclasses.replace(row, size=sides.pop())
    files = sorted(one for one in options.calibration.rglob("*") if one.is_file())
    if len(files) > CALIBRATION_IMAGES:
        chosen = np.linspace(0, len(files) - 1, CALIBRATION_IMAGES).astype(int)
        files = [files[index] for index in chosen]
    images = []
    for file in files:
        try:
            images.append(row.load_image(file))
        except (ValueError, OSError) as error:
            print(f"keras-se: skipped {file}: {one_line(error)}", file=sys.stderr)
    if not images:
        raise ValueError(f"--calibration: there are no images in {str(options.calibration)!r}")
    images = np.stack(images)
    return images if preprocessing else row.normalize(images, data_format="channels_last")


def _own_row(options):
    """The registry's row that says how the images of a network without --preprocessing look."""
    from keras_se import applications

    if options.model.endswith(".keras"):
        raise ValueError(
            "--calibration of a .keras file goes with --preprocessing NETWORK.TAG, which says how "
            "images become its input"
        )
    application = applications.get_model(options.model)
    return find_preprocessing(application, options.weights, None).preprocessing


def _preprocessing(options):
    """The registry's row that `--preprocessing` names, or `None` without it."""
    from keras_se import applications

    if options.preprocessing is None:
        return None
    if options.model.endswith(".keras"):
        if "." not in options.preprocessing:
            raise ValueError("--preprocessing of a .keras file must name weights: NETWORK.TAG")
        return find_preprocessing(None, None, options.preprocessing).preprocessing
    application = applications.get_model(options.model)
    return find_preprocessing(application, options.weights, options.preprocessing).preprocessing
