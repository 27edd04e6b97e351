"""What every export has in common: metadata, labels, refusals, and nothing half-written."""

import importlib.util
import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from conftest import keras_setting, run
from families import build
from generated import image
from tiny import SMALL

from keras_se import SqueezeExcite, __version__
from keras_se.applications import SEResNet20
from keras_se.export import FORMATS, export_model, load_exported, read_metadata
from keras_se.export.quantization import with_ranges
from keras_se.surgery import fold
from keras_se.weights import WEIGHTS

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
needs_tensorflow = pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow writes it")
ROW = WEIGHTS["ResNet34"][0].preprocessing  # its mean and deviation are 0.5, which no default is
INTEGERS = [name for name, one in FORMATS.items() if one.calibrated]
LABELS = [f"label {index}" for index in range(10)]


def path_of(folder, name):
    return folder / f"model{FORMATS[name].suffix or ''}"


def each_format(*left_out):
    """Test parameters: what this backend and environment can write."""
    for name, one in FORMATS.items():
        if name not in left_out:
            there = all(map(importlib.util.find_spec, one.packages))
            skip = (one.tensorflow and not ON_TENSORFLOW) or not there
            reason = "this environment cannot write it"
            yield pytest.param(name, marks=pytest.mark.skipif(skip, reason=reason))


WRITABLE = [one.values[0] for one in each_format() if not one.marks[0].args[0]]


def calibration_of(name, images):
    return {"calibration": images} if FORMATS[name].calibrated else {}


def of_one_block():
    """A network in which every export takes a moment."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv1")(images)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = SqueezeExcite(ratio=2, name="se")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10, name="fc")(x), name="small")


@pytest.fixture(scope="module")
def small():
    return of_one_block()


@needs_tensorflow
def test_saved_models_in_a_process_with_tensorflow_only(tmp_path):
    """Any batch and size, grouped convolutions and layers of keras_se's own, folded and not."""
    images = np.concatenate([image(40, 52, seed=seed) for seed in range(3)])
    np.save(tmp_path / "images.npy", images)
    folded = {"shufflenet": True, "cifar": False}
    for name, fold_it in folded.items():
        written = export_model(build(name, 32), tmp_path / name, fold=fold_it)
        assert read_metadata(written.path)["folded"] == fold_it
    script = (
        "import sys\n"
        "sys.modules.update(keras=None, keras_se=None)  # as if they were not installed\n"
        "import numpy as np, tensorflow as tf\n"
        "for name in sys.argv[1:]:\n"
        "    serve = tf.saved_model.load(name).signatures['serving_default']\n"
        "    result = serve(images=tf.constant(np.load('images.npy')))['output_0']\n"
        "    np.save(name + '.npy', result.numpy())\n"
        "assert sys.modules['keras'] is sys.modules['keras_se'] is None\n"
    )
    subprocess.run([sys.executable, "-c", script, *folded], check=True, cwd=tmp_path)
    for name in folded:
        expected = run(build(name), images)
        largest = np.abs(expected).max()
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("name", each_format("state_dict"))
def test_preprocessing_is_baked_in(small, tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    path = path_of(tmp_path, name)
    export_model(small, path, name, preprocessing=ROW, **calibration_of(name, pixels))
    metadata = read_metadata(path)
    assert metadata["input_dtype"] == "uint8"
    assert metadata["preprocessing"]["std"] == [0.5, 0.5, 0.5]
    assert metadata["preprocessing_included"]
    expected = run(small, ((pixels / 255 - 0.5) / 0.5).astype("float32"))
    found = load_exported(path)(pixels)
    # Of 8-bit integers, a few steps of the output's range, which averages have made small.
    step = np.ptp(expected) / 255
    tolerance = 6 * step if FORMATS[name].calibrated else 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless told")
@pytest.mark.parametrize("name", each_format("state_dict", "onnx_fixed", "openvino_int8"))
def test_float64_is_written_in_float32(tmp_path, name):
    with keras_setting(floatx="float64", dtype_policy="float64"):
        model = of_one_block()
    assert model.input.dtype == model.output.dtype == "float64"
    images = np.concatenate([image(16, 16, seed=seed) for seed in range(2)]).astype("float64")
    path = path_of(tmp_path, name)
    export = export_model(model, path, name, **calibration_of(name, images))
    exported = load_exported(path)
    assert exported.metadata["input_dtype"] == "float32"
    expected, found = run(model, images), exported(images)
    assert np.asarray(found).dtype == "float32"
    largest = np.abs(expected).max()
    tolerance = 0.1 if export.agreement is not None else 1e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * largest)


def test_a_model_knows_the_preprocessing_and_classes_of_its_weights(small, tmp_path):
    model = SEResNet20(weights="cifar10")
    exported = load_exported(export_model(model, tmp_path / "m.keras", preprocessing=True).path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    expected = run(model, model.preprocessing.normalize(pixels))
    np.testing.assert_allclose(exported(pixels), expected, atol=1e-5)
    assert exported.metadata["class_names"] == list(model.class_names)
    assert exported.metadata["preprocessing"]["size"] == 32
    with pytest.raises(ValueError, match="small"):
        export_model(small, tmp_path / "other.keras", preprocessing=True)


@pytest.mark.parametrize("name", each_format())
def test_metadata(small, tmp_path, name):
    path = path_of(tmp_path, name)
    pictures = calibration_of(name, image(16, 16))
    sides = (16, 16) if name == "onnx_fixed" else (None, None)
    written = export_model(small, path, name, class_names=LABELS, **pictures)
    assert written.path == path
    assert written.format == name
    assert (written.agreement is None) == (not FORMATS[name].calibrated)
    assert read_metadata(path) == {
        "keras_se": __version__,
        "format": name,
        "network": "small",
        "input_size": [16, 16],
        "input_shape": [None, *sides, 3],
        "input_dtype": "float32",
        "data_format": "channels_last",
        "folded": name != "state_dict",
        "preprocessing": None,
        "preprocessing_included": False,
        "class_names": LABELS,
    }


def test_metadata_of_what_has_none(small, tmp_path):
    small.save(tmp_path / "plain.keras")
    (tmp_path / "empty").mkdir()
    for name in ("plain.keras", "empty"):
        with pytest.raises(ValueError, match="no export of keras_se"):
            read_metadata(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_metadata(tmp_path / "missing.onnx")


def test_metadata_is_where_other_programs_find_it(small, tmp_path):
    export_model(small, tmp_path / "model.keras", "keras", class_names=LABELS)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert json.loads(archive.read("keras_se.json"))["class_names"] == LABELS
    if importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        export_model(small, tmp_path / "model.onnx", "onnx", class_names=LABELS)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        text = session.get_modelmeta().custom_metadata_map["keras_se"]
        assert json.loads(text)["class_names"] == LABELS


@pytest.mark.parametrize("name", each_format("saved_model"))
def test_a_file_is_replaced_only_when_asked(small, tmp_path, name):
    path = path_of(tmp_path, name)
    path.write_text("mine")
    pictures = calibration_of(name, image(16, 16))
    with pytest.raises(FileExistsError, match="model"):
        export_model(small, path, name, **pictures)
    assert path.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    export_model(small, path, name, overwrite=True, **pictures)
    assert read_metadata(path)["format"] == name
    beside = {path.with_suffix(suffix).name for suffix in FORMATS[name].beside}
    assert {one.name for one in tmp_path.iterdir()} == {path.name, *beside}


@needs_tensorflow
def test_what_is_there_is_kept_unless_asked(small, tmp_path):
    kept = tmp_path / "model" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match="model"):
        export_model(small, kept.parent)
    assert kept.read_text() == "mine"
    with pytest.raises(FileExistsError, match="not a SavedModel"):
        export_model(small, kept.parent, overwrite=True)
    assert kept.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


@needs_tensorflow
def test_a_saved_model_is_replaced_when_asked_and_wherever_one_stands(small, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    export_model(small, "../model")
    old = tmp_path / "model" / "old.txt"
    old.write_text("of the last export")
    monkeypatch.chdir(tmp_path / "model")
    with pytest.raises(FileExistsError):
        export_model(small, ".")
    assert old.exists()
    export_model(small, ".", overwrite=True)
    assert not old.exists()
    assert (tmp_path / "model" / "saved_model.pb").is_file()


@pytest.mark.parametrize("name", each_format(*INTEGERS))
def test_an_export_that_differs_is_not_kept(small, tmp_path, monkeypatch, name):
    load = type(FORMATS[name]).load

    def load_perturbed(self, *args):
        run = load(self, *args)
        return lambda images: [output + 0.01 * np.arange(10) for output in run(images)]

    monkeypatch.setattr(type(FORMATS[name]), "load", load_perturbed)
    with pytest.raises(ValueError, match="differs"):
        export_model(small, path_of(tmp_path, name), name)
    assert not list(tmp_path.iterdir())


@needs_tensorflow
def test_integers_that_give_no_numbers_are_not_kept(small, tmp_path, monkeypatch):
    broken = np.full((1, 10), np.nan)
    monkeypatch.setattr(type(FORMATS["litert_int8"]), "load", lambda *_: lambda images: [broken])
    with pytest.raises(ValueError, match="not finite"):
        export_model(small, tmp_path / "m.tflite", "litert_int8", calibration=image(16, 16))
    assert not list(tmp_path.iterdir())


def test_a_network_of_one_size_keeps_it(tmp_path):
    images = keras.Input((8, 8, 1))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(images))
    network = keras.Model(images, x)
    for name in ("saved_model", "onnx"):
        if name == "saved_model" and not ON_TENSORFLOW:
            continue
        path = path_of(tmp_path, name)
        assert export_model(network, path, name).difference < 1e-5
        assert read_metadata(path)["input_shape"] == [None, 8, 8, 1]


def inverse_error_function():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, keras.ops.erfinv(keras.ops.tanh(images)))


def vector():
    images = keras.Input((8,))
    return keras.Model(images, keras.layers.Dense(3)(images))


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("network", "name", "options", "message"),
    (
        (vector, "onnx", {}, "one input"),
        (None, "onxx", {}, "openvino"),
        (None, "state_dict", {"preprocessing": ROW}, "weights only"),
        (None, "keras", {"calibration": image(16, 16)}, "calibration"),
        (None, "litert_int8", {}, "calibration"),
        (None, "litert_int8", {"calibration": image(16, 16), "fold": False}, "fold=True"),
        (None, "keras", {"class_names": ["a"]}, "10 classes"),
        (None, "keras", {"class_names": range(10)}, "strings"),
    ),
)
def test_refusals(small, tmp_path, network, name, options, message):
    suffix = FORMATS[name].suffix if name in FORMATS else ".onnx"
    with pytest.raises(ValueError, match=message):
        export_model(network() if network else small, tmp_path / f"m{suffix}", name, **options)
    assert not list(tmp_path.iterdir())


@needs_tensorflow
def test_what_litert_cannot_do_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="LiteRT cannot hold") as caught:
        export_model(inverse_error_function(), tmp_path / "m.tflite", "litert")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


ENDINGS = {"a.onnx": "onnx", "a.keras": "keras", "a.safetensors": "state_dict"}
ENDINGS |= {"a.xml": "openvino", "a.tflite": "litert", "models/1": "saved_model"}


@pytest.mark.parametrize("file", ENDINGS)
def test_the_ending_decides(small, tmp_path, file):
    if ENDINGS[file] not in WRITABLE:
        pytest.skip("this environment cannot write it")
    written = export_model(small, tmp_path / file)
    assert written.format == read_metadata(written.path)["format"] == ENDINGS[file]


@pytest.mark.backend_neutral
@pytest.mark.parametrize("file", ("a.h5", "a.pb", "a.xyz"))
def test_an_unknown_ending_is_refused(small, tmp_path, file):
    with pytest.raises(ValueError, match=r"\.onnx.*\.tflite"):
        export_model(small, tmp_path / file)
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("file", "name"), [("a.h5", "keras"), ("a", "onnx"), ("a.onnx", "saved_model")]
)
def test_an_ending_of_another_format_is_refused(small, tmp_path, file, name):
    with pytest.raises(ValueError, match=name):
        export_model(small, tmp_path / file, name)
    assert not list(tmp_path.iterdir())


@needs_tensorflow
def test_a_folder_with_a_version_in_its_name_is_a_saved_model_if_asked(small, tmp_path):
    assert export_model(small, tmp_path / "v1.2", "saved_model").format == "saved_model"


@pytest.mark.parametrize("included", (False, True))
def test_the_metadata_says_how_images_are_prepared_outside(tmp_path, included):
    model = SEResNet20(weights="cifar10", include_preprocessing=included)
    metadata = read_metadata(export_model(model, tmp_path / "m.keras").path)
    assert metadata["preprocessing_included"] == included
    assert metadata["input_dtype"] == "float32"
    assert metadata["preprocessing"]["size"] == 32
    assert (metadata["preprocessing"]["mean"] is None) == included
    weights = read_metadata(export_model(model, tmp_path / "m.safetensors").path)
    assert not weights["preprocessing_included"]
    assert (weights["preprocessing"] is None) == included


def test_exports_refuse_images_of_another_kind(small, tmp_path):
    exported = load_exported(export_model(small, tmp_path / "m.keras").path)
    for images in (np.zeros((2, 16, 16, 3), "uint8"), image(16, 16)[0]):
        with pytest.raises(ValueError, match="float32"):
            exported(images)
    assert exported(image(16, 16).astype("float64")).shape == (1, 10)


def test_weights_alone_are_no_exported_model(small, tmp_path):
    path = export_model(small, tmp_path / "m.safetensors").path
    with pytest.raises(ValueError, match="small"):
        load_exported(path)


def test_weights_alone_of_a_nested_network_are_refused(tmp_path):
    nested = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            SMALL(weights=None, include_top=False, pooling="avg"),
            keras.layers.Dense(3),
        ]
    )
    with pytest.raises(ValueError, match="nested"):
        export_model(nested, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_folded_files_of_keras_need_no_keras_se(small, tmp_path):
    images = np.concatenate([image(24, 20, seed=seed) for seed in range(2)])
    np.save(tmp_path / "images.npy", images)
    export_model(small, tmp_path / "m.keras")
    script = (
        "import sys\n"
        "sys.modules['keras_se'] = None  # as if it were not installed\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('m.keras')\n"
        "np.save('result.npy', model.predict(np.load('images.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    expected = FORMATS["keras"].load(tmp_path / "m.keras")(images)[0]
    np.testing.assert_allclose(np.load(tmp_path / "result.npy"), expected, atol=1e-5)


@needs_tensorflow
def test_calibration_images_of_another_kind_are_refused(small, tmp_path):
    for images in (image(16, 16, 4), image(16, 16).astype("uint8"), image(16, 16)[:0]):
        with pytest.raises(ValueError, match="float32"):
            export_model(small, tmp_path / "m.tflite", "litert_int8", calibration=images)


@pytest.mark.backend_neutral
@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.packages])
def test_missing_packages_are_named_with_what_installs_them(small, tmp_path, monkeypatch, name):
    if FORMATS[name].tensorflow and not ON_TENSORFLOW:
        pytest.skip("TensorFlow comes first")
    monkeypatch.setattr("importlib.util.find_spec", lambda one: None)
    with pytest.raises(ImportError, match="pip install"):
        export_model(small, path_of(tmp_path, name), name, **calibration_of(name, image(16, 16)))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(ON_TENSORFLOW, reason="says what other backends cannot do")
@pytest.mark.parametrize("name", ("saved_model", "litert"))
def test_other_backends_name_the_one_that_can(small, tmp_path, name):
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export_model(small, path_of(tmp_path, name), name)
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_neutral
@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="needs openvino")
def test_openvino_calls_nobody():
    """Its telemetry would fork a process, or start a thread, that calls a server."""
    script = (
        "import os, sys\n"
        "os.register_at_fork(before=lambda: os._exit(3))\n"
        "from keras_se.export.onnx.formats import import_openvino\n"
        "import_openvino().Core()\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_silent_bottlenecks_get_a_range(small):
    """The outputs stay, and what is written can be run, which is what LiteRT refused before."""
    folded = fold(small)
    layer = folded.get_layer("se_fc1")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias - 100])  # no image wakes it
    images = np.concatenate([image(16, 16, seed=seed) for seed in range(3)])
    ranged = with_ranges(folded, images)
    np.testing.assert_allclose(run(ranged, images), run(folded, images), atol=1e-6)
    ends = keras.Model(ranged.input, ranged.get_layer("se_fc1").output)
    assert run(ends, images).max() == pytest.approx(100, rel=0.1)
    layer.set_weights([kernel, bias + 1])
    assert with_ranges(folded, images) is folded


@pytest.mark.slow
@needs_tensorflow
def test_agreement_of_integers_is_that_of_both_models(tmp_path):
    """On packaged weights, and pictures of blots that look unlike each other."""
    from ai_edge_litert.interpreter import Interpreter

    network = SEResNet20(weights="cifar10", classes=10)
    row = SEResNet20.preprocessing()
    random = np.random.default_rng(0)
    # So many that the agreement is known to within two points.
    blots = random.integers(0, 256, (240, 4, 4, 3)).astype("uint8")
    pictures = blots.repeat(8, 1).repeat(8, 2)
    path = tmp_path / "m.tflite"
    written = export_model(network, path, "litert_int8", preprocessing=row, calibration=pictures)
    expected = run(network, SEResNet20.preprocess_input(pictures, "cifar10"))
    interpreter = Interpreter(str(path))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], pictures.shape)
    found = interpreter.get_signature_runner("serving_default")(images=pictures)["output_0"]
    same = found.argmax(-1) == expected.argmax(-1)
    assert written.agreement == pytest.approx(same.mean())
    assert written.agreement > 0.9
    assert len(set(expected.argmax(-1))) > 1
    kinds = [one["dtype"] for one in interpreter.get_tensor_details()]
    assert kinds.count(np.int8) > 3 * kinds.count(np.float32)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_written_in_float32(policy, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    with keras_setting(dtype_policy=policy):
        mixed = of_one_block()
    exact = of_one_block()
    exact.set_weights(mixed.get_weights())
    # One image does not always show it: processors differ in how they round half precision.
    images = np.concatenate([8 * image(16, 16, seed=seed) for seed in range(64)])
    expected = run(exact, images)
    assert np.abs(run(mixed, images) - expected).max() > 1e-4
    export_model(mixed, tmp_path / "m.onnx", "onnx")
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"images": images})[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert mixed.get_layer("conv1").compute_dtype == policy.removeprefix("mixed_")
