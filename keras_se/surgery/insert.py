"""Puts SE blocks into a network that has none."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras

from keras_se.graph.ancestors import Ancestors, why_no_map
from keras_se.graph.rewrite import rewrite
from keras_se.graph.walk import (
    free_name,
    graphs,
    is_graph,
    layers_within,
    nodes,
    require_functional,
)
from keras_se.layers import SqueezeExcite
from keras_se.surgery.auto_placement import automatic
from keras_se.surgery.selection import chosen, is_chosen, table
from keras_se.validation import check_choice, check_positive

# timm's rounding of the bottleneck, as in the zoo: at least 8 units.
DIVISOR = 8


class Placement(NamedTuple):
    """One SE block: its name, the layer it follows, its sizes, and the reason for its place."""

    block: str
    after: str
    channels: int
    units: int | None
    why: str


class Site(NamedTuple):
    """A call whose output goes through the block of that name."""

    node: object
    block: str
    data_format: str
    why: str


def insert_se(
    model: keras.Model,
    where: str | Callable = "auto",
    ratio: float = 16,
    identity: bool = True,
    *,
    se: Callable | None = None,
    freeze: str | None = None,
    verbose: bool = True,
) -> keras.Model:
    """Puts a `SqueezeExcite` block, or another kind, after some layers of a trained network.

    Every feature map that is chosen is multiplied by gates computed from itself, wherever it goes.
    With `identity` all gates begin at exactly one, so the new network gives what `model` gives
    until it is trained; the bottlenecks then begin with biases of one, so that none is born dead.
    The block of a layer `conv` is called `conv_se`, with a number if that name is taken. A layer
    with weights that is called twice has one block for both calls.

    `where="auto"` takes, in every graph of the model:

    - of a residual sum, the end of the residual branch: the input with the most convolutions since
      the tensor that all inputs depend on, if the others have at most one, the projection. The
      block goes before stochastic depth and layer scale, and none into sums in a tie, nor into
      those that only enter a concatenation, as in NASNet's cells;
    - the end of an inverted residual without a sum: a normalized narrowing 1x1 convolution without
      an activation, as in MobileNetV2 and EfficientNet, which thus get blocks besides their own;
    - concatenations of three or more branches, as in Inception and NASNet, unless they are in a
      residual branch, as in Inception-ResNet;
    - the branch that is concatenated to its own input, as in DenseNet;
    - if the model has none of these: what follows every normalized convolution and its activation,
      or, if none is normalized, every convolution that is not the output. Depthwise convolutions
      have no block of their own, so MobileNet has one after each pair, as in the paper.

    Pooled vectors, gates and classifiers are never taken.

    Args:
        model: Functional `keras.Model`; not changed.
        where: `"auto"`, a regular expression that is searched for in layer names, or a callable
            on layers that returns whether the layer's output goes through a block.
        ratio: Positive number, bottleneck reduction. The bottleneck of `C` channels has `C / ratio`
            units, rounded to a multiple of 8, at least 8, as in timm. The paper uses 16.
        se: What makes the blocks instead of `SqueezeExcite(ratio)`: `EfficientChannelAttention`,
            or a callable with the arguments `name`, `data_format`, `dtype` and `identity_start`
            that makes a block of `keras_se.layers`, such as a `functools.partial` of one.
        identity: Whether all gates begin at one. Otherwise they begin as in a new network, at
            about a half, and the network must be trained again.
        freeze: `None`, or `"backbone"` to leave only the blocks trainable: every layer of `model`
            is frozen, batch norm with its statistics.
        verbose: Whether to print the table of `placements`.

    Returns:
        A new functional `keras.Model`, not compiled, with the weights of `model`.

    Raises:
        ValueError: If an argument is not legal, `model` is not functional, `where` chooses no
            layer, or it chooses one that gives no feature map: a float tensor
            `(batch, *space, channels)`, or channels first, with one to three spatial axes.

    Example:
    >>> inputs = keras.Input((8, 8, 3))
    >>> model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs))
    >>> new = insert_se(model, where="conv")
    block    after  channels  units  why
    conv_se  conv   4         8      where='conv'

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, section 3,
        figures 2 and 3, and table 14 on the place in a residual unit.
    """
    check_choice("identity", identity, (True, False))
    check_choice("freeze", freeze, (None, "backbone"))
    default = _default(ratio, identity)
    sites = _sites(model, where)
    blocks = _blocks(sites, default if se is None else se, identity)
    if verbose:
        print(table(_rows(sites, blocks)))
    by_call = {id(site.node): blocks[site.block] for site in sites}
    new = rewrite(model, lambda node, copy: _chained(by_call.get(id(node)), copy))
    _set_trainable(new, blocks.values(), freeze)
    return new


def placements(
    model: keras.Model, where: str | Callable = "auto", ratio: float = 16
) -> list[Placement]:
    """Says where `insert_se` would put blocks, without doing so.

    Args:
        model: Functional `keras.Model`.
        where: As for `insert_se`.
        ratio: As for `insert_se`.

    Returns:
        A list of `Placement`, one for each block, with its name, the layer that it follows, the
        numbers of channels and of bottleneck units, and why; `table` lays it out.

    Raises:
        ValueError: As `insert_se`.

    Example:
    >>> inputs = keras.Input((8, 8, 3))
    >>> model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs))
    >>> placements(model, where="conv")[0].block
    'conv_se'
    """
    sites = _sites(model, where)
    return _rows(sites, _blocks(sites, _default(ratio, True), True))


def _chained(block, copy):
    """A call of `copy` and then of `block`."""
    return block and (lambda *args, **kwargs: block(copy(*args, **kwargs)))


def _sites(model, where):
    """The calls whose outputs are rescaled, in the order of the graphs."""
    predicate = None if where == "auto" else chosen("where", where, "'auto'")
    require_functional(model)
    all_ancestors = [Ancestors(graph) for graph in graphs(model)]
    reasons_of_graphs = (
        automatic(all_ancestors)
        if predicate is None
        else [_chosen(ancestors, predicate, where) for ancestors in all_ancestors]
    )
    if not any(reasons_of_graphs):
        raise ValueError(
            f"`where` must choose layers of `model` ({model.name!r}) that give feature maps"
            + ("; 'auto' finds none without a block. " if predicate is None else ". ")
            + f"Received: where={where!r}, which chooses none"
        )
    return _named(all_ancestors, reasons_of_graphs)


def _chosen(ancestors, predicate, where):
    """For each call of a layer that the user means, its number and the reason."""
    reasons = {}
    for i, node in enumerate(ancestors.nodes):
        if is_chosen(node.operation, predicate):
            problem = why_no_map(node, ancestors.formats[i])
            if problem:
                raise ValueError(
                    "`where` must choose layers that give feature maps, float tensors (batch, "
                    "*space, channels) or channels first. Received: "
                    f"where={where!r}, which chooses {node.operation.name!r}; that {problem}"
                )
            reasons[i] = f"where={where!r}" if isinstance(where, str) else "where"
    return reasons


def _named(all_ancestors, reasons_of_graphs):
    """The sites, each with a name that no layer of the model has."""
    used = {node.operation.name for ancestors in all_ancestors for node in ancestors.nodes}
    shared = {}
    sites = []
    for ancestors, reasons in zip(all_ancestors, reasons_of_graphs, strict=True):
        for i, why in reasons.items():
            node = ancestors.nodes[i]
            name = shared.get(id(node.operation)) or free_name(f"{node.operation.name}_se", used)
            # Calls that share weights share the block; a shared activation shares nothing.
            if getattr(node.operation, "weights", ()):
                shared[id(node.operation)] = name
            sites.append(Site(node, name, ancestors.formats[i], why))
    return sites


def _default(ratio, identity):
    """What makes the blocks of the zoo."""
    check_positive("ratio", ratio)
    # With zeros, a bottleneck that ReLU cuts off for all images would stay so.
    start = "ones" if identity else "zeros"
    return partial(SqueezeExcite, ratio, divisor=DIVISOR, bias_initializer=start)


def _blocks(sites, se, identity):
    """The block of each name, built for its channels."""
    blocks = {}
    for site in sites:
        shape = tuple(site.node.outputs[0].shape)
        if site.block not in blocks:
            block = se(
                identity_start=identity,
                data_format=site.data_format,
                dtype=_policy(site.node.operation),
                name=site.block,
            )
            if not isinstance(block, SqueezeExcite):
                raise ValueError(
                    "`se` must make a SqueezeExcite or EfficientChannelAttention layer. It made "
                    f"{block!r} for {site.block!r}"
                )
            block.build(shape)
            blocks[site.block] = block
    return blocks


def _policy(operation):
    """The dtype policy of a layer, for the block after it; an operation has none."""
    return getattr(operation, "dtype_policy", None)


def _rows(sites, blocks):
    rows = {}
    for site in sites:
        block = blocks[site.block]
        sizes = block.channels, block.bottleneck
        rows[site.block] = Placement(site.block, site.node.operation.name, *sizes, site.why)
    return list(rows.values())


def _set_trainable(model, blocks, freeze):
    """Makes the blocks trainable, and the other layers as they were, or not for `freeze`."""
    flags = dict(_flags(model, True))
    for block in blocks:
        flags.pop(block)
    # A model that is frozen hides the blocks in it, and its flag changes those of its layers. On
    # TensorFlow, setting the flag that a model has already does not reach the models in it.
    for graph in graphs(model):
        graph.trainable = True
    for layer, flag in flags.items():
        layer.trainable = flag and freeze is None


def _flags(model, inherited):
    """Every layer in `model`, with whether it and all models around it are trainable."""
    inherited = inherited and model.trainable
    for node in nodes(model):
        operation = node.operation
        if is_graph(operation):
            yield from _flags(operation, inherited)
        elif isinstance(operation, SqueezeExcite):
            yield operation, inherited and operation.trainable
        elif isinstance(operation, keras.layers.Layer):
            for layer in layers_within(operation):
                yield layer, inherited and layer.trainable
