"""The paper's figures of gates, and how the numbers change with depth, by Matplotlib."""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_se.analysis.gates import GateAnalysis
from keras_se.class_names import decode_predictions, imagenet_class_names
from keras_se.evaluation.html import data_url
from keras_se.validation import check_positive, require_packages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Goldfish, pug, plane and cliff.
PAPER_SYNSETS = ("n01443537", "n02110958", "n02690373", "n09246464")
CLASSES, CHANNELS = 4, 50
PANEL = (4.8, 3.0)  # inches
# CSS rules of a page with `plots_html`.
PLOTS_STYLE = """
.plots { display: flex; flex-wrap: wrap; gap: 12px; }
.plots img { width: 480px; max-width: 100%; height: auto; }
"""


def paper_blocks(analysis: GateAnalysis) -> tuple[str, ...]:
    """Returns the blocks that the paper shows: the last of each stage, and all of the last stage.

    Args:
        analysis: The `GateAnalysis`.

    Returns:
        Their names, in the order of the network.
    """
    return blocks_to_show({block.name: block.stage for block in analysis.blocks})


def blocks_to_show(stages: dict[str, int]) -> tuple[str, ...]:
    """Returns those of some blocks that the paper shows; see `paper_blocks`.

    Args:
        stages: The number of the stage of each block by its name, in the order of the network.

    Example:
    >>> blocks_to_show({"layer1_0_se": 1, "layer1_1_se": 1, "layer2_0_se": 2, "layer2_1_se": 2})
    ('layer1_1_se', 'layer2_0_se', 'layer2_1_se')
    """
    last = {stage: name for name, stage in stages.items()}
    final = next(reversed(stages.values()), None)
    return tuple(name for name, stage in stages.items() if stage == final or last[stage] == name)


def paper_classes(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the classes that the paper shows, if they are there, or four others.

    Args:
        class_names: The name of each class; of ImageNet synsets or their first words.

    Returns:
        Four names, or all of fewer classes.

    Example:
    >>> paper_classes(["airplane", "bird", "cat", "dog", "frog", "ship", "truck"])
    ('airplane', 'cat', 'frog', 'truck')
    """
    best = decode_predictions(np.eye(len(imagenet_class_names())), top=1)
    words = {synset: name for ((synset, name, _),) in best}
    for legal in (PAPER_SYNSETS, tuple(words[synset] for synset in PAPER_SYNSETS)):
        if set(legal) <= set(class_names):
            return legal
    count = min(CLASSES, len(class_names))
    spread = np.linspace(0, len(class_names) - 1, count).round().astype(int)
    return tuple(class_names[index] for index in spread)


def class_means_figure(
    analysis: GateAnalysis,
    blocks: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    channels: int = CHANNELS,
) -> "Figure":
    """Draws the mean gate of each channel for some classes and for all images.

    Args:
        analysis: The `GateAnalysis`.
        blocks: Names of the blocks, a panel each; by default those of `paper_blocks`.
        classes: Names of classes; by default those of `paper_classes`.
        channels: How many channels to show at most, sampled evenly.

    Returns:
        A Matplotlib figure.

    Raises:
        ValueError: If there is no such block or class.
        ImportError: If Matplotlib is not installed.

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, figure 6.
    """
    numbers = _numbers(analysis, classes)
    shown_blocks = _chosen(analysis, blocks)
    figure, panels = _panels([block.name for block in shown_blocks])
    for block, axes in zip(shown_blocks, panels, strict=True):
        x, shown = _sampled(block.channels, channels)
        for number in numbers:
            means = block.moments.means[number, shown]
            axes.plot(x, means, linewidth=1, label=analysis.class_names[number])
        axes.plot(x, block.moments.mean[shown], "k--", linewidth=1.5, label="all")
    _finish(panels)
    return figure


def class_spread_figure(
    analysis: GateAnalysis,
    blocks: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    channels: int = CHANNELS,
) -> "Figure":
    """Draws mean and standard deviation of the gates over the images of each of some classes.

    Args:
        analysis: The `GateAnalysis`.
        blocks: As for `class_means_figure`.
        classes: Names of classes; by default the first and the third of `paper_classes`, in the
            paper goldfish and plane.
        channels: As for `class_means_figure`.

    Returns:
        A Matplotlib figure.

    Raises:
        ValueError: If there is no such block or class.
        ImportError: If Matplotlib is not installed.

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, figure 7.
    """
    if classes is None:
        classes = paper_classes(analysis.class_names)[:3:2]
    numbers = _numbers(analysis, classes)
    shown_blocks = _chosen(analysis, blocks)
    figure, panels = _panels([block.name for block in shown_blocks])
    for block, axes in zip(shown_blocks, panels, strict=True):
        x, shown = _sampled(block.channels, channels)
        for color, number in enumerate(numbers):
            mean = block.moments.means[number, shown]
            deviation = block.moments.deviations[number, shown]
            look = {"color": f"C{color}", "label": analysis.class_names[number]}
            axes.plot(x, mean, linewidth=1, **look)
            axes.fill_between(
                x, mean - deviation, mean + deviation, color=f"C{color}", alpha=0.25, linewidth=0
            )
    _finish(panels)
    return figure


def image_gates_figure(name: str, gates: np.ndarray, others: dict[str, np.ndarray]) -> "Figure":
    """Draws the gates of one image in one block, and other gates to compare them with.

    Args:
        name: The block's name.
        gates: The gates, `(channel,)`.
        others: What else to draw by its label: gates `(channel,)`, such as the means of a class.

    Returns:
        A Matplotlib figure of one panel.

    Raises:
        ImportError: If Matplotlib is not installed.
    """
    figure, panels = _panels([name])
    (axes,) = panels
    x, shown = _sampled(len(gates), CHANNELS)
    for number, (label, values) in enumerate(others.items()):
        axes.plot(x, values[shown], ("C1-", "k--")[number % 2], linewidth=1.2, label=label)
    axes.plot(x, gates[shown], "C0o", markersize=4, label="this image")
    _finish(panels)
    return figure


def depth_figure(analysis: GateAnalysis, number: str, title: str, factor: float = 1) -> "Figure":
    """Draws a number of each block along the network, and what chance gives if that is known.

    Args:
        analysis: The `GateAnalysis`.
        number: Name of the number, a field of `BlockGates` such as `"eta_squared"`.
        title: What is written above.
        factor: What to multiply by, such as 100 for percent.

    Returns:
        A Matplotlib figure of one panel.

    Raises:
        ImportError: If Matplotlib is not installed.
    """
    figure = _figure(*PANEL)
    axes = figure.subplots()
    names = [block.name for block in analysis.blocks]
    for field, style, label in ((number, "o-", "gates"), (f"{number}_permuted", "x:", "chance")):
        if hasattr(analysis.blocks[0], field):
            values = [factor * getattr(block, field) for block in analysis.blocks]
            axes.plot(range(len(names)), values, style, label=label, markersize=4)
    stages = [block.stage for block in analysis.blocks]
    for index in range(1, len(stages)):
        if stages[index] != stages[index - 1]:
            axes.axvline(index - 0.5, color="0.8", linewidth=1)
    step = max(1, -(-len(names) // 16))
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=7)
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    return figure


def figure_png(figure: "Figure", dpi: int = 100) -> bytes:
    """Returns the PNG file of a figure.

    Args:
        figure: A Matplotlib figure.
        dpi: Pixels for an inch.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def _figure(width, height):
    require_packages("A figure of gates", "matplotlib")
    # Figures without pyplot: no window system is touched and no figure is left open.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _panels(titles):
    """A figure, and for each title its axes, two in a row."""
    columns = min(2, len(titles))
    rows = -(-len(titles) // columns)
    figure = _figure(columns * PANEL[0], rows * PANEL[1])
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    panels, unused = grid[: len(titles)], grid[len(titles) :]
    for title, axes in zip(titles, panels, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in unused:
        axes.remove()
    return figure, panels


def plots_html(figures: Iterable["Figure"]) -> str:
    """Lays out figures in a page, as many side by side as there is room for.

    Args:
        figures: Matplotlib figures.

    Returns:
        HTML with the pictures inside.
    """
    images = (f'<img alt="plot" src="{data_url(figure_png(figure))}">' for figure in figures)
    return f'<div class="plots">{"".join(images)}</div>'


def _finish(panels):
    """A legend, and axes on which blocks can be compared."""
    for axes in panels:
        axes.set_xlabel("channel", fontsize=8)
        axes.tick_params(labelsize=8)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0), max(high, 1))
    panels[0].legend(fontsize=7, loc="best")


def _chosen(analysis, names):
    """The blocks of these names."""
    names = paper_blocks(analysis) if names is None else names
    by_name = {block.name: block for block in analysis.blocks}
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise ValueError(
            f"`blocks` must be of {', '.join(by_name)}. Received: blocks={list(names)!r}"
        )
    return [by_name[name] for name in names]


def _numbers(analysis, classes):
    """The numbers of classes of these names."""
    names = list(analysis.class_names)
    classes = paper_classes(names) if classes is None else classes
    unknown = [name for name in classes if name not in names]
    if unknown or not classes:
        few = ", ".join(names[:10])
        raise ValueError(f"`classes` must be of {few}, ... Received: classes={list(classes)!r}")
    return [names.index(name) for name in classes]


def _sampled(channels, most):
    """Where on the axis evenly sampled ones of some channels are, and their numbers."""
    count = min(check_positive("channels", most, integer=True), channels)
    shown = np.linspace(0, channels - 1, count).round().astype(int)
    return np.arange(count), shown
