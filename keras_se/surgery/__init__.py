"""Changes to networks that are built and trained: SE in, SE out, batch norm folded.

All take a functional `keras.Model` of any origin, leave it as it is and return a new one.
"""

from keras_se.graph.rewrite import rewrite
from keras_se.surgery.fold import fold
from keras_se.surgery.fold_batch_norm import fold_batch_norm
from keras_se.surgery.insert import Placement, insert_se, placements
from keras_se.surgery.remove import Removal, remove_se
from keras_se.surgery.selection import table

__all__ = [
    "Placement",
    "Removal",
    "fold",
    "fold_batch_norm",
    "insert_se",
    "placements",
    "remove_se",
    "rewrite",
    "table",
]
