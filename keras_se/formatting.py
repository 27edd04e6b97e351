"""Tables and lists of text for terminals, documents and logs."""

from collections.abc import Sequence


def first_few(names: Sequence[str], most: int = 5) -> str:
    """Joins the first names, and says how many more there are.

    Args:
        names: The names; none at all are "none".
        most: How many to name.

    Example:
    >>> first_few(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    text = ", ".join(names[:most]) or "none"
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def printable(text: str) -> str:
    r"""Escapes what no file in UTF-8 can hold, such as bytes in the name of a file.

    Args:
        text: Text, of a path for example.

    Example:
    >>> printable("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def text_table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Lines up the columns of a table.

    Args:
        rows: The lines, each a sequence of cells; the first may be the header.
        align: A character for each column: `"<"` for the left, `">"` for the right.

    Returns:
        The lines as one text, columns two spaces apart.

    Example:
    >>> print(text_table([("network", "error"), ("SEResNet20", "16.1")], "<>"))
    network     error
    SEResNet20   16.1
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Lays out a Markdown table.

    Args:
        rows: The header and the lines, each a sequence of cells.
        align: As for `text_table`.

    Returns:
        The table as one text.

    Example:
    >>> print(markdown_table([("a", "b"), ("1", "2")], "<>"))
    | a | b |
    |---|---:|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    rule = "|" + "|".join("---:" if side == ">" else "---" for side in align) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
