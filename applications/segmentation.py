"""Which class has each pixel? A small pyramid head, or DeepLabV3+, on a network of the zoo.

python applications/segmentation.py train --data photos --classes background,cat,dog --out runs/pets
python applications/segmentation.py evaluate runs/pets --data photos
python applications/segmentation.py predict runs/pets photo.jpg --out mask.png
python applications/segmentation.py --smoke --out runs/scenes

`--data` is a folder with the pictures in train and val, and for each a mask of the same name in
masks, a PNG whose values are the classes, 255 for pixels that do not count. `--head deeplab` needs
KerasHub. `--smoke` learns eight generated scenes by heart and ends with the line `mIoU: ...`.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from keras_se.applications import get_model
from keras_se.dense.scenes import CLASSES, write_scenes
from keras_se.dense.segmentation import MaskBatches, mean_iou, pyramid_head, segment
from keras_se.files import write_text
from keras_se.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides the result of a training."""

    network: str = "SEResNet50"
    weights: str = "imagenet"
    head: str = "pyramid"
    size: int = 512
    epochs: int = 50
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    seed: int = 0


# Of the classes but the background, red, green and blue.
COLORS = ((0, 0, 0), (255, 60, 60), (60, 220, 90), (80, 110, 255), (250, 200, 40), (200, 60, 220))
SMOKE = Recipe(network="SEResNet18", weights="", size=96, epochs=50)


def build(recipe: Recipe, classes: int) -> keras.Model:
    """Makes the segmenter: images of pixels from 0 to 255 become logits of the classes."""
    network = get_model(recipe.network)(
        include_top=False,
        weights=recipe.weights or None,
        input_shape=(recipe.size, recipe.size, 3),
        include_preprocessing=True,
        preprocessing=None if recipe.weights else Preprocessing(),
    )
    if recipe.head == "deeplab":
        from keras_se.dense.kerashub import deeplab

        return deeplab(network, classes)
    return pyramid_head(network, classes)


def train(recipe: Recipe, data: Path, names: list[str], out: Path) -> float:
    """Trains a segmenter, and writes it, its recipe and its mean IoU into a new folder."""
    keras.utils.set_random_seed(recipe.seed)
    classes = len(names)
    batches = MaskBatches(
        data, "train", recipe.size, recipe.batch_size, num_classes=classes, seed=recipe.seed
    )
    # Before the training, for what is wrong in them would lose its result.
    held_out = val_batches(data, recipe, classes)
    out.mkdir(parents=True)
    model = build(recipe, classes)
    steps = recipe.epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        metrics=[],
        jit_compile=False,
    )
    # KerasHub's own `fit` does not know Keras's datasets.
    keras.Model.fit(model, batches, epochs=recipe.epochs, verbose=2)
    # The optimizer's state would be two thirds of the file.
    model.compile()
    model.save(out / "model.keras")
    value = evaluate_model(model, held_out, classes)
    about = {"recipe": dataclasses.asdict(recipe), "class_names": names, "mean_iou": value}
    write_text(out / "run.json", json.dumps(about, indent=1))
    return value


def val_batches(data: Path, recipe: Recipe, classes: int) -> MaskBatches:
    """Lists the pictures of `val`, each a batch."""
    return MaskBatches(data, "val", recipe.size, 1, num_classes=classes, seed=None)


def evaluate_model(model: keras.Model, batches: MaskBatches, classes: int) -> float:
    """Returns the mean IoU on batches."""
    masks = [batches[step] for step in range(len(batches))]
    predictions = (np.asarray(model.predict(images, verbose=0)).argmax(-1) for images, _ in masks)
    return mean_iou([truth for _, truth in masks], predictions, classes)


def load(folder: Path) -> tuple[keras.Model, Recipe, list]:
    """Reads a segmenter, its recipe and the names of its classes from the folder of a run."""
    about = json.loads((folder / "run.json").read_text())
    if about["recipe"]["head"] == "deeplab":
        import keras_se.dense.kerashub  # noqa: F401 (registers what the file has)
    model = keras.models.load_model(folder / "model.keras", compile=False)
    return model, Recipe(**about["recipe"]), about["class_names"]


def predict(folder: Path, path: Path, out: Path) -> list[str]:
    """Paints the classes on a picture; returns a line for each, with its share of the pixels."""
    from PIL import Image

    model, recipe, names = load(folder)
    mask = segment(model, path, recipe.size)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), "float32")
    colors = np.array(COLORS)[mask % len(COLORS)]
    painted = np.where((mask > 0)[..., None], (pixels + colors) / 2, pixels)
    Image.fromarray(np.uint8(painted)).save(out)
    shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    return [f"{name} {100 * share:.1f} %" for name, share in zip(names, shares, strict=True)]


def parse(arguments):
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="eight generated scenes")
    parser.add_argument("--out", type=Path, help="new folder of the run")
    commands = parser.add_subparsers(dest="command")
    training = commands.add_parser("train", help="train a segmenter")
    training.add_argument("--data", type=Path, required=True, help="folder of pictures and masks")
    training.add_argument("--classes", required=True, help="names of the values 0, 1, ... of masks")
    training.add_argument("--out", type=Path, required=True, help="new folder of the run")
    for field in dataclasses.fields(Recipe):
        option = f"--{field.name.replace('_', '-')}"
        training.add_argument(option, type=field.type, default=field.default, help="%(default)s")
    command = commands.add_parser("evaluate", help="measure a segmenter on the pictures of val")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("--data", type=Path, required=True, help="folder of pictures and masks")
    command = commands.add_parser("predict", help="paint the classes on a picture")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("image", type=Path, help="picture")
    command.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args(arguments)
    if not options.command and not (options.smoke and options.out):
        parser.error("a command, or --smoke with --out, is needed")
    return options


def main(arguments=None):
    """Does what the command line says."""
    options = parse(arguments)
    if options.command == "predict":
        print("\n".join(predict(options.run, options.image, options.out)))
        return
    if options.command == "train":
        recipe = Recipe(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Recipe)})
        value = train(recipe, options.data, options.classes.split(","), options.out)
    elif options.command == "evaluate":
        model, recipe, names = load(options.run)
        batches = val_batches(options.data, recipe, len(names))
        value = evaluate_model(model, batches, len(names))
    else:
        data = write_scenes(options.out / "data", size=SMOKE.size)
        value = train(SMOKE, data, ["background", *CLASSES], options.out / "run")
    print(f"mIoU: {value:.2f}")


if __name__ == "__main__":
    main()
