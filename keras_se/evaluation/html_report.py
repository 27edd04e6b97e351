"""The HTML report of a run: one file with everything in it."""

import base64
import html

import numpy as np

from keras_se.evaluation.report import table

# A matrix of more classes is not read; the most frequent confusions are.
MOST_CLASSES = 40
MOST_CONFUSIONS = 30
STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
pre { background: #f4f4f4; padding: 1em; overflow-x: auto; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 12px; }
td, th { padding: 2px 6px; text-align: right; }
"""


def page(folder, recipe, dataset, results, confusions):
    """Makes the report of a run.

    Args:
        folder: The run's folder, with `curves.png` in it.
        recipe: The `Recipe`.
        dataset: The `keras_se.data.Dataset`, for the class names and the skipped files.
        results: What `train` returns.
        confusions: Dictionary from a network's name to what `report.confusion` gave.

    Returns:
        The text of an HTML page that needs no other file.
    """
    picture = base64.b64encode((folder / "curves.png").read_bytes()).decode("ascii")
    title = html.escape(f"{recipe.network} on {recipe.data}")
    parts = [
        f"<h1>{title}</h1>",
        f"<pre>{html.escape(recipe.about)}</pre>",
        f"<pre>{html.escape(table(results['networks']))}</pre>",
        f'<img alt="learning curves" src="data:image/png;base64,{picture}">',
    ]
    for name, counts in confusions.items():
        parts.append(f"<h2>{html.escape(name)}: held-out images, true class by row</h2>")
        parts.append(confusion_table(counts, dataset.class_names))
    skipped = dataset.all_skipped()
    if skipped:
        parts.append(f"<h2>{len(skipped)} files skipped</h2>")
        parts.append(f"<pre>{html.escape(chr(10).join(skipped))}</pre>")
    parts.append(f"<h2>Recipe</h2><pre>{html.escape(recipe.to_json())}</pre>")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return (
        f"<!doctype html><html><head>{head}</head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def confusion_table(counts, names):
    """Makes an HTML table of confusions.

    Args:
        counts: Integer array `(class, class)`: how many images of the first are taken for the
            second.
        names: The name of each class.

    Returns:
        The table of all classes, or, if there are more than 40, of the 30 most frequent
        confusions.

    Example:
    >>> print(confusion_table(np.array([[1, 0], [1, 1]]), ("cat", "dog")))
    <table>
    <tr><th></th><th>cat</th><th>dog</th></tr>
    <tr><th>cat</th><td style="background:rgba(0,128,0,0.50)">1</td><td>0</td></tr>
    <tr><th>dog</th><td style="background:rgba(200,0,0,0.25)">1</td><td \
style="background:rgba(0,128,0,0.25)">1</td></tr>
    </table>
    """
    names = [html.escape(name) for name in names]
    if len(names) > MOST_CLASSES:
        return _frequent(counts, names)
    lines = ["<table>", _row("", names, "th")]
    for index, row in enumerate(counts):
        cells = [_cell(count, row.sum(), index == other) for other, count in enumerate(row)]
        lines.append(f"<tr><th>{names[index]}</th>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def _cell(count, total, right):
    if not count:
        return "<td>0</td>"
    colour = "0,128,0" if right else "200,0,0"
    return f'<td style="background:rgba({colour},{count / total / 2:.2f})">{count}</td>'


def _row(first, cells, tag="td"):
    return f"<tr><th>{first}</th>{''.join(f'<{tag}>{one}</{tag}>' for one in cells)}</tr>"


def _frequent(counts, names):
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(one), len(names)) for one in order]
    lines = ["<table>", _row("true class", ["taken for", "images"], "th")]
    lines += [_row(names[a], [names[b], wrong[a, b]]) for a, b in pairs if wrong[a, b]]
    return "\n".join([*lines, "</table>"])
