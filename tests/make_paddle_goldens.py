"""Writes tests/paddle_goldens.json.gz: PaddleClas's logits for generated weights, in float64.

The only file that needs PaddlePaddle. Run by hand:

    pip install paddlepaddle==3.3.1 && pip install --no-deps paddleclas==2.6.0
    python tests/make_paddle_goldens.py [NETWORK ...]

Without names it makes them all, otherwise those, and keeps the others. Of PaddleClas only the files
of the networks are run.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import paddle
from generated import RESIDUAL_RANGE, SEED, image
from golden_files import read_goldens, write_goldens
from paddle_files import array

PATH = Path(__file__).parent / "paddle_goldens.json.gz"
LOGITS = 64
SIZES = ((64, 64), (65, 97))
# The file and the function of each network, and the scales that end its residual branches.
BASIC, BOTTLENECK = (rf"bb_\d_\d+\.conv{last}\._batch_norm\.weight$" for last in (1, 2))
NETWORKS = {
    "SE_ResNet18_vd": ("se_resnet_vd", BASIC),
    "SE_ResNet34_vd": ("se_resnet_vd", BASIC),
    "SE_ResNet50_vd": ("se_resnet_vd", BOTTLENECK),
    "SE_ResNeXt50_32x4d": ("se_resnext", BOTTLENECK),
    "SE_ResNeXt101_32x4d": ("se_resnext", BOTTLENECK),
    "SE_ResNeXt50_vd_32x4d": ("se_resnext_vd", BOTTLENECK),
    "SENet154_vd": ("se_resnext_vd", BOTTLENECK),
}
PACKAGE = "ppcls.arch.backbone.model_zoo"


def module(name):
    """A file of PaddleClas, without what the package imports."""
    loading = types.ModuleType("ppcls.utils.save_load")
    loading.load_dygraph_pretrain = None
    sys.modules |= {loading.__name__: loading, PACKAGE: types.ModuleType(PACKAGE)}
    folder = Path(importlib.util.find_spec("paddleclas").submodule_search_locations[0])
    path = folder / PACKAGE.replace(".", "/") / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{PACKAGE}.{name}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def build(name, precision):
    """A network of generated weights, and the shapes of its arrays."""
    file, end = NETWORKS[name]
    # The same names again are refused otherwise.
    with paddle.utils.unique_name.guard():
        model = getattr(module(file), name)()
    # Its batch normalizations are of float32, whatever the default is.
    model.to(dtype=precision)
    model.eval()
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    state = {key: array(key, shape, end, RESIDUAL_RANGE) for key, shape in shapes.items()}
    model.set_state_dict({key: value.astype(precision) for key, value in state.items()})
    return model, shapes


def run(model, size, seed=SEED):
    """The logits of one image."""
    pixels = image(*size, seed=seed).transpose(0, 3, 1, 2)
    with paddle.no_grad():
        return model(paddle.to_tensor(pixels, model.parameters()[0].dtype)).numpy()[0]


def golden(name):
    """What a network says, and the names and shapes of its arrays."""
    single, _ = build(name, "float32")
    rounded = [run(single, size) for size in SIZES]
    model, shapes = build(name, "float64")
    logits, error = {}, 0.0
    for size, other in zip(SIZES, rounded, strict=True):
        exact = run(model, size)
        largest = np.abs(exact).max()
        error = max(error, np.abs(other.astype("float64") - exact).max() / largest)
        moved = np.abs(run(model, size, SEED + 1) - exact).max()
        assert moved > 8e-3 * largest, f"{name} does not see the image"
        first = [float(f"{value:.8g}") for value in exact[:LOGITS]]
        logits["{}x{}".format(*size)] = {"largest": float(f"{largest:.8g}"), "first": first}
    assert error < 1e-5, f"{name} is chaotic: {error}"
    parameters = sum(np.prod(shape) for key, shape in shapes.items() if "._batch_norm._" not in key)
    fields = {"residual_end": NETWORKS[name][1], "residual_range": RESIDUAL_RANGE}
    fields |= {"parameters": int(parameters), "float32_error": float(f"{error:.2g}")}
    return {**fields, "state": list(shapes.items()), "logits": logits}


if __name__ == "__main__":
    goldens = read_goldens(PATH)
    for name in sys.argv[1:] or NETWORKS:
        goldens[name] = golden(name)
        write_goldens(PATH, goldens, NETWORKS)
        error = goldens[name]["float32_error"]
        print(f"{name}: float32 costs {error} of the largest logit", flush=True)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
