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


def setup(app):
    """The zoo's pages come from the registry, so that they cannot be out of date."""
    app.connect("builder-inited", lambda _: write_generated_pages(HERE / "_generated"))
