"""The snippets of the README run, one after the other, as a reader would paste them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import GOLDENS
from generated import state_dict
from hub_server import HubServer
from PIL import Image
from safetensors.numpy import save

ROOT = Path(__file__).parent.parent
TAGS = {"seresnet50": "ra2_in1k", "resnet50": "a1_in1k"}


def snippets(page):
    """The Python of a page, as a reader would paste it piece by piece."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.slow
def test_snippets_on_surgery(tmp_path):
    pasted = snippets("applications/surgery.md")
    assert len(pasted) == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(pasted)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "\n0.0\n" in done.stdout
    # The gates of the last stage are 1,572,864 weights and 6,528 biases.
    before, after = re.search(r"([\d,]+) -> ([\d,]+)\n", done.stdout).groups()
    assert int(before.replace(",", "")) - int(after.replace(",", "")) == 1_572_864 + 6_528
    assert "block_1_project_BN_se" in done.stdout


@pytest.mark.slow
def test_python_snippets(tmp_path):
    """Against a local hub with generated weights."""
    pasted = snippets("README.md")
    assert len(pasted) == 6
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "cat.jpg")
    with HubServer() as hub:
        for network, tag in TAGS.items():
            content = save(state_dict(GOLDENS[network]))
            hub.repositories[f"timm/{network}.{tag}"] = {"model.safetensors": content}
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hub"),
            "NO_PROXY": "127.0.0.1",
            "KERAS_BACKEND": keras.backend.backend(),
        }
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(pasted)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "['ra2_in1k', 'a2_in1k', 'a1_in1k', 'a3_in1k']" in done.stdout
    assert "'P4': Level(layer='layer3_5_relu', stride=16, channels=1024)" in done.stdout
    assert re.search(r"\(?\[?1, 16, 20, 1024\]?\)?", done.stdout)


def test_the_two_commands_are_on_the_first_screen_and_in_the_makefile():
    first = (ROOT / "README.md").read_text().splitlines()[:30]
    makefile = (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert any(line.startswith(f"make {command} ") for line in first)
        assert f"\n{command}: " in makefile
