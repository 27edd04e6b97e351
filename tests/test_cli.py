"""The command line, called as a user calls it."""

import dataclasses
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
from safetensors.numpy import save_file

import keras_se.export
from keras_se import applications, cli
from keras_se.cli.export import FORMATS
from keras_se.export import read_metadata
from keras_se.preprocessing import decode_predictions
from keras_se.recipes.recipe import Recipe
from keras_se.weights import WEIGHTS

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
PACKAGE = Path(keras_se.__file__).parent
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
COMMANDS = ("list", "predict", "train", "transfer", "evaluate", "export", "data")


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


def run(*words):
    return cli.main([str(word) for word in words])


def run_process(*words):
    """Runs the command in a process of its own, as its console script does."""
    script = "import sys, keras_se_command; sys.exit(keras_se_command.main())"
    words = [sys.executable, "-c", script, *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != LOG_LEVEL}
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


def processor_seconds():
    """Processor time of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.parametrize(
    ("words", "status"),
    (
        (("--help",), 0),
        *(((command, "--help"), 0) for command in COMMANDS),
        (("train", "digit", "--out", "o"), 2),
        ((), 2),
        (("nothing",), 2),
        (("predict",), 2),
        (("predict", "seresnet50", "x.png", "--top", "0"), 2),
        (("export", "m.keras", "m.tflite", "--format", "onyx"), 2),
        (("transfer", "seresnet50", "--data", "fake", "--out", "o", "--resume", "--overwrite"), 2),
    ),
)
def test_help_and_wrong_use_are_answered_at_once(words, status):
    seconds = []
    for _ in range(3):
        before = processor_seconds()
        done = run_process(*words)
        seconds.append(processor_seconds() - before)
        if seconds[-1] < 0.5:
            break
    assert done.returncode == status
    assert bool(done.stdout) == (status == 0)
    assert bool(done.stderr) == (status == 2)
    assert min(seconds) < 0.5


def test_the_help_of_train_has_recipes_and_fields():
    text = run_process("train", "--help").stdout
    assert "digits " in text
    fields = [field.name for field in dataclasses.fields(Recipe) if field.name != "about"]
    assert all(f"  {name} " in text for name in fields)


def test_the_backend_is_quiet():
    done = run_process("list")
    assert done.returncode == 0
    assert "SEResNet50 " in done.stdout
    assert done.stderr == ""


def test_what_a_backend_wrote_before_it_failed_is_shown(tmp_path):
    (tmp_path / "keras.py").write_text(
        "import os\nos.write(2, b'no driver')\nraise ValueError('x')"
    )
    script = "import keras_se_command; raise SystemExit(keras_se_command.main())"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE.parent}"}
    words = [sys.executable, "-c", script, "list"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "no driver" in done.stderr


def test_formats_are_those_of_export():
    assert set(FORMATS) == set(keras_se.export.FORMATS)


def test_list(capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [one for one in lines if one.startswith("SEResNet50 ")]
    assert line.split()[1:6] == ["224", "28,088,024", "4.092", "80.26", "apache-2.0"]
    assert run("list", "--weights") == 0
    assert "timm/seresnet50.a3_in1k" in capsys.readouterr().out


def test_predict_prints_the_best_classes_of_every_image(capsys, weights, images):
    command = ("predict", "seresnext26ts", "--weights", weights, "--top", 2, *images)
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3] == [str(one) for one in images]
    (row,) = WEIGHTS["SEResNeXt26TS"]
    model = applications.SEResNeXt26TS(weights=weights)
    looks = row.preprocessing
    batch = looks.normalize(np.stack([looks.load_image(one) for one in images]))
    expected = decode_predictions(run_model(model, batch), top=2)
    for index, classes in enumerate(expected):
        for line, (_, name, score) in zip(lines[3 * index + 1 :], classes, strict=False):
            percent, sign, label = line.split(maxsplit=2)
            assert (sign, label) == ("%", name.replace("_", " "))
            assert float(percent) == pytest.approx(100 * score, abs=0.011)


def test_predict_skips_what_it_cannot_read(capsys, weights, images, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    words = (broken, tmp_path / "missing.png", images[0])
    assert run("predict", "seresnext26ts", "--weights", weights, *words) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == str(images[0])
    assert len(out.splitlines()) == 6
    assert f"skipped {broken}" in err
    assert "missing.png" in err


def test_predict_with_a_file_of_a_network_that_has_no_published_weights(capsys, images, tmp_path):
    model = applications.SEResNet32(weights=None, classes=4)
    path = tmp_path / "mine.keras"
    model.save(path)
    command = ("predict", "seresnet32", "--weights", path, images[0], "--top", 2)
    assert run(*command) == 2
    assert "--preprocessing NETWORK.TAG" in capsys.readouterr().err
    assert run(*command, "--preprocessing", "seresnet50.a3_in1k") == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [one for one in WEIGHTS["SEResNet50"] if one.tag == "a3_in1k"]
    looks = row.preprocessing
    batch = looks.normalize(looks.load_image(images[0]))[None]
    loaded = applications.SEResNet32(weights=path, classes=None, input_shape=(None, None, 3))
    (scores,) = run_model(loaded, batch)
    best = scores.argsort()[::-1][:2]
    assert [line.split("%")[1].strip() for line in lines[1:]] == [f"class {one}" for one in best]


def test_a_damaged_model_is_one_line(capsys, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK damaged")
    assert run("export", path, tmp_path / "out.keras") == 2
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "parts"),
    (
        (("predict", "seresnet5", "x.png"), ("seresnet5", "seresnet50")),
        (("predict", "seresnet50", "--weights", "ra3", "x.png"), ("ra3", "ra2_in1k")),
        (("predict", "seresnet50", "--top", "0", "x.png"), ("--top",)),
        (("predict", "seresnet101", "x.png"), ("SEResNet101", "no published")),
        (("predict", "seresnet20", "--weights", "x.pth", "x.png"), ("SEResNet20",)),
        (("export", "none.keras", "out.keras"), ("none.keras",)),
        (("export", "m.keras", "out.keras", "--weights", "x"), ("--weights", ".keras")),
        (("export", "m.keras", "o.keras", "--preprocessing", "a1_in1k"), ("NETWORK.TAG",)),
        (("export", "m.keras", "o.h5"), (".onnx", "o.h5")),
        (("export", "nonet50", "out.keras"), ("nonet50", "resnet50")),
        (("export", "m.keras", "o.tflite", "--format", "litert_int8"), ("--calibration",)),
        (("export", "m.keras", "o.keras", "--calibration", "x"), ("litert_int8, not with keras",)),
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
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("keras-se: error: ")
    assert err.count("\n") == 1
    assert all(part in err for part in parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not ON_TENSORFLOW, reason="SavedModels are TensorFlow's")
def test_export_of_a_network(capsys, weights, tmp_path):
    import tensorflow as tf

    first = tmp_path / "first"
    command = ("export", "seresnext26ts", first, "--weights", weights, "--preprocessing")
    assert run(*command) == 0
    assert "largest difference" in capsys.readouterr().out
    serve = tf.saved_model.load(str(first)).signatures["serving_default"]
    assert serve.structured_input_signature[1]["images"].dtype == tf.uint8
    assert read_metadata(first)["preprocessing"]["size"] == 256
    assert run(*command) == 2
    assert str(first) in capsys.readouterr().err


def test_export_of_a_file_and_of_packaged_weights(capsys, tmp_path):
    path, labels, written = (tmp_path / name for name in ("m.keras", "l.txt", "out.safetensors"))
    applications.SEResNet20(weights=None, input_shape=(32, 32, 1), classes=3).save(path)
    labels.write_text("one\ntwo words\nthree\n")
    assert run("export", path, written, "--labels", labels) == 0
    metadata = read_metadata(written)
    assert metadata["class_names"] == ["one", "two words", "three"]
    assert metadata["format"] == "state_dict"
    assert run("export", path, tmp_path / "third.keras", "--preprocessing") == 2
    assert "NETWORK.TAG" in capsys.readouterr().err
    written = tmp_path / "out.keras"
    assert run("export", "seresnet20", written, "--weights", "cifar10", "--no-fold") == 0
    assert read_metadata(written)["class_names"][:2] == ["airplane", "automobile"]
    assert not read_metadata(written)["folded"]


@pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow writes LiteRT")
def test_export_to_integers(capsys, images, tmp_path):
    path, pictures = tmp_path / "m.keras", tmp_path / "pictures"
    applications.SEResNet20(weights="cifar10", classes=10, input_shape=(16, 16, 3)).save(path)
    shutil.copytree(images[0].parent, pictures)
    (pictures / "broken.png").write_bytes(b"no image")
    command = ("export", path, tmp_path / "m.tflite", "--format", "litert_int8")
    command = (*command, "--preprocessing", "seresnet20.cifar10", "--calibration", pictures)
    assert run(*command) == 0
    out, err = capsys.readouterr()
    assert "% of 3 images" in out
    assert "skipped" in err
