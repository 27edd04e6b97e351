"""Converts weights between PyTorch's names and layouts and Keras's.

PyTorch's names become Keras's by `_` for `.` (and `__` for `_`), its `weight` and `bias` by
`VARIABLES`, its kernels by a transposition. Nothing here knows any network.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from keras_se.files import atomic_path
from keras_se.layers import SqueezeExcite

VARIABLES = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}
PARAMETERS = {name: parameter for parameter, names in VARIABLES.items() for name in names}
# timm has two modules for SE. That of its mobile networks, whose layers are all in `blocks`, has
# other names for the two dense layers of the gates.
MOBILE = "blocks."
MOBILE_GATES = {"conv_reduce": "fc1", "conv_expand": "fc2"}
MOBILE_NAMES = {ours: name for name, ours in MOBILE_GATES.items()}
# A counter of PyTorch's batch norm that neither side uses.
IGNORED = "num_batches_tracked"


def export_state_dict(
    model: keras.Model,
    path: str | os.PathLike | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, np.ndarray]:
    """Gives the weights of a network the names and layouts that timm gives them.

    Args:
        model: A model of `keras_se.applications`, or one that calls it.
        path: Where to write a `.safetensors` file, or `None` to write none. A file there is
            replaced when the new one is complete.
        metadata: Text by key for the header of the file, which names the model too, or `None`.

    Returns:
        The state dict: NumPy arrays by timm's names, which `load_state_dict` of the same network,
        here or in timm, takes strictly.

    Raises:
        ValueError: If a variable of `model` has no name in PyTorch, or `path` another ending.
        OSError: If the file cannot be written.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> state = export_state_dict(SEResNet20(weights=None, classes=10))
    >>> state["conv1.weight"].shape
    (16, 3, 3, 3)
    """
    gates = {
        id(variable)
        for layer in _layers(model)
        if isinstance(layer, SqueezeExcite)
        for variable in layer.variables
    }
    depthwise = _depthwise_kernels(model)
    state = {}
    for variable in model.weights:
        layer, _, name = variable.path.rpartition("/")
        if name not in PARAMETERS:
            raise ValueError(f"{variable.path!r} has no counterpart in a PyTorch checkpoint.")
        layer = torch_name(layer.replace("/", "_"))
        value = variable.numpy()
        if id(variable) in gates:
            layer = _rename_gate(layer, MOBILE_NAMES) if layer.startswith(MOBILE) else layer
            value = value[None, None] if value.ndim == 2 else value
        elif id(variable) in depthwise:
            value = value.transpose(0, 1, 3, 2)
        state[f"{layer}.{PARAMETERS[name]}"] = _torch_layout(value)
    if path is not None:
        _write_safetensors(state, Path(path), {"network": model.name, **(metadata or {})})
    return state


def from_state_dict(model: keras.Model, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gives the tensors of a PyTorch state dict the names and layouts of a model's variables.

    Args:
        model: The model that the tensors are for.
        state: Arrays by timm's names.

    Returns:
        Arrays by the names of `keras_variables`. What belongs to no variable keeps its own name.

    Raises:
        ValueError: If two tensors belong to one variable.
    """
    variables, depthwise = keras_variables(model), _depthwise_kernels(model)
    pairs = []
    for key, tensor in state.items():
        layer, _, parameter = key.rpartition(".")
        if parameter == IGNORED:
            continue
        layer = keras_name(_rename_gate(layer, MOBILE_GATES))
        names = (f"{layer}_{variable}" for variable in VARIABLES.get(parameter, ()))
        # Without a layer it is no name of PyTorch's, though it may look like one of Keras's.
        name = next((name for name in names if layer and name in variables), None)
        value = _keras_layout(np.asarray(tensor), variables.get(name), depthwise)
        # A tensor of no variable must not be taken for one because it is called alike.
        pairs.append((name or (repr(key) if key in variables else key), value))
    return unique(pairs)


def keras_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Lists the weights of a model by their path, with `_` for `/`."""
    return {variable.path.replace("/", "_"): variable for variable in model.weights}


def flattened(kernel: np.ndarray, variable: keras.Variable | None) -> np.ndarray:
    """Gives the kernel of a 1x1 convolution as that of a dense layer, if the variable is one."""
    is_dense = variable is not None and len(variable.shape) == 2
    return kernel[0, 0] if is_dense and kernel.shape[:-2] == (1, 1) else kernel


def torch_name(name: str) -> str:
    """Gives the name in PyTorch of a layer of `keras_se.applications`.

    Example:
    >>> torch_name("layer1_0_conv1")
    'layer1.0.conv1'
    """
    return name.replace("__", "\0").replace("_", ".").replace("\0", "_")


def keras_name(name: str) -> str:
    """Gives the name of a layer of `keras_se.applications` by its name in PyTorch.

    Example:
    >>> keras_name("blocks.0.0.conv_dw")
    'blocks_0_0_conv__dw'
    """
    return name.replace("_", "__").replace(".", "_")


def unique(pairs: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Makes a dictionary of arrays, each name once.

    Args:
        pairs: Names with their arrays.

    Returns:
        Arrays by name.

    Raises:
        ValueError: If a name comes twice.
    """
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"The checkpoint has two tensors for {name!r}.")
        values[name] = value
    return values


def _keras_layout(tensor, variable, depthwise):
    """PyTorch's kernel as Keras has it in `variable`."""
    if tensor.ndim == 4 and id(variable) in depthwise:
        return tensor.transpose(2, 3, 0, 1)
    if tensor.ndim == 4:
        return flattened(tensor.transpose(2, 3, 1, 0), variable)
    if tensor.ndim == 2 and variable is not None and len(variable.shape) == 4:
        # A dense layer, which is a 1x1 convolution here.
        return tensor.T[None, None]
    return tensor.T if tensor.ndim in (2, 3) else tensor


def _torch_layout(value):
    """Keras's kernel as PyTorch has it."""
    axes = {4: (3, 2, 0, 1), 3: (2, 1, 0), 2: (1, 0)}.get(value.ndim)
    # A copy: on some backends the array is the variable's own memory.
    return np.array(value if axes is None else value.transpose(axes), order="C")


def _depthwise_kernels(model):
    """The kernels of depthwise convolutions, whose last two axes Keras has the other way round."""
    layers = _layers(model)
    return {id(x.kernel) for x in layers if isinstance(x, keras.layers.DepthwiseConv2D)}


def _layers(model):
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)


def _rename_gate(layer, names):
    """The name of a layer, in which the last part is replaced by what `names` says."""
    module, dot, name = layer.rpartition(".")
    return f"{module}{dot}{names.get(name, name)}"


def _write_safetensors(state, path, metadata):
    if path.suffix != ".safetensors":
        raise ValueError(f"`path` must end in .safetensors. Received: path={str(path)!r}")
    from safetensors.numpy import save_file

    with atomic_path(path) as partial:
        save_file(state, partial, metadata={"format": "pt", **metadata})
