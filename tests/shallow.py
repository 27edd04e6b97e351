"""Networks of the zoo with fewer blocks, which hold whatever the whole ones do."""

from functools import partial

from keras_se.applications.application import Application

# At most so many blocks a stage, as a third is no other than the second.
BLOCKS = 2


def shallow_fields(row):
    """The fields of a row, with no more than `BLOCKS` blocks a stage."""
    fields, shorter = row.fields, {}
    if "depths" in fields:
        shorter["depths"] = tuple(min(BLOCKS, depth) for depth in fields["depths"])
    if "depth" in fields:
        # Three stages of blocks of two or three convolutions (of the networks with a depth, only
        # bottlenecks have groups); the stem and the head, and in the wide networks two
        # projections, are counted too.
        bottleneck = "bottleneck" in fields.get("block", shallow).__name__
        convolutions = 3 if bottleneck or fields.get("groups") else 2
        others = (fields["depth"] - 2) % (3 * convolutions) + 2
        shorter["depth"] = 3 * convolutions * BLOCKS + others
    if "VGG" in row.name:
        # Of 4096, whose 0.1 billion weights take time.
        shorter["head"] = partial(fields["head"], hidden=64)
    return fields | shorter


def shallow(row):
    """The network of a row, with no more than `BLOCKS` blocks a stage."""
    return Application(**shallow_fields(row))
