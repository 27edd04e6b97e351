"""The sections of the page as HTML: classes, pictures, gates, and facts about the network."""

from html import escape

import keras
import numpy as np

from keras_se.analysis.figures import PLOTS_STYLE, image_gates_figure, plots_html
from keras_se.analysis.report import overlay
from keras_se.data_format import image_axis
from keras_se.evaluation.html import data_url, html_row, html_table, picture_png
from keras_se.explore.explorer import Explorer, View
from keras_se.graph.complexity import complexity
from keras_se.layers import EfficientChannelAttention, SqueezeExcite

TOP = 5
# Pixels that pictures are at most sent with.
SIDE = 320
STYLE = f"""
{PLOTS_STYLE}
/* Two side by side. */
.plots img {{ width: 340px; }}
.scroll {{ overflow-x: auto; }}
.scroll table {{ border-collapse: collapse; font-size: 13px; }}
.scroll td, .scroll th {{ padding: 2px 6px; text-align: right; white-space: nowrap; }}
.scroll th:first-child {{ text-align: left; font-weight: normal; }}
.classes th:first-child {{ white-space: normal; }}
.shown {{ display: flex; flex-wrap: wrap; gap: 12px; }}
.shown figure {{ margin: 0; width: 144px; font-size: 13px; }}
.shown img {{ width: 144px; image-rendering: pixelated; }}
.facts td {{ white-space: normal; text-align: left; }}
"""


def classes_section(view: View, class_names: tuple) -> str:
    """Lays out the likeliest classes, and what became of them with other gates.

    Args:
        view: The `View`.
        class_names: The names of all classes.

    Returns:
        HTML.
    """
    rows = [view.scores] if view.changed is None else [view.scores, view.changed]
    best = [index for row in rows for index in np.argsort(-row, kind="stable")[:TOP]]
    heads = ["score"] if view.changed is None else ["before", "after", "change"]
    lines = [html_row("class", heads, "th")]
    for index in sorted(dict.fromkeys(best), key=lambda index: -view.scores[index]):
        cells = [_score(row[index], row) for row in rows]
        if view.changed is not None:
            cells.append(_change(view, index))
        lines.append(html_row(escape(_words(class_names[index])), cells))
    text = ""
    if view.changed is not None:
        first, then = (class_names[row.argmax()] for row in rows)
        same = first == then
        text = "the class stays." if same else f"{_words(first)} has become {_words(then)}."
        text = f"<p>With these gates {escape(text)}</p>"
    return f'{text}<div class="classes">{html_table(lines)}</div>'


def pictures_section(pixels: np.ndarray, view: View, class_names: tuple) -> str:
    """Lays out what the network sees of a picture, and where it sees the class.

    Args:
        pixels: uint8 pixels `(size, size, 3)`.
        view: The `View`.
        class_names: The names of all classes.

    Returns:
        HTML.
    """
    # The axes that pictures have here are those of Keras's data format.
    image = np.moveaxis(pixels, -1, image_axis())
    shown = [(image, "What the network gets")]
    if view.heat is not None:
        name = _words(class_names[view.class_index])
        words = f"Grad-CAM of {name}: red speaks for it"
        if not view.heat.any():
            words = f"Grad-CAM of {name}: nothing speaks for it"
        shown.append((overlay(image, view.heat), words))
    figures = []
    for picture, caption in shown:
        text, address = escape(caption), data_url(picture_png(picture, SIDE))
        figures.append(
            f'<figure><img alt="{text}" src="{address}"><figcaption>{text}</figcaption></figure>'
        )
    return f'<div class="shown">{"".join(figures)}</div>'


def gates_section(view: View, explorer: Explorer, blocks: tuple) -> str:
    """Lays out the gates of an image beside those that it is compared with.

    Args:
        view: The `View`.
        explorer: The `Explorer` that it is of.
        blocks: Names of the blocks that are drawn.

    Returns:
        HTML; empty for a network without SE blocks.
    """
    if not view.gates:
        return ""
    means = explorer.means()
    of_class = explorer.class_means(view.class_index)
    name = _words(explorer.class_names[view.class_index])
    lines = [html_row("block", _heads(of_class, explorer), "th")]
    for block, gates in view.gates.items():
        lines.append(html_row(escape(block), _cells(block, gates, explorer, of_class, means)))
    figures = []
    for block in blocks:
        half = {"one half": np.full_like(means[block], 0.5)}
        others = {name: of_class[block]} if of_class else half
        others["mean"] = means[block]
        figures.append(image_gates_figure(block, view.gates[block], others))
    words = compared_with(explorer, name if of_class else None)
    return f"<p>{escape(words)}</p>{plots_html(figures)}{html_table(lines)}"


def compared_with(explorer: Explorer, class_name: str | None) -> str:
    """Says what the gates of an image are compared with.

    Args:
        explorer: The `Explorer`.
        class_name: Of the class whose mean gates are drawn, or `None`.
    """
    orange = f"the mean of {class_name}" if class_name else "one half"
    if explorer.reference is None:
        few = "one image" if explorer.seen == 1 else f"{explorer.seen} images"
        start, dashed = "There is no reference set (--data)", f"the {few} shown so far"
    else:
        start, dashed = f"Reference set: {explorer.reference.images} held-out images", "all of them"
    return (
        f"{start}. The orange line is {orange}, the dashed one the mean of {dashed}, which is what "
        "mean gates are."
    )


def facts_section(explorer: Explorer, facts: dict[str, str]) -> str:
    """Lays out what a network is, what it costs and how its images are prepared.

    Args:
        explorer: The `Explorer`.
        facts: Further rows, by their heads.

    Returns:
        HTML.
    """
    preprocessing, network = explorer.preprocessing, explorer.network
    rows = facts | _costs(network, preprocessing.size) | {"backend": keras.backend.backend()}
    rows["image"] = _prepared(preprocessing)
    lines = [html_row(escape(head), [escape(text)]) for head, text in rows.items()]
    notes = "".join(f"<p>{escape(note)}</p>" for note in explorer.missing)
    return f'{notes}<div class="facts">{html_table(lines)}</div>'


def _heads(of_class, explorer):
    """What the columns of the table of blocks are."""
    heads = ["stage", "channels", "mean gate", "to the mean"]
    heads += ["to the class"] if of_class else []
    return heads + (["nearest class"] if explorer.reference else [])


def _cells(block, gates, explorer, of_class, means):
    """What the table says of the gates of a block."""
    cells = [explorer.stages[block], len(gates), f"{gates.mean():.3f}"]
    cells.append(f"{_distance(gates, means[block]):.3f}")
    if of_class:
        cells.append(f"{_distance(gates, of_class[block]):.3f}")
    if explorer.reference:
        nearest = explorer.nearest_class(block, gates)
        cells.append(escape(_words(explorer.class_names[nearest])))
    return cells


def _distance(gates, others):
    """The mean distance of gates from others."""
    return np.abs(gates - others).mean()


def _score(value, row):
    """A score as text: in percent if all are probabilities."""
    return f"{100 * value:.1f} %" if _are_probabilities(row) else f"{value:.3f}"


def _change(view, index):
    """What a score gains, as text."""
    factor, form = (100, "+.1f") if _are_probabilities(view.scores) else (1, "+.3f")
    return f"{factor * (view.changed[index] - view.scores[index]):{form}}"


def _are_probabilities(row):
    return row.min() >= 0 and abs(row.sum() - 1) < 1e-2


def _words(name):
    """A class's name for people."""
    return str(name).replace("_", " ")


def _costs(network, size):
    """Parameters and multiply-adds of a functional network."""
    axes = list(network.inputs[0].shape[1:])
    axes = [size if side is None else side for side in axes]
    try:
        costs = complexity(network, tuple(axes))
    except ValueError as error:
        return {"parameters": f"{network.count_params():,} ({error})"}
    kinds = {layer.__name__ for layer in (EfficientChannelAttention, SqueezeExcite)}
    of_se = sum(cost.parameters for cost in costs.layers if cost.kind in kinds)
    return {
        "parameters": f"{costs.parameters:,}"
        + (f", of them {of_se:,} in SE layers" if of_se else ""),
        "multiply-adds": f"{costs.multiply_adds:,} for an image",
    }


def _prepared(preprocessing):
    """How an image becomes the input, in words."""
    size = preprocessing.size
    center = preprocessing.crop_mode == "center"
    sides = "short side" if center else "both sides"
    text = f"{sides} to {int(size / preprocessing.crop)} pixels ({preprocessing.interpolation}), "
    text += f"the center of {size} x {size}"
    if preprocessing.mean is None:
        return f"{text}; pixels from 0 to 255"
    mean, std = (
        " ".join(f"{value:.4g}" for value in values)
        for values in (preprocessing.mean, preprocessing.std)
    )
    text += "; pixels from 0 to 1"
    is_identity = set(preprocessing.mean) == {0} and set(preprocessing.std) == {1}
    return text if is_identity else f"{text}, less {mean}, divided by {std}"
