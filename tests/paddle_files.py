"""Checkpoints as PaddlePaddle writes them, with weights made from their names."""

import pickle

from generated import tensor

# What `generated.tensor` calls the statistics of a batch normalization.
STATISTICS = {"_mean": "running_mean", "_variance": "running_var"}


def array(key, shape, *ends):
    """The array of a key; see `generated.tensor`. Dense kernels are `(input, output)`."""
    module, dot, parameter = key.rpartition(".")
    name = f"{module}{dot}{STATISTICS.get(parameter, parameter)}"
    return tensor(name, shape[::-1], *ends).T if len(shape) == 2 else tensor(name, shape, *ends)


def arrays(golden):
    """The arrays of a golden by their keys."""
    ends = golden["residual_end"], golden["residual_range"]
    return {key: array(key, shape, *ends) for key, shape in golden["state"]}


def write_paddle(path, arrays):
    """Writes the pickle of a dictionary of arrays, and of what their parameters are called."""
    names = {"StructuredToParameterName@@": {key: key for key in arrays}}
    path.write_bytes(pickle.dumps(arrays | names, 2))
    return path
