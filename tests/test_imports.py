"""Which room may import which, how long its files are, and what importing the package costs."""

import ast
import importlib
import io
import os
import subprocess
import sys
import tokenize
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import keras
import pytest

PACKAGE = Path(__file__).parent.parent / "keras_se"
# Imported inside the one function that needs them, never when a module is.
LATE = {"tensorflow", "jax", "torch", "PIL", "h5py", "safetensors", "huggingface_hub", "sklearn"}
LATE |= {"matplotlib", "tensorflow_datasets", "timm"}
LATE |= {"gradio", "fastapi", "starlette", "uvicorn"}
LATE |= {"onnx", "onnxruntime", "openvino", "ai_edge_litert", "pycocotools", "nncf", "tf2onnx"}
LATE |= {"pyarrow", "ray"}
# Modules that are about one of these packages, whose classes they extend; nothing imports them.
LATE |= {"keras_hub", "keras_cv"}
ABOUT = {"dense/kerashub.py": {"keras_hub"}, "dense/kerascv.py": {"keras_cv"}}
# Who may import whom, at the top or inside a function: a room is used by those below it only.
SMALL = {"class_names", "data_format", "files", "formatting", "validation", "version"}
MAY = {room: set() for room in SMALL}
MAY |= {
    "layers": set(),
    "graph": {"layers"},
    "surgery": {"augmentation", "graph", "layers"},
    "preprocessing": set(),
    "weights": {"layers", "preprocessing"},
    # The weights and drop path only when they are asked for.
    "applications": {"layers", "preprocessing", "surgery", "weights"},
    "features": {"applications", "graph", "layers"},
    "dense": {"data", "features", "preprocessing"},
    "distribution": set(),
    "augmentation": {"preprocessing"},
    "data": {"augmentation", "preprocessing"},
    "recipes": {"applications", "augmentation", "data", "preprocessing", "weights"},
    "evaluation": {"data", "preprocessing"},
    "analysis": {"data", "evaluation", "graph", "layers", "preprocessing", "surgery"},
    "export": {"graph", "layers", "preprocessing", "surgery", "weights"},
    "benchmark": {"export"},
    "prediction": {"data", "distribution", "preprocessing"},
    "training": {
        "applications",
        "augmentation",
        "data",
        "distribution",
        "evaluation",
        "export",
        "graph",
        "layers",
        "preprocessing",
        "recipes",
        "surgery",
        "weights",
    },
    "__init__": {"applications", "graph", "layers", "surgery"},
    "__main__": {"cli"},
}
MAY["explore"] = set(MAY) - {"__init__", "__main__"}
MAY["cli"] = set(MAY) - {"__init__", "__main__"}
# Lines of code: no docstrings, comments and blank lines, no signatures of functions. Tables may be
# as long as they are.
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_ROOM = 300, 40, 0.2
TABLES = {"applications/__init__.py"}
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
NO_CODE |= {tokenize.ENDMARKER}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
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


NAMES = [str(module.relative_to(PACKAGE)) for module in MODULES]
each_module = pytest.mark.parametrize("module", MODULES, ids=NAMES)


def code_lines(tree, source):
    """The numbers of the lines that have code: no docstring, no comment, not blank."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def module_name(path):
    """`keras_se.weights` for `keras_se/weights/__init__.py`, and so on."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def imported_modules(path):
    """The modules of the package that a module imports itself, at the top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        else:
            continue
        for name, parent in names:
            yield name if name in KNOWN else parent


KNOWN = {module_name(path): path for path in MODULES}


@pytest.mark.backend_neutral
@each_module
def test_imports_go_one_way(module):
    late = LATE - ABOUT.get(module.relative_to(PACKAGE).as_posix(), set())
    for name, top in imported(module, ast.parse(module.read_text())):
        root, *rest = name.split(".")
        assert not (top and root in late), f"{module}: {name} at the top"
        rooms = set(rest[:1]) & set(MAY) - SMALL - {part(module)}
        assert root != "keras_se" or rooms <= MAY[part(module)], f"{module}: {name}"


@pytest.mark.backend_neutral
def test_no_modules_import_each_other_in_a_circle():
    graph = {name: set(imported_modules(path)) & set(KNOWN) for name, path in KNOWN.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.backend_neutral
@each_module
def test_files_and_functions_are_short(module):
    source = module.read_text()
    tree = ast.parse(source)
    lines = code_lines(tree, source)
    if module.relative_to(PACKAGE).as_posix() not in TABLES:
        assert len(lines) <= LONGEST_FILE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = len(lines.intersection(range(node.body[0].lineno, node.end_lineno + 1)))
            assert length <= LONGEST_FUNCTION, node.name


@pytest.mark.backend_neutral
def test_no_room_is_most_of_the_house():
    sizes = Counter()
    for module in MODULES:
        source = module.read_text()
        sizes[part(module)] += len(code_lines(ast.parse(source), source))
    room, size = sizes.most_common(1)[0]
    assert size < LARGEST_ROOM * sizes.total(), f"{room}: {size} of {sizes.total()} lines"


@pytest.mark.backend_neutral
def test_only_the_hub_module_and_processes_that_meet_know_the_network():
    for module in MODULES:
        names = {name.split(".")[0] for name, _ in imported(module, ast.parse(module.read_text()))}
        found = names & {"huggingface_hub", "urllib", "requests", "http", "socket", "httpx"}
        known = {"hub.py": found, "connection.py": found, "rendezvous.py": {"socket"}}
        known = known.get(module.name, set())
        assert found <= known, f"{module}: {found}"


@pytest.mark.parametrize(
    "module, package, line",
    [
        ("kerashub", "keras_hub", "pip install keras-hub"),
        ("kerascv", "keras_cv", "pip install keras-cv"),
    ],
)
def test_what_installs_a_missing_package_is_said(monkeypatch, module, package, line):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, f"keras_se.dense.{module}", raising=False)
    with pytest.raises(ImportError, match=line):
        importlib.import_module(f"keras_se.dense.{module}")


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
