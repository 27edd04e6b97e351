"""The studies run, at their smallest size, and their arithmetic is right."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import load_script, run
from families import CIFAR
from PIL import Image
from tiny import SMALL

import keras_se.applications
from keras_se import data
from keras_se.applications import cifar
from keras_se.applications.cifar import preactivated_bottleneck as bottleneck

STUDIES = Path(__file__).parent.parent / "applications"


def study(name):
    return load_script(STUDIES / f"{name}.py")


@pytest.mark.backend_neutral
def test_every_study_is_in_the_readme():
    readme = (STUDIES / "README.md").read_text()
    for path in STUDIES.glob("*.py"):
        assert f"`{path.name}`" in readme


@pytest.fixture
def tiny(monkeypatch):
    """The tiny network is in the zoo; a SavedModel of it would take longer than its training."""
    monkeypatch.setattr(keras_se.applications, "SETiny", SMALL, raising=False)
    monkeypatch.setattr("keras_se.training.results.export_saved_model", lambda *given: None)
    return ["--set", "network=SETiny", "--set", "size=8"]


def test_seeds_give_a_mean_and_the_worst(tiny, tmp_path, capsys):
    study("digits_seeds").main(["--out", str(tmp_path), "--seeds", "2", "--set", "epochs=1", *tiny])
    lines = capsys.readouterr().out.splitlines()[-2:]
    for line in lines:
        mean, worst = map(float, re.search(r"accuracy ([\d.]+).*worst ([\d.]+)", line).groups())
        assert worst <= mean <= 100


@pytest.mark.slow
def test_stages_lose_their_gates_in_turn(tmp_path, capsys):
    random = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "test" / ("cat", "dog", "hen")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 32, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    shutil.copytree(tmp_path / "test", tmp_path / "train")
    study("last_stage").main(["--data", f"folder:{tmp_path}"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[1:5]] == ["no", "stage1", "stage2", "stage3"]
    # Two kernels and two biases for each block, of the twin's parameters.
    shares = [sum(3 * (2 * c * (c // 16) + c // 16 + c) for c in (16, 32, 64)) / 272474]
    shares += [shares[0] - 3 * (2 * c * (c // 16) + c // 16 + c) / 272474 for c in (16, 32, 64)]
    assert [line[-1] for line in lines[1:5]] == [f"{100 * share:.2f}" for share in shares]
    assert lines[5][0] == "6"


def test_cifar10_prints_errors_and_their_spread(tiny, tmp_path, capsys, monkeypatch):
    cifar10 = study("cifar10")
    assert cifar10.line("SEResNet20", [6.0, 7.0], 5.21).split() == (
        ["SEResNet20", "6.50", "+-", "0.71", "%", "5.21", "%"]
    )
    given = []

    def train(recipe, out, resume):
        given.append((recipe, out.name, resume))
        accuracy = 90.0 + recipe.seed
        return {"networks": {"A": {"test_accuracy": accuracy}, "B": {"test_accuracy": 80.0}}}

    monkeypatch.setattr(cifar10, "train", train)
    words = ["--out", str(tmp_path), "--seeds", "2", "--data", "folder:/x", "--set", "epochs=3"]
    cifar10.main([*words, "--recipe", "cifar10-preresnet164", "--set", "milestones=1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["A", "9.50", "+-", "0.71", "%", "4.39", "%"]
    assert lines[2].split() == ["B", "20.00", "+-", "0.00", "%", "5.46", "%"]
    assert [(one.seed, one.data, one.epochs, one.twin, name) for one, name, _ in given] == [
        (0, "folder:/x", 3, True, "seed0"),
        (1, "folder:/x", 3, True, "seed1"),
    ]


def test_imagenet_runs_and_compares_with_the_paper(tiny, tmp_path, capsys):
    study("imagenet").main(["--out", str(tmp_path / "run"), "--smoke", *tiny])
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"top-1 [\d.]+ %, published 76\.71 % \(arXiv:1709\.01507, table 2\)", last)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", pytest.param("places365", marks=pytest.mark.large)])
def test_a_network_and_its_twin_run(tiny, name, tmp_path, capsys):
    seeds = ["--seeds", "1"] if name == "cifar10" else []
    study(name).main(["--out", str(tmp_path / "run"), "--smoke", *seeds, *tiny])
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split()[0] for line in lines] == ["SETiny", "Tiny"]


@pytest.mark.backend_neutral
def test_places365_is_read_as_its_authors_give_it(places365):
    folder, names = places365
    dataset = data.load(f"places365:{folder}", size=8)
    assert dataset.class_names == names and len(names) == 365
    assert dataset.class_names[8] == "apartment_building/outdoor"
    # The brightness of each image is its label, in 8 bits.
    for images, labels, numbers in (
        (dataset.train_images, dataset.train_labels, range(365)),
        (dataset.test_images, dataset.test_labels, range(364, -1, -1)),
    ):
        assert labels.tolist() == list(numbers)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), labels % 256, atol=2)


@pytest.mark.backend_neutral
def test_lists_of_places365_that_are_wrong_are_refused(places365):
    folder, _ = places365
    (folder / "places365_val.txt").write_text("Places365_val_00000001.jpg 365\n")
    with pytest.raises(ValueError, match="must be below 365"):
        data.load(f"places365:{folder}", size=8)
    (folder / "places365_val.txt").write_text("Places365_val_00000001.jpg\n")
    with pytest.raises(ValueError, match="line 1 must be a name and a number"):
        data.load(f"places365:{folder}", size=8)
    (folder / "places365_val.txt").unlink()
    with pytest.raises(FileNotFoundError, match="must have places365_val"):
        data.load(f"places365:{folder}", size=8)


@pytest.mark.backend_neutral
def test_each_list_of_places365_is_read_from_its_own_folder(places365):
    folder, _ = places365
    standard, challenge = (
        folder / f"places365_train_{name}.txt" for name in ("standard", "challenge")
    )
    lines = standard.read_text().splitlines()
    more = [line.replace("00000001", f"{number:08}") for number in range(2, 5) for line in lines]
    challenge.write_text("\n".join([*lines, *more]))
    # Most files of the Challenge set are not in what is the Standard set.
    with pytest.raises(ValueError, match=r"files of .*_challenge\.txt"):
        data.load(f"places365:{folder}", size=8)
    (folder / "data_256").rename(folder / "data_256_standard")
    assert len(data.load(f"places365:{folder}", size=8).train_images) == 365
    for line in more:
        file = folder / "data_256_challenge" / line.split()[0].lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(folder / "data_256_standard" / lines[0].split()[0].lstrip("/"))
    for line in lines:
        name = line.split()[0].lstrip("/")
        (folder / "data_256_challenge" / name).symlink_to(folder / "data_256_standard" / name)
    assert len(data.load(f"places365:{folder}", size=8).train_images) == 4 * 365


@pytest.fixture
def places365(tmp_path):
    """A set of the layout and names of Places365: an image of each class in both parts."""
    folder = tmp_path / "places365"
    names = tuple((Path(__file__).parent / "places365_names.txt").read_text().split())

    def write(path, label):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), label % 256, "uint8")).save(path)

    categories, train, val = [], [], []
    for label, name in enumerate(names):
        scene = f"/{name[0]}/{name}"
        categories.append(f"{scene} {label}")
        train.append(f"{scene}/00000001.jpg {label}")
        write(folder / f"data_256{scene}/00000001.jpg", label)
    for number, label in enumerate(range(364, -1, -1), start=1):
        file = f"Places365_val_{number:08}.jpg"
        val.append(f"{file} {label}")
        write(folder / "val_256" / file, label)
    (folder / "categories_places365.txt").write_text("\n".join(categories))
    (folder / "places365_train_standard.txt").write_text("\n".join(train))
    (folder / "places365_val.txt").write_text("\n".join(val))
    return folder, names


@pytest.mark.slow
def test_places365_runs_from_its_lists_to_both_errors(tiny, places365, tmp_path, capsys):
    folder, _ = places365
    words = ["--data", f"places365:{folder}", "--out", str(tmp_path / "run"), *tiny]
    changes = "epochs=2 milestones=1 steps_per_epoch=2 batch_size=8 gradient_accumulation_steps=1"
    for change in changes.split():
        words += ["--set", change]
    study("places365").main(words)
    lines = capsys.readouterr().out.splitlines()[-2:]
    pattern = r"{} +top-1 / top-5 error [\d.]+ / [\d.]+ %, the paper {} %"
    for line, name, paper in zip(
        lines, ("SETiny", "Tiny"), ("40.37 / 11.01", "41.15 / 11.61"), strict=True
    ):
        assert re.fullmatch(pattern.format(name, re.escape(paper)), line)
        top1, top5 = (float(number) for number in re.findall(r"[\d.]+", line)[2:4])
        assert 0 <= top5 <= top1 <= 100
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["train_images"], results["test_images"]) == (365, 365)


@pytest.mark.backend_neutral
def test_transfer_takes_a_few_of_each_class_in_color():
    labels = np.array([1, 0, 1, 1, 0, 0])
    images = np.float32(np.arange(6)).reshape(6, 1, 1, 1)
    whole = data.Dataset(images, labels, images[:4], labels[:4], ("a", "b"))
    small = study("transfer").few(whole, per_class=2)
    assert small.train_images.tolist() == [[[[one] * 3]] for one in (0.0, 1.0, 2.0, 4.0)]
    assert small.train_labels.tolist() == [1, 0, 1, 0]
    assert small.test_images.tolist() == [[[[one] * 3]] for one in (0.0, 1.0, 2.0, 3.0)]
    assert small.test_labels.tolist() == [1, 0, 1, 1]


@pytest.mark.backend_neutral
def test_transfer_reports_means_and_spreads():
    found = {("weights", 5): [90.0, 92.0], ("scratch", 5): [80.0, 80.0]}
    last = study("transfer").table(found).splitlines()[-1]
    assert last == "| 5 | 91.00 +- 1.41 | 80.00 +- 0.00 |"


@pytest.mark.slow
def test_transfer_compares_weights_with_none(tiny, tmp_path, capsys):
    weights, out = tmp_path / "tiny.keras", tmp_path / "new"
    SMALL(weights=None, classes=10, input_shape=(8, 8, 3)).save(weights)
    words = ["--network", "SETiny", "--weights", str(weights), "--size", "8"]
    study("transfer").main(
        ["--out", str(out), "--smoke", "--per-class", "2", "--seeds", "1", *words]
    )
    assert (out / "report.md").read_text().splitlines()[2] in capsys.readouterr().out
    assert (out / "curve.png").stat().st_size > 1000
    recipes = [
        json.loads((out / f"{start}2-seed0" / "recipe.json").read_text())
        for start in ("weights", "scratch")
    ]
    assert [one["weights"] for one in recipes] == [str(weights), ""]
    assert [one["seed"] for one in recipes] == [0, 0]


def cifar_pair(*depths):
    rows = [CIFAR("SEH", cifar.cifar_resnet, depth=depth) for depth in depths]
    return [row(weights=None, classes=4, input_shape=(8, 8, 3)) for row in rows]


def test_a_deeper_network_begins_as_the_trained_one():
    keras.utils.set_random_seed(0)
    trained, deeper = cifar_pair(8, 20)
    for layer in deeper.layers:
        # As if it were trained: a new block must not only be near the identity at the start.
        if layer.name.endswith("bn2"):
            layer.beta.assign(np.ones(layer.beta.shape))
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 3), "float32")
    expected = run(trained, images, exactly=True)
    assert np.abs(run(deeper, images) - expected).max() > 1e-3
    assert study("deeper").grow(trained, deeper) == 6
    np.testing.assert_array_equal(run(deeper, images, exactly=True), expected)


@pytest.mark.backend_neutral
def test_a_network_without_some_of_the_layers_is_refused():
    shallow, deeper = cifar_pair(8, 14)
    with pytest.raises(ValueError, match=r"`deeper`.*layer1_1_conv1"):
        study("deeper").grow(deeper, shallow)


@pytest.mark.backend_neutral
def test_more_than_new_blocks_is_refused():
    plain = CIFAR("SEJ", cifar.cifar_resnet, depth=8)
    plain = plain(weights=None, classes=4, input_shape=(8, 8, 3), se=False)
    (deeper,) = cifar_pair(14)
    before = deeper.get_weights()
    with pytest.raises(ValueError, match=r"whole blocks only.*layer1_0_se'"):
        study("deeper").grow(plain, deeper)
    for one, other in zip(before, deeper.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend_neutral
def test_blocks_that_end_otherwise_are_refused():
    rows = [CIFAR("SEK", cifar.cifar_preresnet, depth=d, block=bottleneck) for d in (11, 20)]
    pair = [row(weights=None, classes=4, input_shape=(8, 8, 3)) for row in rows]
    with pytest.raises(ValueError, match=r"must end in bn2.*layer1_1_conv3'"):
        study("deeper").grow(*pair)


def test_deeper_writes_weights_that_training_starts_from(tmp_path, capsys, monkeypatch):
    trained, _ = cifar_pair(8, 14)
    trained.save(tmp_path / "best.keras")
    row = CIFAR("SEI", cifar.cifar_resnet, depth=14)
    monkeypatch.setattr(keras_se.applications, "SEI", row, raising=False)
    out = tmp_path / "start.weights.h5"
    study("deeper").main([str(tmp_path / "best.keras"), "--network", "SEI", "--out", str(out)])
    assert capsys.readouterr().out == "SEI: 3 new blocks; probabilities differ by 0.0e+00.\n"
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3), "float32")
    deeper = row(weights=str(out), classes=4, input_shape=(8, 8, 3))
    np.testing.assert_allclose(run(deeper, images), run(trained, images), rtol=0, atol=1e-6)
