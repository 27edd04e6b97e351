"""How Sphinx builds these pages: `make docs`."""

import sys
from pathlib import Path

import keras_se

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from zoo_tables import write_generated_pages  # noqa: E402 (beside this file)

project = "keras_se"
author = "The keras_se authors"
version = release = keras_se.__version__
html_title = f"keras_se {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# In docstrings, as in these pages, single backticks are code.
default_role = "code"

html_theme = "furo"
html_copy_source = False
html_show_copyright = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Call arguments", "params_style")]


def separate_examples(app, what, name, obj, options, lines):
    """Puts the empty line before a doctest that reStructuredText wants after `Example:`."""
    for index in reversed(range(len(lines))):
        if lines[index].strip() == "Example:":
            indent = lines[index][: len(lines[index]) - len(lines[index].lstrip())]
            lines[index : index + 1] = [f"{indent}**Example**", ""]


def setup(app):
    """Writes the zoo's tables from the registry first, so that they cannot be out of date."""
    app.connect("builder-inited", lambda _: write_generated_pages(HERE / "_generated"))
    app.connect("autodoc-process-docstring", separate_examples, priority=100)
