"""The one rule that takes a checkpoint into a model, and back.

A checkpoint is a mapping from names to arrays. PyTorch's names become Keras's by `_` for `.` (and
`__` for `_`), its `weight` and `bias` by `VARIABLES`, its kernels by a transposition; nothing here
knows any network. Loading is strict both ways and all or nothing.
"""

import logging
import math
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_se.layers import SqueezeExcite

LOG = logging.getLogger("keras_se")
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
# A counter of PyTorch's batch norm that neither side uses.
IGNORED = "num_batches_tracked"
MOST_NAMED = 8


def load_state_dict(model, state, *, head=None, source="the state dict"):
    """Loads a PyTorch state dict into `model`, every tensor or none.

    Args:
        model: A model of `keras_se.applications`, or any whose layers are named as they are.
        state: Mapping from timm's names, such as `"layer1.0.se.fc1.weight"`, to arrays with
            kernels as `(output, input, height, width)` or `(output, input)`.
        head: Name of the classifier's layer in `model`, or names of all the layers of the head,
            the classifier last. If its number of classes differs, `model` keeps its own and a log
            line says so; if `model` has no such layer, the checkpoint's head is left out.
        source: What to call the state dict in messages.

    Raises:
        ValueError: If tensors are missing, left over or of the wrong shape; `model` is unchanged.
    """
    variables = keras_variables(model)
    depthwise = _depthwise(model)
    values = {}
    for key, tensor in state.items():
        layer, _, parameter = key.rpartition(".")
        layer = _gates_layer(layer)
        if parameter == IGNORED:
            continue
        paths = (f"{_escape(layer)}_{variable}" for variable in VARIABLES.get(parameter, ()))
        # Without a layer it is no name of PyTorch's, though it may look like one of Keras's.
        path = next((path for path in paths if layer and path in variables), None)
        tensor = np.asarray(tensor)
        value = _keras_layout(tensor, variables[path] if path else None, depthwise)
        _add(values, path or _foreign(key, variables), value)
    _load(model, variables, values, head, source)


def load_keras_weights(model, values, *, head=None, source="the checkpoint"):
    """Loads arrays in Keras's own layout into `model`, every array or none.

    Args:
        model: As for `load_state_dict`.
        values: Mapping from Keras's paths, such as `"layer1_0_se/fc1/kernel"`, to arrays.
        head: As for `load_state_dict`.
        source: As for `load_state_dict`.

    Raises:
        ValueError: As for `load_state_dict`.
    """
    renamed = {}
    for path, value in values.items():
        _add(renamed, path.replace("/", "_"), np.asarray(value))
    _load(model, keras_variables(model), renamed, head, source)


def export_state_dict(model, path=None, *, metadata=None):
    """Gives the weights of a keras_se model the names and layouts that timm gives them.

    Args:
        model: A model of `keras_se.applications`.
        path: Where to write a `.safetensors` file, or `None` to write none. A file there is
            replaced when the new one is complete.
        metadata: Mapping of strings to strings for the header of the file, or `None`.

    Returns:
        The state dict: a mapping from timm's names to NumPy arrays, which `load_state_dict` of
        the same network, here or in timm, takes strictly.

    Raises:
        ValueError: If a variable of `model` has no name in PyTorch, or `path` another ending.
        OSError: If the file cannot be written.
    """
    gates = {id(v) for one in model.layers if isinstance(one, SqueezeExcite) for v in one.variables}
    depthwise = _depthwise(model)
    state = {}
    for variable in model.weights:
        layer, _, name = variable.path.rpartition("/")
        if name not in PARAMETERS:
            raise ValueError(f"{variable.path!r} has no counterpart in a PyTorch checkpoint.")
        layer = torch_name(layer.replace("/", "_"))
        value = variable.numpy()
        if id(variable) in gates:
            layer = _torch_gates_layer(layer)
            value = value[None, None] if value.ndim == 2 else value
        elif id(variable) in depthwise:
            value = value.transpose(0, 1, 3, 2)
        state[f"{layer}.{PARAMETERS[name]}"] = _torch_layout(value)
    if path is not None:
        _write_safetensors(state, Path(path), metadata)
    return state


def keras_variables(model):
    """The model's weights by their path, with `_` for `/`."""
    return {variable.path.replace("/", "_"): variable for variable in model.weights}


def _add(values, name, value):
    if name in values:
        raise ValueError(f"The checkpoint has two tensors for {name!r}.")
    values[name] = value


def _foreign(key, variables):
    """A name for a tensor that belongs to no variable, even if it is called like one."""
    return repr(key) if key in variables else key


def _load(model, variables, values, head, source):
    """Assigns `values` if they are just the `variables`, but for a head of other classes."""
    kept = _unloaded_head(variables, values, head)
    values = {name: value for name, value in values.items() if name not in kept}
    wanted = {name: one for name, one in variables.items() if name not in kept}
    _adapt_channels(wanted, values)
    problems = _problems(wanted, values)
    if problems:
        raise ValueError(f"{source} does not fit {model.name}: {problems}{_hint(wanted, values)}")
    if kept & variables.keys():
        LOG.warning(
            "%s: the trunk is loaded; the head %r has other classes and is left as it was.",
            source,
            head,
        )
    for name, variable in wanted.items():
        variable.assign(values[name].astype("float32"))


def _unloaded_head(variables, values, head):
    """Names of the head on both sides, if it has other classes or the model has none."""
    if head is None:
        return set()
    layers = (head,) if isinstance(head, str) else tuple(head)
    kernel, bias = f"{layers[-1]}_kernel", f"{layers[-1]}_bias"
    if kernel not in variables:
        # A head that is unknown to the model still has its name in PyTorch.
        keras_names = {f"{layer}_{name}" for layer in layers for name in ("kernel", "bias")}
        torch = {f"{torch_name(one)}.{name}" for one in layers for name in ("weight", "bias")}
        return keras_names | torch
    if kernel not in values or bias not in values:
        return set()
    features, classes = variables[kernel].shape
    others = len(values[bias]) if values[bias].ndim == 1 else classes
    # Only a sound head of another number of classes is left out; all else is an error.
    sound = values[kernel].shape == (features, others)
    return {kernel, bias} if sound and others != classes else set()


def _adapt_channels(variables, values):
    """Fits a first kernel made for 3 channels to any other number of them, as timm does."""
    first = next((name for name, one in variables.items() if len(one.shape) == 4), None)
    if first not in values or values[first].ndim != 4:
        return
    kernel, channels = values[first], variables[first].shape[2]
    if kernel.shape[2] != 3 or channels == 3:
        return
    if channels == 1:
        values[first] = kernel.sum(axis=2, keepdims=True)
    else:
        tiled = np.tile(kernel, (1, 1, math.ceil(channels / 3), 1))
        values[first] = tiled[:, :, :channels] * (3.0 / channels)


def _problems(variables, values):
    """What keeps `values` from being assigned to `variables`; empty if nothing does."""
    missing = [name for name in variables if name not in values]
    left_over = [name for name in values if name not in variables]
    shapes = [
        f"{name} {values[name].shape} instead of {tuple(one.shape)}"
        for name, one in variables.items()
        if name in values and values[name].shape != tuple(one.shape)
    ]
    broken = [
        f"{name} ({values[name].dtype})"
        for name in variables
        if name in values and not _is_finite(values[name])
    ]
    found = (
        ("missing", missing),
        ("left over", left_over),
        ("wrong shape", shapes),
        ("not finite floats", broken),
    )
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in found if names)


def _is_finite(value):
    if value.dtype.kind != "f":
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(value.astype("float32")).all())


def _some(names):
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _hint(variables, values):
    """One sentence if a checkpoint of the authors' networks meets timm's, or the reverse."""
    for these, those, text in (
        (values, variables, "of the original networks: use the Legacy... network of this name"),
        (variables, values, "not of the original networks: use the network without Legacy"),
    ):
        if any(name.startswith("layer0") for name in these) and not any(
            name.startswith("layer0") for name in those
        ):
            return f". The checkpoint is {text}"
    return ""


def _keras_layout(tensor, variable, depthwise):
    """PyTorch's kernel as Keras has it in `variable`; a 1x1 convolution also fills a dense one."""
    if tensor.ndim == 4 and id(variable) in depthwise:
        tensor = tensor.transpose(2, 3, 0, 1)
    elif tensor.ndim == 4:
        tensor = tensor.transpose(2, 3, 1, 0)
        if variable is not None and len(variable.shape) == 2 and tensor.shape[:2] == (1, 1):
            tensor = tensor[0, 0]
    elif tensor.ndim == 2:
        tensor = tensor.T
    return tensor


def _torch_layout(value):
    """Keras's kernel as PyTorch has it."""
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
    elif value.ndim == 2:
        value = value.T
    # A copy: on some backends the array is the variable's own memory.
    return np.array(value, order="C")


def _depthwise(model):
    """The kernels of depthwise convolutions, whose last two axes Keras has the other way round."""
    layers = [one for one in model.layers if isinstance(one, keras.layers.DepthwiseConv2D)]
    return {id(layer.kernel) for layer in layers}


def _gates_layer(layer):
    """The name of a layer of PyTorch, those of the gates as they are called here."""
    module, _, name = layer.rpartition(".")
    return f"{module}.{MOBILE_GATES[name]}" if name in MOBILE_GATES else layer


def _torch_gates_layer(layer):
    """The name in PyTorch of a layer of the gates."""
    names = {ours: name for name, ours in MOBILE_GATES.items()}
    module, _, name = layer.rpartition(".")
    return f"{module}.{names[name]}" if layer.startswith(MOBILE) else layer


def _escape(path):
    return path.replace("_", "__").replace(".", "_")


def torch_name(name):
    """The name in PyTorch of a layer of `keras_se.applications`."""
    return name.replace("__", "\0").replace("_", ".").replace("\0", "_")


def _write_safetensors(state, path, metadata):
    if path.suffix != ".safetensors":
        raise ValueError(f"`path` must end in .safetensors. Received: path={str(path)!r}")
    from safetensors.numpy import save_file

    # In a folder beside it, so that the finished file can be renamed into place.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = Path(folder) / path.name
        save_file(state, partial, metadata={"format": "pt", **(metadata or {})})
        partial.replace(path)
