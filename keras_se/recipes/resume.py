"""The recipe of a run that is to go on, read from its folder."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from keras_se.recipes.recipe import Recipe, override
from keras_se.recipes.run_files import NETWORKS, RECIPE, RESULTS, recipe_beside


def resumed_recipe(
    out: str | os.PathLike, assignments: Iterable[str] = (), like: Recipe | None = None
) -> Recipe:
    """Reads the recipe of a run that is to go on, and compares it with what is said again.

    Args:
        out: The run's folder.
        assignments: Strings `"key=value"`, as for `override`, that must change nothing.
        like: The recipe that the run was begun by, before changes, if it is named again.

    Returns:
        The `Recipe` of the run.

    Raises:
        OSError: If there is no run, or it is complete.
        ValueError: If what is said again is not what the run was begun with.
    """
    folder = Path(out)
    recipe = recipe_beside(folder / RECIPE)
    if recipe is None:
        raise FileNotFoundError(f"There is no run in {str(folder)!r} to go on with.")
    unfinished = any((folder / files.state).is_file() for files in NETWORKS)
    if (folder / RESULTS).is_file() and not unfinished:
        raise FileExistsError(f"The run in {str(folder)!r} is complete.")
    if like is not None and like.about != recipe.about:
        first, other = (each.about.splitlines()[0] for each in (recipe, like))
        raise ValueError(f"The run in {str(folder)!r} is of another recipe: {first} Not: {other}")
    check_same(recipe, override(recipe, assignments), folder)
    return recipe


def check_same(before: Recipe, now: Recipe, out: str | os.PathLike) -> None:
    """Requires that a run goes on by the recipe that it was begun with.

    Args:
        before: The `Recipe` of the run.
        now: The `Recipe` it is to go on by.
        out: The run's folder, for the message.

    Raises:
        ValueError: If a field differs; the message has both values.
    """
    before, now = dataclasses.asdict(before), dataclasses.asdict(now)
    changed = [name for name in now if name != "about" and now[name] != before[name]]
    if changed:
        differences = ", ".join(f"{name}={before[name]!r}" for name in changed)
        raise ValueError(
            f"The run in {str(out)!r} goes on only as it began, with {differences}. Received: "
            + ", ".join(f"{name}={now[name]!r}" for name in changed)
        )
