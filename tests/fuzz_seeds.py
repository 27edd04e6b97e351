"""Writes the sound files that `fuzz.py` damages."""

import contextlib
import io
import pickle

import numpy as np

# Files of other projects, whose names become timm's, and the networks that they are for.
OF_PROJECTS = {
    "imgclsmob.h5": "SEResNet20",
    "mobilenet_v3_small.pth": "MobileNetV3SmallTV",
    "moskomule.pth": "SEResNet101",
    "regnet_y_400mf.pth": "RegNetY004",
    "resnetrs50.h5": "ResNetRS50",
    "se_resnet18_vd.pdparams": "SEResNet18VD",
    "tfregnety002.h5": "TFRegNetY002",
    "vggface2.pth": "LegacySEResNet50",
}
PICTURES = ("jpg", "png", "webp", "gif", "bmp", "tif", "ppm")


def network():
    """The tiny network with weights that are not those of a new one."""
    import tiny

    model = tiny.SMALL(weights=None, input_shape=(8, 8, 3), classes=3)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1, value.shape) for value in model.get_weights()])
    return model


def write_seeds(folder):
    """Writes a sound file of each format."""
    from PIL import Image

    model = network()
    _write_checkpoints(folder, model)
    _write_training(folder, model)
    _write_exports(folder, model)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype("uint8")
    for ending in PICTURES:
        Image.fromarray(pixels).save(folder / f"picture.{ending}")


def write_project_seeds(folder):
    """Writes the files of `OF_PROJECTS`, with arrays of few numbers."""
    from keras2_files import names, write_keras2
    from paddle_files import write_paddle
    from test_imgclsmob import GOLDENS as IMGCLSMOB
    from test_library_files import KERAS_2, small
    from test_origins import GOLDENS, PROJECTS, as_written_by, small_state
    from test_torch_file import Writer

    of_keras = KERAS_2 | {"imgclsmob": IMGCLSMOB["seresnet20_cifar10"]}
    for name in ("imgclsmob", "resnetrs50", "tfregnety002"):
        layers = {layer: {} for layer, _ in of_keras[name]["groups"]}
        for layer, weight, shape, _ in names(of_keras[name]):
            layers[layer][weight] = np.ones([1] * len(shape), "float32")
        write_keras2(folder / f"{name}.h5", layers)
    states = {name: small(name).values for name in ("mobilenet_v3_small", "regnet_y_400mf")}
    for project in ("moskomule", "vggface2"):
        states[project] = as_written_by(project, small_state(GOLDENS[PROJECTS[project][0]]))
    for name, state in states.items():
        writer = Writer("zip")
        tensors = {key: writer.tensor(np.ascontiguousarray(value)) for key, value in state.items()}
        (folder / f"{name}.pth").write_bytes(writer.data(tensors))
    write_paddle(folder / "se_resnet18_vd.pdparams", small("SE_ResNet18_vd").values)


def _write_checkpoints(folder, model):
    from keras2_files import write_keras2
    from test_numpy_pickle import array_of_python_2
    from test_torch_file import Writer, pickled

    from keras_se.weights import export_state_dict

    state = export_state_dict(model, folder / "model.safetensors")
    model.save_weights(folder / "model.weights.h5")
    model.save(folder / "model.keras")
    for name in ("keras2.h5", "imgclsmob.tf2.h5.zip"):
        write_keras2(folder / name, _keras2_layers(model))
    for form in ("zip", "legacy"):
        writer = Writer(form)
        tensors = {name: writer.tensor(value) for name, value in state.items()}
        (folder / f"{form}.pth").write_bytes(writer.data(tensors))
    names = {"StructuredToParameterName@@": {name: name for name in state}}
    (folder / "paddle.pdparams").write_bytes(pickle.dumps(state | names, 2))
    arrays = {name: array_of_python_2(x.tobytes(), x.shape) for name, x in state.items()}
    (folder / "vggface2.pkl").write_bytes(pickled(arrays))


def _keras2_layers(model):
    """The arrays of a model by the names of layers and weights that Keras 2 gives them."""
    layers = {layer.name: {} for layer in model.layers}
    for weight in model.weights:
        layers[weight.path.partition("/")[0]][f"{weight.path}:0"] = weight.numpy()
    return layers


def _write_training(folder, model):
    import tiny

    from keras_se import data
    from keras_se.training.checkpoint import State

    run = State(folder / "state.npz")
    model.compile("sgd", "mse")
    run.capture(model, model.optimizer)
    run.record |= {"epoch": 1, "history": {"loss": [0.5], "val_loss": [0.5]}}
    run.write()
    data.prepare(data.load("fake", size=8), folder / "data.npz")
    (folder / "recipe.json").write_text(tiny.small().to_json())


def _write_exports(folder, model):
    from keras_se.export import export_model

    for name in ("export.keras", "export.onnx"):
        with contextlib.redirect_stdout(io.StringIO()):
            export_model(model, folder / name)
