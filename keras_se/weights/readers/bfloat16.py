"""Decodes bfloat16, a kind of number that NumPy does not have."""

import numpy as np


def widen(bits: np.ndarray) -> np.ndarray:
    """Widens bfloat16 numbers to float32, exactly.

    Args:
        bits: The numbers' bits as 16-bit integers.

    Returns:
        The numbers as float32.

    Example:
    >>> widen(np.array([0x3F80, 0xC020], "uint16"))
    array([ 1. , -2.5], dtype=float32)
    """
    # A bfloat16 is the upper half of a float32.
    return (bits.astype(np.uint32) << 16).view(np.float32)
