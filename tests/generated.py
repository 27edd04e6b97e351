"""Weights and images made from a name and a seed, the same in every process and on every backend.

Checkpoints made like this need no file: the goldens hold timm's logits for them.
"""

import re
import zlib

import numpy as np

SEED = 7
RESIDUAL_RANGE = (0.1, 0.3)


def tensor(key, shape, residual_end=None, residual_range=RESIDUAL_RANGE):
    """The tensor of a checkpoint's key.

    `residual_end` is a pattern of the scales that end a residual branch. They are small, since
    with scales near one a network of 50 blocks is chaotic, and with all of them small the image no
    longer matters. `residual_range` is what they are from and to: where not every block has a skip,
    smaller ones would leave nothing of the image.
    """
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{SEED}:{key}".encode())))
    if key.endswith("running_var"):
        value = random.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        value = 0.1 * random.standard_normal(shape)
    elif len(shape) == 1:
        ends = residual_end is not None and re.search(residual_end, key)
        value = random.uniform(*residual_range, shape) if ends else random.uniform(0.8, 1.2, shape)
    else:
        value = np.sqrt(2 / np.prod(shape[1:])) * random.standard_normal(shape)
    return value.astype("float32")


def image(height, width, channels=3, seed=SEED):
    """One normalized image, `(1, height, width, channels)`."""
    random = np.random.Generator(np.random.PCG64(seed))
    return random.standard_normal((1, height, width, channels)).astype("float32")


def state_dict(golden):
    """The checkpoint of one network of the goldens, with timm's names."""
    ends = golden["residual_end"], golden.get("residual_range", RESIDUAL_RANGE)
    return {key: tensor(key, shape, *ends) for key, shape in golden["state"]}
