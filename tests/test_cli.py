"""The command line, called as a user calls it."""

import csv
import dataclasses
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import GOLDENS
from conftest import run as run_model
from generated import state_dict
from PIL import Image
from random_statistics import randomized
from safetensors.numpy import save_file
from tiny import SMALL

import keras_se.export
from keras_se import applications, cli
from keras_se.cli.export import FORMATS
from keras_se.cli.startup import native_stderr_dropped
from keras_se.export import read_metadata
from keras_se.recipes import DIGITS, RECIPES, Recipe
from keras_se.weights import WEIGHTS, export_state_dict

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ROOT = Path(keras_se.__file__).parent.parent
COMMANDS = (
    "list",
    "predict",
    "train",
    "transfer",
    "evaluate",
    "gates",
    "importance",
    "explore",
    "convert",
    "export",
    "data",
)
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "seresnext26ts.safetensors"
    save_file(state_dict(GOLDENS["seresnext26ts"]), path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for index in range(3):
        pixels = np.kron(random.integers(0, 256, (8, 6, 3)), np.ones((40, 50, 1))).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """What `train` leaves: the network of the best epoch is not that of the last."""
    folder = tmp_path_factory.mktemp("run")
    recipe = dataclasses.replace(DIGITS, size=12, normalize="half", crop=0.5)
    (folder / "recipe.json").write_text(recipe.to_json())
    (folder / "class_names.txt").write_text("hen\nowl\njay\n")
    for name in ("model", "best"):
        model = SMALL(weights=None, classes=3, input_shape=(12, 12, 3))
        randomized(model, len(name)).save(folder / f"{name}.keras")
    return folder


def run(*words):
    return cli.main([str(word) for word in words])


SCRIPT = ("-c", "import sys, keras_se_command; sys.exit(keras_se_command.main())")
MODULE = ("-m", "keras_se")


def run_process(*words, start=SCRIPT, **environment):
    """Runs the command in a process of its own, as its console script does."""
    words = [sys.executable, *start, *map(str, words)]
    environment = {
        name: text for name, text in os.environ.items() if name != LOG_LEVEL
    } | environment
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


def processor_seconds():
    """Processor time of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("words", "status"),
    (
        (("--help",), 0),
        (("--version",), 0),
        *(((command, "--help"), 0) for command in COMMANDS),
        ((), 2),
        (("nothing",), 2),
        (("predict",), 2),
        (("predict", "none.keras", "x.png"), 2),
        (("train", "digit", "--out", "o"), 2),
        (("export", "m.keras", "m.tflite", "--format", "onyx"), 2),
        (("transfer", "seresnet50", "--data", "fake", "--out", "o", "--resume", "--overwrite"), 2),
    ),
)
@pytest.mark.parametrize("start", (SCRIPT, MODULE), ids=("script", "module"))
def test_help_and_wrong_use_are_answered_at_once(start, words, status):
    seconds = []
    for _ in range(3):
        before = processor_seconds()
        done = run_process(*words, start=start)
        seconds.append(processor_seconds() - before)
        if seconds[-1] < 0.5:
            break
    assert done.returncode == status
    assert bool(done.stdout) == (status == 0)
    assert bool(done.stderr) == (status == 2)
    assert min(seconds) < 0.5


@pytest.mark.backend_neutral
def test_the_help_of_train_has_recipes_and_fields():
    text = run_process("train", "--help").stdout
    fields = [field.name for field in dataclasses.fields(Recipe) if field.name != "about"]
    assert all(f"  {name} " in text for name in (*RECIPES, *fields))


@pytest.mark.parametrize("start", (SCRIPT, MODULE), ids=("script", "module"))
def test_the_backend_is_quiet(start):
    done = run_process("list", start=start)
    assert done.returncode == 0
    assert "SEResNet50 " in done.stdout
    assert done.stderr == ""


@pytest.mark.backend_neutral
def test_what_a_backend_wrote_before_it_failed_is_shown(tmp_path):
    (tmp_path / "keras.py").write_text("import os\nos.write(2, b'no driver')\nraise ValueError")
    done = run_process("list", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 2
    assert "no driver" in done.stderr


@pytest.mark.backend_neutral
def test_a_reader_of_the_output_may_stop():
    words = [sys.executable, *SCRIPT, "list"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.backend_neutral
def test_weights_may_be_an_address(capsys, images, tmp_path, monkeypatch):
    path, address = tmp_path / "w.safetensors", "https://example.com/w-0123abcd.safetensors"
    export_state_dict(applications.SEResNet20(weights="cifar10"), path)
    monkeypatch.setattr("keras_se.weights.hub.fetch", lambda source, **hashes: path)
    words = ("predict", "seresnet20", images[0], "--json", "--weights")
    assert run(*words, address) == 0
    by_address = json.loads(capsys.readouterr().out)
    assert run(*words, "cifar10") == 0
    assert by_address == json.loads(capsys.readouterr().out)


@pytest.mark.backend_neutral
def test_formats_are_those_of_export():
    assert set(FORMATS) == set(keras_se.export.FORMATS)


@pytest.mark.backend_neutral
def test_list(capsys):
    assert run("list", "SERESNET?6") == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:6] == ["SEResNet56", "32", "862,889", "0.126", "89.57", "apache-2.0"]
    assert run("list", "--weights") == 0
    assert "timm/seresnet50.a3_in1k" in capsys.readouterr().out
    assert run("list", "seresnet1*", "--json") == 0
    everything = {row["network"] for row in json.loads(capsys.readouterr().out)}
    assert run("list", "seresnet1*", "--json", "--pretrained") == 0
    trained = {row["network"]: row["weights"] for row in json.loads(capsys.readouterr().out)}
    assert {"SEResNet18", "SEResNet152D"} < everything
    assert trained["SEResNet152D"] == ["ra2_in1k"] and "SEResNet18" not in trained
    assert run("list", "seresnet?6", "--json", "--weights") == 0
    assert json.loads(capsys.readouterr().out)[0]["top1"] == 89.57
    assert run("list", "seresnetx") == 2


def test_predict_prints_the_best_classes_of_every_image(capsys, weights, images):
    command = ("predict", "seresnext26ts", "--weights", weights, "--top", 2, *images)
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3] == [str(path) for path in images]
    looks = applications.SEResNeXt26TS.preprocessing()
    model = applications.SEResNeXt26TS(weights=weights)
    batch = looks.normalize(np.stack([looks.load_image(path) for path in images]))
    expected = applications.SEResNeXt26TS.decode_predictions(run_model(model, batch), top=2)
    for index, classes in enumerate(expected):
        for line, (_, name, score) in zip(lines[3 * index + 1 :], classes, strict=False):
            percent, sign, label = line.split(maxsplit=2)
            assert (sign, label) == ("%", name.replace("_", " "))
            assert float(percent) == pytest.approx(100 * score, abs=0.011)


def predicted(capsys, *words):
    """The likeliest class and its probability of each image."""
    assert run("predict", *words, "--top", 1, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    return [(row["predictions"][0]["name"], row["predictions"][0]["probability"]) for row in rows]


def test_predict_with_a_run_folder_and_what_is_exported_from_it(
    capsys, run_folder, images, tmp_path
):
    recipe_looks = keras_se.preprocessing.Preprocessing(
        12, 0.5, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )
    batch = recipe_looks.normalize(np.stack([recipe_looks.load_image(path) for path in images]))
    model = keras.saving.load_model(run_folder / "model.keras")
    scores = run_model(model, batch)
    expected = [(("hen", "owl", "jay")[row.argmax()], pytest.approx(row.max())) for row in scores]
    assert predicted(capsys, run_folder, images[0].parent) == expected
    assert predicted(capsys, run_folder / "model.keras", *images) == expected
    written = [tmp_path / "served.keras", *([tmp_path / "served"] if ON_TENSORFLOW else [])]
    for path in written:
        assert run("export", run_folder, path, "--preprocessing") == 0
        capsys.readouterr()
        assert read_metadata(path)["preprocessing"]["size"] == 12
        assert predicted(capsys, path, *images) == [
            (name, pytest.approx(score.expected, abs=1e-4)) for name, score in expected
        ]


ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


@pytest.mark.skipif(not ONNX, reason="needs onnx and onnxruntime")
@pytest.mark.parametrize("source", ("run", "seresnet20"))
def test_an_export_without_the_normalization_is_predicted_alike(
    capsys, run_folder, images, tmp_path, source
):
    model, written = run_folder if source == "run" else source, tmp_path / "mine.onnx"
    expected = predicted(capsys, model, *images)
    assert run("export", model, written) == 0
    capsys.readouterr()
    assert not read_metadata(written)["preprocessing_included"]
    assert predicted(capsys, written, *images) == [
        (name, pytest.approx(score, abs=1e-4)) for name, score in expected
    ]


def test_a_run_of_gray_images_is_exported_for_the_colors_of_files(capsys, images, tmp_path):
    (tmp_path / "recipe.json").write_text(DIGITS.to_json())
    model = SMALL(weights=None, classes=10, input_shape=(8, 8, 1))
    randomized(model).save(tmp_path / "model.keras")
    assert run("export", tmp_path, tmp_path / "served.keras", "--preprocessing") == 0
    capsys.readouterr()
    assert read_metadata(tmp_path / "served.keras")["input_shape"][-1] == 3
    expected = predicted(capsys, tmp_path, *images)
    served = predicted(capsys, tmp_path / "served.keras", *images)
    assert [name for name, _ in served] == [name for name, _ in expected]
    assert [score for _, score in served] == pytest.approx([x for _, x in expected], abs=1e-4)


@pytest.mark.backend_neutral
def test_predict_writes_tables(capsys, run_folder, images):
    assert run("predict", run_folder, images[0].parent, "--top", 2, "--csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["image"] for row in rows[::2]] == [str(path) for path in images]
    assert [row["rank"] for row in rows[:2]] == ["1", "2"]
    assert rows[0]["name"] in ("hen", "owl", "jay")
    assert float(rows[0]["probability"]) > float(rows[1]["probability"])


@pytest.mark.backend_neutral
def test_predict_skips_what_it_cannot_read(capsys, run_folder, images, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    words = (broken, tmp_path / "missing.png", images[0])
    assert run("predict", run_folder, *words) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == str(images[0])
    assert len(out.splitlines()) == 1 + 3
    assert f"skipped {broken}" in err
    assert "missing.png" in err


def test_predict_with_a_file_of_a_network_that_has_no_published_weights(
    tiny_network, capsys, images, tmp_path
):
    path = tmp_path / "mine.keras"
    SMALL(weights=None, classes=4).save(path)
    command = ("predict", "setiny", "--weights", path, images[0], "--top", 1)
    assert run(*command) == 2
    assert "--preprocessing" in capsys.readouterr().err
    assert run(*command, "--preprocessing", "seresnet20.cifar10") == 0
    looks = applications.SEResNet20.preprocessing()
    loaded = SMALL(weights=path)
    (scores,) = run_model(loaded, looks.normalize(looks.load_image(images[0]))[None])
    assert f"class {scores.argmax()}" in capsys.readouterr().out


@pytest.mark.backend_neutral
def test_a_damaged_model_is_one_line(capsys, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK damaged")
    for words in (("export", path, tmp_path / "out.keras"), ("evaluate", path, "--data", "fake")):
        assert run(*words) == 2
        err = capsys.readouterr().err
        assert str(path) in err
        assert err.count("\n") == 1


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("words", "parts"),
    (
        (("predict", "seresnet5", "x.png"), ("seresnet5", "seresnet50")),
        (("predict", "ResNet999", "x.png"), ("ResNet999", "resnet")),
        (("predict", "seresnet50", "--weights", "ra3", "x.png"), ("ra3", "ra2_in1k")),
        (("predict", "seresnet50", "--top", "0", "x.png"), ("--top",)),
        (("predict", "sevgg16", "x.png"), ("SEVGG16", "no published")),
        (("predict", "seresnet20", "--weights", "x.pth", "x.png"), ("x.pth",)),
        (("predict", "seresnet20", "none.png"), ("none.png",)),
        (("predict", "runs/none", "x.png"), ("runs/none",)),
        (("predict", "folder", "x.png"), ("folder", "run")),
        (("evaluate", "none.keras", "--data", "fake"), ("none.keras",)),
        (("export", "none.onnx", "out.keras"), ("none.onnx",)),
        (("export", "x.png", "out.keras", "--weights", "x"), ("--weights", "x.png")),
        (("export", "x.png", "o.keras", "--preprocessing", "a1_in1k"), ("NETWORK.TAG",)),
        (("export", "x.png", "o.h5"), (".onnx", "o.h5")),
        (("export", "nonet50", "out.keras"), ("nonet50", "resnet50")),
        (("export", "x.png", "o.tflite", "--format", "litert_int8"), ("--calibration",)),
        (("export", "x.png", "o.keras", "--calibration", "."), ("litert_int8", "keras")),
        (("train", "--out", "out"), ("RECIPE",)),
        (("train", "--out", "out", "--resume"), ("out",)),
        (("train", "digit", "--out", "out"), ("digit", "digits")),
        (("train", "digits", "--out", "out", "--set", "epochs=many"), ("epochs", "many")),
        (("train", "digits", "--out", "out", "--set", "epoch=3"), ("epoch", "epochs")),
        (("train", "digits", "--out", "out", "--set", "epochs"), ("epochs", "=")),
        (("transfer", "--data", "fake", "--out", "out"), ("NETWORK",)),
        (("transfer", "seresnet20", "--out", "out"), ("--data",)),
    ),
)
def test_errors_are_one_line_and_status_two(capsys, monkeypatch, tmp_path, words, parts):
    monkeypatch.chdir(tmp_path)
    Path("x.png").touch()
    Path("folder").mkdir()
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("keras-se: error: ")
    assert err.count("\n") == 1
    assert all(part in err for part in parts)
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "folder"}


@pytest.mark.skipif(not ON_TENSORFLOW, reason="SavedModels are TensorFlow's")
def test_export_of_a_network(capsys, tmp_path):
    import tensorflow as tf

    weights, first = tmp_path / "weights.safetensors", tmp_path / "first"
    export_state_dict(applications.SEResNet20(), weights)
    command = ("export", "seresnet20", first, "--weights", weights, "--preprocessing")
    assert run(*command) == 0
    assert "largest difference" in capsys.readouterr().out
    serve = tf.saved_model.load(str(first)).signatures["serving_default"]
    assert serve.structured_input_signature[1]["images"].dtype == tf.uint8
    looks = WEIGHTS["SEResNet20"][0].preprocessing
    assert read_metadata(first)["preprocessing"]["mean"] == list(looks.mean)
    assert run(*command) == 2
    assert str(first) in capsys.readouterr().err


def test_export_of_a_file_and_of_packaged_weights(capsys, tmp_path):
    path, labels, written = (tmp_path / name for name in ("m.keras", "l.txt", "out.safetensors"))
    SMALL(weights=None, classes=3).save(path)
    labels.write_text("one\ntwo words\nthree\n")
    assert run("export", path, written, "--labels", labels) == 0
    metadata = read_metadata(written)
    assert metadata["class_names"] == ["one", "two words", "three"]
    assert metadata["format"] == "state_dict"
    assert run("export", path, tmp_path / "third.keras", "--preprocessing") == 2
    assert "NETWORK.TAG" in capsys.readouterr().err
    written = tmp_path / "out.keras"
    assert run("export", "seresnet20", written, "--no-fold") == 0
    assert read_metadata(written)["class_names"][:2] == ["airplane", "automobile"]
    assert not read_metadata(written)["folded"]


@pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow writes LiteRT")
def test_export_to_integers(capsys, run_folder, images, tmp_path):
    pictures = tmp_path / "pictures"
    shutil.copytree(images[0].parent, pictures)
    (pictures / "broken.png").write_bytes(b"no image")
    command = ("export", run_folder, tmp_path / "m.tflite", "--format", "litert_int8")
    assert run(*command, "--calibration", pictures) == 0
    out, err = capsys.readouterr()
    assert "% of 3 images" in out
    assert "skipped" in err


@pytest.mark.backend_neutral
def test_loggers_that_are_made_while_a_command_starts_write_later(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", open(2, "w", closefd=False))  # noqa: SIM115
    with native_stderr_dropped():
        handler = logging.StreamHandler()
    handler.emit(logging.makeLogRecord({"msg": "a late line"}))
    assert capfd.readouterr().err == "a late line\n"
