"""A run is of one set of data: what goes on with it or measures it with another is told so."""

import keras
import numpy as np
import pytest
from conftest import WARNINGS_OF_KERAS
from PIL import Image
from tiny import small

from keras_se import cli
from keras_se.evaluation import evaluate
from keras_se.recipes.run_files import class_names_beside
from keras_se.training import loop, results

pytest.importorskip("matplotlib")
pytestmark = [pytest.mark.usefixtures("tiny_network"), *WARNINGS_OF_KERAS]
# Brightness of the pictures of each class.
CLASSES = {"ant": 30, "bee": 130, "cat": 230}


def draw(folder):
    """Makes a folder of gray squares, twelve of each class."""
    for name, gray in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (16, 16), 3 * (gray + index,)).save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tiny_network, tmp_path_factory):
    """The pictures of a run, and the file of its network."""
    folder = tmp_path_factory.mktemp("trained")
    pictures = draw(folder / "pictures")
    recipe = small(data=f"folder:{pictures}", size=16, epochs=20, batch_size=8, warmup_epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "export_saved_model", lambda network, folder, class_names: None)
        loop.train(recipe, folder / "run")
    return pictures, folder / "run" / "model.keras"


def files(folder):
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "message"),
    [("rename", "class_names"), ("delete", "29 train_images in place of 30"), ("move", "labels")],
)
def test_a_run_goes_on_only_with_its_own_data(tmp_path, monkeypatch, change, message):
    pictures = draw(tmp_path / "pictures")

    def stop(*_):
        raise KeyboardInterrupt

    recipe = small(data=f"folder:{pictures}", size=16, epochs=1, batch_size=8, warmup_epochs=0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "save_model", stop)
        loop.train(recipe, tmp_path / "run")
    before = files(tmp_path / "run")
    assert "state.npz" in before
    ant, bee = pictures / "ant", pictures / "bee"
    if change == "rename":
        ant.rename(pictures / "ape")
    elif change == "delete":
        (ant / "00.png").unlink()
    else:
        (ant / "00.png").rename(bee / "another.png")
    with pytest.raises(ValueError, match=message):
        loop.train(recipe, tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == before


def test_a_network_is_measured_with_the_classes_it_was_trained_on(trained, capsys):
    pictures, model = trained
    words = ["evaluate", str(model), "--data", f"folder:{pictures}"]
    assert class_names_beside(model) == tuple(CLASSES)
    assert cli.main(words) == 0
    assert "top-1 100.00 %" in capsys.readouterr().out
    (pictures / "ant").rename(pictures / "zebra")
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "'ant'" in error and "'bee'" in error and "class_names.txt" in error
    (pictures / "zebra").rename(pictures / "ant")


def test_a_network_is_measured_at_another_size(trained, capsys, monkeypatch):
    pictures, model = trained
    shapes = []

    def measured(network, dataset, *_):
        shapes.append((network.input_shape[1:], dataset.image_shape))
        return outputs(network, dataset, *_)

    outputs = evaluate.outputs
    monkeypatch.setattr(evaluate, "outputs", measured)
    words = ["evaluate", str(model), "--data", f"folder:{pictures}", "--size"]
    assert cli.main([*words, "24"]) == 0
    assert shapes == [((24, 24, 3), (24, 24, 3))]
    assert "top-1 100.00 %" in capsys.readouterr().out
    for size in ("0", "-5"):
        for words[1] in (str(model), "seresnet50"):
            assert cli.main([*words, size]) == 2
            assert "`size`" in capsys.readouterr().err


def test_a_network_of_one_size_is_measured_at_no_other(trained, tmp_path, capsys):
    pictures, _ = trained
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    keras.Model(inputs, x, name="flat").save(tmp_path / "flat.keras")
    words = ["evaluate", str(tmp_path / "flat.keras"), "--data", f"folder:{pictures}"]
    assert cli.main([*words, "--size", "8"]) == 2
    error = capsys.readouterr().err
    assert "(4, 4, 3)" in error and "size=8" in error


def test_predictions_of_own_weights_have_the_names_of_the_run(trained, tmp_path, capsys):
    pictures, model = trained
    network = keras.saving.load_model(model, compile=False)
    head = network.get_layer("fc")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign([0.0, 3.0, 1.0])
    network.save(tmp_path / "rigged.keras")
    (tmp_path / "class_names.txt").write_text("ant\nbee\ncat\n")
    words = ["predict", "setiny", str(pictures / "cat" / "00.png"), "--top", "3"]
    words += ["--weights", str(tmp_path / "rigged.keras")]
    assert cli.main([*words, "--preprocessing", "seresnet20.cifar10"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[-1] for line in lines] == ["bee", "cat", "ant"]
    (tmp_path / "class_names.txt").write_text("ant\nbee\n")
    assert cli.main([*words, "--preprocessing", "seresnet20.cifar10"]) == 0
    given = capsys.readouterr()
    assert [line.split()[-1] for line in given.out.splitlines()[1:]] == ["1", "2", "0"]
    assert "2 names" in given.err and "has 3" in given.err
