"""The parts of HTML pages that need no other file: tables, and pictures inside the page."""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from keras_se.data import LazyImages
from keras_se.data_format import channel_axis
from keras_se.formatting import printable

# Pixels; smaller pictures are shown enlarged.
PICTURE_SIDE = 96
STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 70em; margin: 1.5em auto; padding: 0 1em; }
pre { background: #f4f4f4; padding: 1em; overflow-x: auto; font-size: 13px; }
pre.text { white-space: pre-wrap; }
.curves { width: 100%; max-width: 600px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
td, th { padding: 2px 6px; text-align: right; white-space: nowrap; }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; }
figure { margin: 0; width: 96px; font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; }
figure img { width: 96px; image-rendering: pixelated; }
"""


def html_page(title: str, parts: Sequence[str], style: str = "") -> str:
    """Joins the parts of a page.

    Args:
        title: Its title, as text.
        parts: HTML of its sections, in order.
        style: CSS rules besides those of every page.

    Returns:
        The text of an HTML page that needs no other file.
    """
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{escape(title)}</title><style>{STYLE}{style}</style>'
    )
    body = "\n".join(parts)
    text = f'<!doctype html><html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'
    return printable(text)


def html_row(first: str, cells: Sequence, tag: str = "td") -> str:
    """Lays out a row of a table.

    Args:
        first: HTML of the row's head.
        cells: HTML of the other cells.
        tag: `"td"`, or `"th"` for the row of names.

    Example:
    >>> html_row("cat", [1, 2])
    '<tr><th>cat</th><td>1</td><td>2</td></tr>'
    """
    return f"<tr><th>{first}</th>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def html_table(rows: Sequence[str]) -> str:
    """Joins the rows of a table, which scrolls where it is wider than the page."""
    return "\n".join(['<div class="scroll"><table>', *rows, "</table></div>"])


def picture_grid(pictures: Sequence[tuple[np.ndarray, str]]) -> str:
    """Lays out pictures with captions, as many side by side as there is room for.

    Args:
        pictures: For each its pixels, as for `picture_png`, and its caption as text.

    Returns:
        HTML; the word "None" without pictures.
    """
    figures = []
    for pixels, caption in pictures:
        text = escape(caption)
        image = f'<img alt="{text}" src="{data_url(picture_png(pixels))}">'
        figures.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else "<p>None.</p>"


def picture_png(image: np.ndarray, side: int = PICTURE_SIDE) -> bytes:
    """Returns the PNG file of a picture.

    Args:
        image: uint8 pixels, or floats from 0 to 1, with the axes of Keras's data format.
        side: Pixels that it is at most wide and high.
    """
    from PIL import Image

    pixels = image if image.dtype == np.uint8 else np.uint8(np.rint(255 * image.clip(0, 1)))
    pixels = np.moveaxis(pixels, channel_axis() % 4 - 1, -1)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def data_url(png: bytes) -> str:
    """Returns an address that holds a PNG file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def readable_images(images: np.ndarray | LazyImages) -> Callable[[int], np.ndarray]:
    """Returns a function of the index among the images that can be read, which gives the pixels."""
    broken = getattr(images, "broken", ())
    readable = [index for index in range(len(images)) if index not in broken]
    if isinstance(images, np.ndarray):
        return lambda index: images[index]
    return lambda index: images.take(np.array([readable[index]]))[0][0]
