"""What the README and the pages say. Their Python is run by the conftest.py beside the README."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import load_script

from keras_se.cli import _parser
from keras_se.cli.model_table import SHORT, markdown
from keras_se.weights import WEIGHTS

pytestmark = pytest.mark.backend_neutral

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


def commands(text):
    """The words behind `keras-se` of every command in a shell block."""
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].endswith("keras-se"):
                yield words[1:]


def test_the_two_commands_are_on_the_first_screen_and_in_the_makefile():
    first = (ROOT / "README.md").read_text().splitlines()[:30]
    makefile = (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert any(line.startswith(f"make {command} ") for line in first)
        assert f"\n{command}: " in makefile


def test_the_readme_is_short_and_has_the_short_table():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 140
    table = readme.partition("<!-- zoo -->\n")[2].partition("\n<!-- /zoo -->")[0]
    assert table == markdown(SHORT)


def test_the_pages_count_the_checkpoints_of_timm_that_load():
    tables = load_script(ROOT / "docs" / "zoo_tables.py")
    lines = [line.split(",") for line in tables.TAGS.read_text().splitlines()[1:]]
    loaded, networks = tables.loaded_tags(), {tag.partition(".")[0] for tag, *_ in lines}
    readme, page = (
        " ".join((ROOT / file).read_text().split())
        for file in ("README.md", "docs/other-libraries.md")
    )
    assert f"{len(loaded)} of timm's {len(lines)}" in readme
    assert f"{len(lines)} published checkpoints of {len(networks)} networks" in page
    assert f"keras_se loads {len(loaded)} of them" in page
    assert f"together load {sum(any(others) for _, *others in lines)}." in page
    assert tables.library_table().count("\n") == 1 + len(lines)
    # Each of these is found by timm's name, and no file of timm's is left out.
    of_timm = {row.source for rows in WEIGHTS.values() for row in rows if row.origin == "timm"}
    assert {tag for tag, *_ in lines if f"timm/{tag}" in of_timm} <= set(loaded)
    assert "legacy_senet154.in1k" in loaded


@each_page
def test_commands_are_legal(page, capsys):
    for words in commands(page.read_text()):
        try:
            _parser().parse_args(words)
        except SystemExit as end:  # Of --help, too.
            assert end.code == 0, f"{words}: {capsys.readouterr().err}"


def test_commands_are_found():
    assert len(list(commands((ROOT / "README.md").read_text()))) >= 4


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
