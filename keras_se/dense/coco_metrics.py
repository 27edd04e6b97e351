"""The metrics of COCO for what a detector finds, by pycocotools."""

import contextlib
import io
from collections.abc import Callable

import keras
import numpy as np

from keras_se.dense.coco import Picture, load_picture
from keras_se.validation import require_packages

# Where COCOeval has these of its twelve. Those by size go by the areas of outlines, not of boxes.
METRICS = {"AP": 0, "AP50": 1, "AP75": 2, "AR100": 8}


def coco_metrics(pictures: list[Picture], detections: list[dict], classes: int) -> dict:
    """Compares boxes that were detected with those of the annotations.

    Args:
        pictures: The pictures, as `keras_se.dense.coco.read_coco` gives them.
        detections: For each, a dictionary of `boxes` `(box, 4)`, the corners in pixels, `labels`
            and `scores`.
        classes: Number of classes.

    Returns:
        The metrics of COCO by name, from 0 to 1: `AP`, the mean average precision over thresholds
        of the overlap from 0.5 to 0.95, `AP50`, `AP75`, and `AR100`, the recall of 100 boxes.

    Raises:
        ImportError: If pycocotools is not installed.
    """
    require_packages("coco_metrics", "pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = [
        {"image_id": number, "category_id": int(label), "bbox": box, "score": float(score)}
        for number, objects in enumerate(detections)
        for box, label, score in zip(
            _sides(objects["boxes"]), objects["labels"], objects["scores"], strict=True
        )
    ]
    if not results:
        return dict.fromkeys(METRICS, 0.0)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(len(pictures))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": _annotations(pictures),
    }
    # It reports its progress on the console.
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[index]) for name, index in METRICS.items()}


def _annotations(pictures):
    rows = []
    for number, picture in enumerate(pictures):
        for box, label, crowd in zip(
            _sides(picture.boxes), picture.labels, picture.crowd, strict=True
        ):
            row = {"image_id": number, "category_id": int(label), "bbox": box}
            # COCOeval takes 0 for the number of no annotation.
            row |= {"id": len(rows) + 1, "area": box[2] * box[3], "iscrowd": int(crowd)}
            rows.append(row)
    return rows


def _sides(boxes):
    """Left, top, width and height of boxes."""
    boxes = np.asarray(boxes, "float64")
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def detect(
    detector: keras.Model, pictures: list[Picture], side: int, batch_size: int = 8
) -> list[dict]:
    """Detects objects on pictures, in the pixels of these.

    Args:
        detector: A detector of `keras_se.dense.kerashub`.
        pictures: The pictures; their boxes are not looked at.
        side: Of the squares that they are fitted into, in pixels.
        batch_size: Images of a batch.

    Returns:
        For each picture, `boxes`, `labels` and `scores` as arrays, the highest score first.
    """
    results = []
    for start in range(0, len(pictures), batch_size):
        batch = pictures[start : start + batch_size]
        images, scales = zip(*(load_picture(picture.path, side) for picture in batch), strict=True)
        # A batch of the same size each time, for which the detector is compiled but once.
        filled = np.zeros((batch_size, side, side, 3), "float32")
        filled[: len(batch)] = images
        outputs = detector.predict(filled, batch_size=batch_size, verbose=0)
        outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
        for i, (picture, scale) in enumerate(zip(batch, scales, strict=True)):
            number = int(outputs["num_detections"][i])
            boxes = np.clip(outputs["boxes"][i][:number] / scale, 0, [*picture.size, *picture.size])
            labels, scores = outputs["labels"][i][:number], outputs["confidence"][i][:number]
            results.append({"boxes": boxes, "labels": labels, "scores": scores})
    return results


class CocoMetrics(keras.callbacks.Callback):
    """Measures a detector at the end of epochs; KerasHub's `compile` takes no metrics.

    Args:
        measure: A function of the detector that gives metrics by name.
        every: How many epochs there are from one time to the next.
    """

    def __init__(self, measure: Callable, every: int = 1):
        super().__init__()
        self.measure, self.every = measure, every

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the metrics to the logs, with `val_` before their names."""
        if (epoch + 1) % self.every == 0 and logs is not None:
            logs |= {f"val_{name}": value for name, value in self.measure(self.model).items()}
