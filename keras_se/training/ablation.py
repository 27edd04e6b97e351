"""Trains a network with one choice of SE varied, over several seeds, and compares the errors."""

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from keras_se.data_format import image_shape
from keras_se.files import atomic_path, write_text
from keras_se.formatting import markdown_table
from keras_se.recipes.recipe import Recipe, illegal, override
from keras_se.recipes.resume import check_same
from keras_se.recipes.run_files import NETWORKS, RECIPE, RESULTS, recipe_beside
from keras_se.training.loop import train
from keras_se.validation import check_choice, check_positive, require_packages

# Values of each axis, and the paper's top-1 errors in percent of SE-ResNet-50 on ImageNet
# (arXiv:1709.01507v4, tables 10 to 16); `None` where the paper has none. Its stages 2 to 4 are 1 to
# 3 here.
PLAIN, ALL = "none", "all"
AXES = {
    "ratio": {"2": 22.29, "4": 22.25, "8": 22.26, "16": 22.28, "32": 22.72, PLAIN: 23.30},
    "squeeze": {"max": 22.57, "avg": 22.28, "none": 22.93},
    "gate": {"relu": 23.47, "tanh": 23.00, "sigmoid": 22.28, "hard_sigmoid": None},
    "stages": {"1": 23.03, "2": 23.04, "3": 22.68, ALL: 22.28, PLAIN: 23.30},
    "placement": {"standard": 22.28, "pre": 22.23, "post": 22.78, "identity": 22.20},
    "block": {"se": 22.28, "eca": None, PLAIN: 23.30},
}


def ablate(
    recipe: Recipe,
    axis: str,
    out: str | os.PathLike,
    values: Sequence[str] | None = None,
    seeds: int = 5,
) -> dict:
    """Trains a recipe once for each value of an axis and each seed, and compares the accuracies.

    Runs that are complete are not repeated, and a run that was stopped goes on, so the same call
    goes on with a grid. Several axes share one folder: the network as it is, is trained for the
    first of them only. Writes into `out` a folder for each run, and at the end
    `ablation_AXIS.json`, `ablation_AXIS.md` and `ablation_AXIS.png`.

    Args:
        recipe: The `Recipe` of all runs; its twin is not trained.
        axis: A key of `AXES`: `"ratio"`, `"squeeze"`, `"gate"`, `"stages"`, `"placement"` or
            `"block"`.
        out: Folder of the runs.
        values: Values of the axis, as text; by default the paper's. `"none"` is the plain twin,
            but for `"squeeze"`, where it is the paper's NoSqueeze; several stages are joined by a
            plus sign, as in `"1+2"`.
        seeds: Number of seeds, from that of the recipe on.

    Returns:
        A dictionary: `axis`, `rows` (for each value its `errors` in percent of the held-out images,
        their `mean` and `spread`, a standard deviation, `parameters`, `mflops` and the paper's
        `published` error) and `smallest_difference`, in points, that so many seeds can show.

    Raises:
        ValueError: If an argument is not legal, the recipe does not fit, or a run in `out` was
            begun with another one.
        OSError: If a folder cannot be written.
    """
    check_choice("axis", axis, tuple(AXES))
    check_positive("seeds", seeds, integer=True)
    require_packages("The plot", "matplotlib")
    values = list(AXES[axis] if values is None else values)
    if not values:
        raise illegal("values", values, f"some of {', '.join(AXES[axis])}")
    # All of them, before the first is trained.
    variants = {value: variant(recipe, axis, value) for value in values}
    rows = {}
    for value, changed in variants.items():
        runs = [
            _run(override(changed, [f"seed={seed}"]), Path(out) / f"{_name(changed)}-seed{seed}")
            for seed in range(recipe.seed, recipe.seed + seeds)
        ]
        rows[value] = _row(runs, AXES[axis].get(value))
    result = {
        "axis": axis,
        "rows": rows,
        "smallest_difference": smallest_difference([row["errors"] for row in rows.values()]),
    }
    _write(result, Path(out))
    return result


def variant(recipe: Recipe, axis: str, value: str) -> Recipe:
    """Returns a recipe with one value of an axis.

    Args:
        recipe: The `Recipe`.
        axis: A key of `AXES`.
        value: A value of it.

    Raises:
        ValueError: If the network has no such value.

    Example:
    >>> from keras_se.recipes import DIGITS
    >>> variant(DIGITS, "ratio", "8").se, variant(DIGITS, "ratio", "none").network
    (('ratio=8',), 'ResNet20')
    """
    from keras_se.applications import get_model

    application = get_model(recipe.network)
    if axis == "block":
        check_choice("values", value, tuple(AXES[axis]))
    if application.is_twin:
        raise illegal("network", recipe.network, "one with SE")
    if value == PLAIN and axis != "squeeze":
        return override(recipe, [f"network={application.twin.name}", "twin=false", "se="])
    as_it_is = (axis, value) == ("stages", ALL)
    settings = recipe.se if as_it_is else (*recipe.se, f"{axis}={value}")
    # Raises an error now if the network cannot be built so.
    if _layers(application, settings, recipe.size) == _layers(application, recipe.se, recipe.size):
        settings = recipe.se
    return override(recipe, ["twin=false", f"se={','.join(settings)}"])


def _layers(application, settings, size):
    """What the layers of a network with these settings are made of."""
    from keras_se.training.excitation import with_se

    network, se = with_se(application, settings)
    built = network(weights=None, input_shape=image_shape(size, size), se=se, name="network")
    # The input is named anew each time.
    return [layer.get_config() for layer in built.layers[1:]]


def smallest_difference(errors: Sequence[Sequence[float]]) -> float | None:
    """Returns the difference of two means that so many seeds show in four of five experiments.

    To show a difference `d` between groups with standard deviation `s` takes about
    `16 s**2 / d**2` seeds in each (Lehr's rule: two-sided at 5 %, with a power of 80 %).

    Args:
        errors: The errors of each group, one for each seed.

    Returns:
        The difference in the unit of the errors, or `None` if a group has but one seed.

    Example:
    >>> smallest_difference([[10.0, 10.4, 9.6, 10.0], [8.0, 8.4, 7.6, 8.0]])
    0.6532
    """
    if min(map(len, errors)) < 2:
        return None
    variance = statistics.mean(map(statistics.variance, errors))
    return round(4 * math.sqrt(variance / min(map(len, errors))), 4)


def _name(recipe):
    return "-".join((recipe.network.lower(), *recipe.se))


def _run(recipe, folder):
    """The results of one run, which is trained unless it is complete."""
    results = folder / RESULTS
    # The results are written before what is left to do for the reports.
    unfinished = any((folder / files.state).is_file() for files in NETWORKS)
    if results.is_file() and not unfinished:
        check_same(recipe_beside(results), recipe, folder)
    else:
        train(recipe, folder, resume=(folder / RECIPE).is_file())
    (row,) = json.loads(results.read_text())["networks"].values()
    return row


def _row(runs, published):
    errors = [100 - run["test_accuracy"] for run in runs]
    return {
        "errors": errors,
        "mean": statistics.mean(errors),
        "spread": statistics.stdev(errors) if len(errors) > 1 else None,
        "parameters": runs[0]["parameters"],
        "mflops": runs[0]["mflops"],
        "published": published,
    }


def table(result: dict) -> str:
    """Returns the result of `ablate` as a table in Markdown, and what it can show."""
    lines = [(result["axis"], "error in %", "parameters", "MFLOPs", "paper, ImageNet, error in %")]
    for value, row in result["rows"].items():
        spread = "" if row["spread"] is None else f" +- {row['spread']:.2f}"
        published = "-" if row["published"] is None else f"{row['published']:.2f}"
        parameters, mflops = f"{row['parameters']:,d}", f"{row['mflops']:.3f}"
        lines.append((value, f"{row['mean']:.2f}{spread}", parameters, mflops, published))
    text = markdown_table(lines, "<>>>>")
    if result["smallest_difference"] is None:
        return f"{text}\n\nOne seed says nothing about differences."
    seeds = min(len(row["errors"]) for row in result["rows"].values())
    return (
        f"{text}\n\n{seeds} seeds can show a difference of {result['smallest_difference']:.2f} "
        "points (4 standard deviations over the root of the seeds)."
    )


def _write(result, out):
    stem = f"ablation_{result['axis']}"
    with atomic_path(out / f"{stem}.png") as path:
        _plot(result, path)
    write_text(out / f"{stem}.md", table(result) + "\n")
    write_text(out / f"{stem}.json", json.dumps(result, indent=2) + "\n")


def _plot(result, path):
    """Draws the errors of each seed, and the mean and spread of each value."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xlabel=result["axis"], ylabel="error in %: mean and spread of the seeds"
    )
    for position, row in enumerate(result["rows"].values()):
        axes.plot([position] * len(row["errors"]), row["errors"], ".", color="0.6")
        axes.errorbar(position, row["mean"], row["spread"] or 0, fmt="o", color="C0", capsize=4)
    axes.set_xticks(range(len(result["rows"])), list(result["rows"]))
    figure.savefig(path, dpi=120)
