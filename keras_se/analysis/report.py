"""One HTML page about the gates of a network, with its figures and pictures inside."""

import dataclasses
from collections.abc import Sequence
from html import escape

import keras
import numpy as np

from keras_se.analysis.figures import (
    PLOTS_STYLE,
    class_means_figure,
    class_spread_figure,
    depth_figure,
    paper_blocks,
    plots_html,
)
from keras_se.analysis.gates import GateAnalysis
from keras_se.analysis.grad_cam import grad_cam
from keras_se.data import Dataset
from keras_se.data_format import image_axis
from keras_se.evaluation.evaluate import held_out_batches
from keras_se.evaluation.html import (
    html_page,
    html_row,
    html_table,
    picture_grid,
    readable_images,
)
from keras_se.preprocessing import Preprocessing, scale_to_unit

MOST_OVERLAYS = 10
CHANNELS_OF_STAGE = 3
STYLE = """
.channel { display: flex; flex-wrap: wrap; gap: 4px 32px; }
.channel p, h4 { margin: 0.5em 0 0; }
.small .pictures { gap: 8px; }
.small figure, .small figure img { width: 80px; }
/* Four side by side on a phone. */
@media (max-width: 480px) { .small figure, .small figure img { width: 76px; } }
dt { font-weight: bold; }
"""
NUMBERS = (
    ("eta_squared", "Share of variance between classes (eta2)", 1),
    ("selectivity", "Class selectivity", 1),
    ("probe_accuracy", "Nearest class mean of the gates, % right", 1),
    ("saturated", "Saturated gates, %", 100),
    ("distance_to_constant", "Distance to constant gates", 1),
    ("effective_channels", "Effective number of channels", 1),
)
WORDS = """
<dl>
<dt>eta2</dt><dd>Share of the variance of the gates that is between classes, corrected for few
images of a class: 0 if gates do not depend on the class, 1 if on nothing else.</dd>
<dt>chance</dt><dd>The number on its left with the labels of the images shuffled.</dd>
<dt>selectivity</dt><dd>How much larger the mean gate of a channel's best class is than that of all
others, as a share of their sum; the mean over channels.</dd>
<dt>saturated</dt><dd>Share of the gates above 0.95 or below 0.05.</dd>
<dt>to constant</dt><dd>The error of the mean gates in place of the gates, as a share of the gates'
size: 0 if constants can replace the block.</dd>
<dt>effective</dt><dd>How many channels would vary as much if each varied on its own.</dd>
<dt>probe</dt><dd>How many images have the gates that are nearest to the mean gates of their
class.</dd>
</dl>
"""


def gate_report(
    analysis: GateAnalysis,
    model: keras.Model,
    dataset: Dataset,
    preprocessing: Preprocessing | None = None,
    *,
    title: str = "Gates",
    classes: Sequence[str] | None = None,
) -> str:
    """Lays out a page about the gates of a network.

    Args:
        analysis: What `analyze_gates` has measured.
        model: The network.
        dataset: The `keras_se.data.Dataset` that it was measured on.
        preprocessing: How its pixels are normalized, as for `analyze_gates`.
        title: The page's title.
        classes: Names of the classes to draw the gates of; by default those of `paper_classes`, and
            two of these where deviations are drawn.

    Returns:
        The text of an HTML page that needs no other file.

    Raises:
        ValueError: If there is no such class.
        ImportError: If Matplotlib is not installed.
    """
    head, *rows = analysis.table()
    accuracy = "" if analysis.accuracy is None else f", of which it names {analysis.accuracy:.2f} %"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{analysis.images} images of {len(analysis.class_names)} classes{accuracy}.</p>",
        f"<p>{escape(_in_words(analysis))}</p>",
        "<h2>Every block</h2>",
        html_table([html_row(head[0], head[1:], "th"), *(html_row(r[0], r[1:]) for r in rows)]),
        WORDS,
        "<h2>Along the network</h2>",
        plots_html(depth_figure(analysis, *number) for number in NUMBERS),
        "<h2>Mean gates of classes</h2>",
        "<p>The last block of each stage and all of the last stage, as in figure 6 of the paper; "
        "of many channels an even sample.</p>",
        plots_html(
            class_means_figure(analysis, [name], classes) for name in paper_blocks(analysis)
        ),
        "<h2>Images of a class</h2>",
        "<p>Mean and standard deviation within classes, as in figure 7.</p>",
        plots_html(
            class_spread_figure(analysis, [name], classes) for name in paper_blocks(analysis)
        ),
        "<h2>Channels that separate classes best</h2>",
        *_channels(analysis, dataset),
    ]
    if analysis.accuracy is not None:
        parts.append("<h2>Where it looks</h2>")
        parts.append("<p>Grad-CAM of the predicted class in the last map.</p>")
        grid = picture_grid(_overlays(model, dataset, preprocessing))
        parts.append(f'<div class="small">{grid}</div>')
    return html_page(title, parts, PLOTS_STYLE + STYLE)


def _in_words(analysis):
    """What the numbers of the first and the last stage say about the paper's findings."""
    first = [block for block in analysis.blocks if block.stage == analysis.blocks[0].stage]
    last = [block for block in analysis.blocks if block.stage == analysis.blocks[-1].stage]

    def mean(blocks, number):
        return np.mean([getattr(block, number) for block in blocks])

    return (
        "The paper finds that early gates are the same for all classes, late ones are not, and "
        "most of the last stage's are near one (section 7.2). Here the share of the gates' "
        f"variance that is between classes is {mean(first, 'eta_squared'):.2f} in the first stage "
        f"and {mean(last, 'eta_squared'):.2f} in the last; class selectivity goes from "
        f"{mean(first, 'selectivity'):.3f} to {mean(last, 'selectivity'):.3f}. Of the last stage's "
        f"gates {100 * mean(last, 'saturated_high'):.1f} % are above 0.95 and "
        f"{100 * mean(last, 'saturated_low'):.1f} % below 0.05, and constants in their place would "
        f"be off by {100 * mean(last, 'distance_to_constant'):.0f} % of their size."
    )


def _channels(analysis, dataset):
    """For each stage its best channels, with their most and least gated images."""
    images, labels = readable_images(dataset.test_images), _readable_labels(dataset)
    for stage in dict.fromkeys(block.stage for block in analysis.blocks):
        yield f"<h3>Stage {stage}</h3>"
        for value, block, channel in _best_channels(analysis, stage):
            yield f"<h4>{escape(block.name)}, channel {channel}: eta2 {value:.2f}</h4>"
            yield '<div class="channel small">'
            for words, numbers in (("Largest", block.strongest), ("Smallest", block.weakest)):
                shown = [
                    (images(index), dataset.class_names[labels[index]])
                    for index in numbers[:, channel]
                ]
                yield f"<div><p>{words} gates</p>{picture_grid(shown)}</div>"
            yield "</div>"


def _best_channels(analysis, stage):
    """The channels of a stage with the most variance between classes, no two of the same images."""
    channels, seen = [], set()
    for block in (block for block in analysis.blocks if block.stage == stage):
        values = np.nan_to_num(block.channel_eta_squared())
        channels += [(values[channel], block, channel) for channel in range(block.channels)]
    channels.sort(key=lambda entry: -entry[0])
    for value, block, channel in channels:
        # Channels that rise and fall together show the same, at one end or the other.
        ends = frozenset((block.strongest[0, channel], block.weakest[0, channel]))
        if ends not in seen and len(seen) < CHANNELS_OF_STAGE:
            seen.add(ends)
            yield value, block, channel


def _readable_labels(dataset):
    return np.delete(dataset.test_labels, sorted(getattr(dataset.test_images, "broken", ())))


def _overlays(model, dataset, preprocessing):
    """For one image of some classes, the image and its Grad-CAM, with captions."""
    labels = _readable_labels(dataset)
    firsts = [np.flatnonzero(labels == label)[:1] for label in np.unique(labels)[:MOST_OVERLAYS]]
    numbers = np.concatenate(firsts)
    image = readable_images(dataset.test_images)
    images, labels = np.stack([image(number) for number in numbers]), labels[numbers]
    few = dataclasses.replace(dataset, test_images=images, test_labels=labels)
    inputs = held_out_batches(few, preprocessing, len(images)).batch(0)[0]
    maps = grad_cam(model, inputs)
    predicted = model.predict(inputs, verbose=0).argmax(axis=1)
    for pixels, each, label, guess in zip(images, maps, labels, predicted, strict=True):
        yield pixels, dataset.class_names[label]
        yield overlay(pixels, each), f"taken for {dataset.class_names[guess]}"


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Colors an image by a map: blue where it is zero, red where it is one.

    Args:
        image: Pixels of one image, uint8 or floats from 0 to 1, in Keras's data format.
        heat: float32 array `(height, width)` from 0 to 1, such as `grad_cam` gives, of any size.

    Returns:
        Floats from 0 to 1 of the shape of `image`, with three channels.
    """
    from matplotlib import colormaps

    axis = image_axis()
    pixels = np.moveaxis(scale_to_unit(image), axis, -1)
    enlarged = keras.ops.image.resize(
        heat[..., None], pixels.shape[:2], data_format="channels_last"
    )
    enlarged = keras.ops.convert_to_numpy(enlarged)[..., 0].clip(0, 1)
    colors = colormaps["turbo"](enlarged)[..., :3]
    return np.moveaxis(0.5 * pixels + 0.5 * colors, -1, axis).astype("float32")
