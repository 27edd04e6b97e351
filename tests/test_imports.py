"""Which module may import which, and what importing the package costs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

PACKAGE = Path(__file__).parent.parent / "keras_se"
# Imported inside the one function that needs them, never when a module is.
LATE = {"tensorflow", "jax", "torch", "PIL", "h5py", "safetensors", "huggingface_hub", "sklearn"}
LATE |= {"matplotlib", "tensorflow_datasets", "timm"}
LATE |= {"onnx", "onnxruntime", "openvino", "ai_edge_litert"}
# What the modules of one part may import of the others, at any time.
MAY = {
    "validation": set(),
    "files": set(),
    "formatting": set(),
    "data_format": set(),
    "layers": set(),
    "graph": {"layers"},
    "preprocessing": set(),
    "surgery": {"graph", "layers"},
    "weights": {"layers"},
    "applications": {"layers", "preprocessing", "weights"},
    "features": {"applications"},
    "distribution": set(),
    "augmentation": {"weights"},
    "data": {"preprocessing"},
    "recipes": {"applications", "augmentation", "data", "training", "weights"},
    "evaluation": {
        "applications",
        "augmentation",
        "data",
        "export",
        "graph",
        "training",
        "weights",
    },
    "training": {
        "applications",
        "augmentation",
        "data",
        "distribution",
        "evaluation",
        "graph",
        "recipes",
        "surgery",
    },
    "export": {"applications", "graph", "layers", "preprocessing", "surgery", "weights"},
    "cli": {
        "applications",
        "data",
        "distribution",
        "evaluation",
        "export",
        "graph",
        "preprocessing",
        "recipes",
        "training",
        "weights",
    },
    "__init__": {"applications", "graph", "layers", "surgery"},
    "__main__": {"cli"},
}
# Small modules that everything may import.
SMALL = ("data_format", "files", "formatting", "validation")
MODULES = sorted(PACKAGE.rglob("*.py"))


def part(module):
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(module, tree):
    """(name of what is imported, whether at the top of the module) of every import."""
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield node.module, top
            if node.module == "keras_se":
                yield from ((f"keras_se.{alias.name}", top) for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=[str(one.relative_to(PACKAGE)) for one in MODULES])
def test_imports_go_one_way(module):
    tree = ast.parse(module.read_text())
    for name, top in imported(module, tree):
        root, *rest = name.split(".")
        assert not (top and root in LATE), f"{module}: {name} at the top"
        if root == "keras_se" and rest and rest[0] not in (part(module), *SMALL):
            assert rest[0] in MAY[part(module)], f"{module}: {name}"


def test_only_the_hub_module_and_processes_that_meet_know_the_network():
    for module in MODULES:
        names = {name.split(".")[0] for name, _ in imported(module, ast.parse(module.read_text()))}
        found = names & {"huggingface_hub", "urllib", "requests", "http", "socket", "httpx"}
        known = {"hub.py": found, "rendezvous.py": {"socket"}}.get(module.name, set())
        assert found <= known, f"{module}: {found}"


SCRIPT = """
import sys
import keras, numpy
import numpy as np
before = {name.partition(".")[0] for name in sys.modules}
import keras_se
added = {name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names)
assert added == {"keras_se"}, added
model = keras_se.applications.SEResNet20(weights=None, input_shape=(16, 16, 1), classes=3)
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(np.zeros((4, 16, 16, 1), "float32"), np.arange(4) % 3, epochs=1, verbose=0)
assert model.predict(np.zeros((2, 16, 16, 1), "float32"), verbose=0).shape == (2, 3)
if keras.backend.backend() != "tensorflow":
    assert "tensorflow" not in sys.modules
"""


def test_importing_costs_nothing_and_training_needs_no_other_backend():
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, env=environment, cwd=PACKAGE.parent)
