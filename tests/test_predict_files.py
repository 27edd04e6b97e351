"""Predictions of many files: parts that hold what a loop predicts, whoever wrote them and when."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from color_model import NAMES, loader, write_pictures

from keras_se.applications import SEResNet20
from keras_se.cli import main
from keras_se.export import export_model
from keras_se.prediction import open_folder, predict_files
from keras_se.weights import export_state_dict

parquet = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.backend_neutral
BROKEN = {3, 10}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eleven pictures, and the colors of nine of them."""
    folder = tmp_path_factory.mktemp("pictures")
    return folder, write_pictures(folder, 11, BROKEN)


def open_parts(out, folder, settings=None, part_size=4):
    files = sorted(folder.iterdir())
    return open_folder(out, settings or {"model": "colors"}, files, part_size)


def predict(out, folder, load=None, part_size=4, **options):
    options = {"batch_size": 3, "top": 2, "verbose": False} | options
    with open_parts(out, folder, part_size=part_size) as parts:
        return predict_files(load or loader(), parts, **options)


def contents(out):
    return {path.name: path.read_bytes() for path in out.glob("part-*.parquet")}


def test_parts_hold_what_a_loop_predicts(pictures, tmp_path):
    folder, colors = pictures
    assert predict(tmp_path, folder) == len(BROKEN)
    assert sorted(contents(tmp_path)) == [f"part-00000{part}.parquet" for part in range(3)]
    rows = parquet.read_table(tmp_path).to_pylist()
    assert [row["path"] for row in rows] == [str(path) for path in sorted(folder.iterdir())]
    for index, (row, color) in enumerate(zip(rows, colors, strict=True)):
        if index in BROKEN:
            assert f"{index:03d}.png" in row["error"]
            assert row["classes"] is row["names"] is row["probabilities"] is None
            continue
        best = np.argsort(-color, kind="stable")[:2]
        assert row["error"] is None
        assert row["classes"] == best.tolist()
        assert row["names"] == [NAMES[channel] for channel in best]
        np.testing.assert_allclose(row["probabilities"], color[best] / 255, rtol=1e-6)


def test_finished_parts_are_kept_and_the_others_done(pictures, tmp_path):
    predict(tmp_path, pictures[0])
    whole = contents(tmp_path)
    (tmp_path / "part-000001.parquet").unlink()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*.parquet")}
    assert predict(tmp_path, pictures[0]) == len(BROKEN)
    assert contents(tmp_path) == whole
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_files_that_come_or_go_later_do_not_move_the_parts(tmp_path):
    folder = tmp_path / "pictures"
    write_pictures(folder, 4)
    out = tmp_path / "out"
    assert predict(out, folder, part_size=2) == 0
    (out / "part-000000.parquet").unlink()
    write_pictures(folder, 5)
    (folder / "000.png").unlink()
    assert predict(out, folder, part_size=2) == 1
    rows = parquet.read_table(out).to_pylist()
    assert [Path(row["path"]).name for row in rows] == [f"{n:03d}.png" for n in range(4)]
    assert "No such file" in rows[0]["error"]


def test_names_that_are_no_text_are_escaped(tmp_path):
    folder = tmp_path / "pictures"
    write_pictures(folder, 1)
    (folder / "000.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    assert predict(tmp_path / "out", folder) == 0
    (row,) = parquet.read_table(tmp_path / "out").to_pylist()
    assert row["path"].endswith("caf\\udce9.png") and row["error"] is None


def test_another_prediction_is_refused(pictures, tmp_path):
    predict(tmp_path, pictures[0])
    before = contents(tmp_path)
    others = {"model": "others"}
    with (
        pytest.raises(ValueError, match="model was 'colors' and is 'others'"),
        open_parts(tmp_path, pictures[0], others),
    ):
        pass
    with pytest.raises(ValueError, match="part_size"):
        predict(tmp_path, pictures[0], part_size=5)
    (tmp_path / "_settings.json").unlink()
    with pytest.raises(ValueError, match=r"_settings\.json"):
        predict(tmp_path, pictures[0])
    assert contents(tmp_path) == before


def test_a_folder_has_one_process_at_a_time(pictures, tmp_path):
    with open_parts(tmp_path, pictures[0]), pytest.raises(OSError, match="Another process"):
        predict(tmp_path, pictures[0])
    assert predict(tmp_path, pictures[0]) == len(BROKEN)


def test_no_files_and_no_folder_of_them_are_errors(tmp_path):
    with pytest.raises(ValueError, match="files"), open_folder(tmp_path, {}, [], 4):
        pass
    folder = tmp_path / "pictures"
    write_pictures(folder, 3)
    with open_parts(tmp_path / "out", folder) as parts:
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError, match="pictures"):
            predict_files(loader(), parts, verbose=False)
    assert not contents(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"engine": "dask"}, "engine"), ({"workers": 0}, "workers"), ({"batch_size": 1.5}, "batch")],
)
def test_arguments_that_are_not_legal_are_named(pictures, tmp_path, options, argument):
    with pytest.raises(ValueError, match=argument):
        predict(tmp_path, pictures[0], **options)


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_give_the_same_files(pictures, tmp_path):
    folder = pictures[0]
    predict(tmp_path / "alone", folder)
    load = loader(kills=tmp_path / "killed")
    with pytest.raises(OSError, match="parts are finished"):
        predict(tmp_path / "two", folder, load, workers=2)
    finished = contents(tmp_path / "two")
    assert len(finished) < 3
    assert predict(tmp_path / "two", folder, load, workers=2) == len(BROKEN)
    assert contents(tmp_path / "two") == contents(tmp_path / "alone")


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    write_pictures(folder, 5, broken={2})
    return folder


def test_the_command_writes_a_folder(photographs, tmp_path, capsys):
    words = ["predict", "seresnet20", str(photographs), "--out", str(tmp_path / "out")]
    words += ["--part-size", "3"]
    for _ in range(2):
        assert main(words) == 1
        assert "5 images in 2 parts" in capsys.readouterr().out
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    assert main(["predict", "seresnet20", str(photographs), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    rows = [row for row in rows if row["error"] is None]
    assert [row["path"] for row in rows] == [image["image"] for image in printed]
    for row, image in zip(rows, printed, strict=True):
        assert row["names"] == [best["name"] for best in image["predictions"]]
        expected = [best["probability"] for best in image["predictions"]]
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--workers", "2"], ["--workers", "--out"]),
        (["--out", "{out}", "--json"], ["--json"]),
        (["--out", "{out}", "--address", "a:1"], ["--address", "ray"]),
        (["--out", "{out}", "--part-size", "0"], ["part_size"]),
        (["--out", "{out}", "--workers", "0"], ["workers"]),
    ],
)
def test_wrong_use_is_one_line(photographs, tmp_path, capsys, words, parts):
    words = [word.format(out=tmp_path / "out") for word in words]
    assert main(["predict", "seresnet20", str(photographs), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(part in error for part in parts)


def test_a_folder_without_images_and_a_model_that_does_not_prepare_them(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    assert main(["predict", "seresnet20", str(tmp_path / "empty"), *out]) == 2
    assert "no images" in capsys.readouterr().err
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    network.save(tmp_path / "alien.keras")
    write_pictures(tmp_path / "pictures", 1)
    words = ["predict", str(tmp_path / "alien.keras"), str(tmp_path / "pictures"), *out]
    assert main(words) == 2
    assert "--preprocessing" in capsys.readouterr().err
    assert not contents(tmp_path / "out")
    assert main([*words, "--preprocessing", "seresnet20.cifar10"]) == 0
    assert len(contents(tmp_path / "out")) == 1


@pytest.mark.parametrize("file", ("model.xml", "mine.safetensors"))
def test_a_model_of_which_a_file_has_changed_is_refused(photographs, tmp_path, capsys, file):
    model = SEResNet20()
    if file == "model.xml":
        export_model(model, tmp_path / file)
        words, changed = [str(tmp_path / file)], tmp_path / "model.bin"
    else:
        export_state_dict(model, tmp_path / file)
        words, changed = ["seresnet20", "--weights", str(tmp_path / file)], tmp_path / file
    words = ["predict", *words, str(photographs), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    assert main(words) == 2
    assert "sha256" in capsys.readouterr().err
