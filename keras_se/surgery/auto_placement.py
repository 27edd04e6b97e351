"""Where in a network SE blocks go by themselves: what `where="auto"` means."""

from keras_se.graph.ancestors import ACTIVATIONS, SUMS, is_linear
from keras_se.layers import SqueezeExcite

RESIDUAL = "residual branch"
BOTTLENECK = "linear bottleneck"
INCEPTION = "concatenated branches"
DENSE = "dense branch"
GROUP = "convolution group"
# What ends a branch after the features are made: stochastic depth would show the gates a map of
# zeros, and layer scale one of almost zero.
TAILS = {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}
TAILS |= {"StochasticDepth", "DropPath", "LayerScale", "Identity"}


def automatic(flows):
    """Where SE goes in the graphs of a model.

    Args:
        flows: The `Ancestors` of each graph.

    Returns:
        For each graph, a dictionary from the number of a call to why its output is rescaled.
    """
    found = [_joined(flow) for flow in flows]
    if not any(found):
        found = _grouped(flows)
    return [
        {i: why for i, why in sorted(sites.items()) if _allowed(flow, i)}
        for flow, sites in zip(flows, found, strict=True)
    ]


def _allowed(flow, i):
    return flow.maps[i] and not isinstance(flow.nodes[i].operation, SqueezeExcite)


def _joined(flow):
    """The ends of branches that are summed or concatenated, and of inverted residuals."""
    modules = {i for i in range(len(flow.nodes)) if _is_module(flow, i)}
    sites, inside = {}, 0
    for i in range(len(flow.nodes)):
        # A sum that only goes into a concatenation is part of that module, as in NASNet's cells.
        branch = None if set(flow.children[i]) & modules else _residual_branch(flow, i)
        if branch is not None:
            sites[_without_tail(flow, branch)] = RESIDUAL
            for path in flow.own(flow.parents[i]):
                inside |= path
        branch = _dense_branch(flow, i)
        if branch is not None:
            sites[_without_tail(flow, branch)] = DENSE
    sites |= {i: INCEPTION for i in modules if not inside >> i & 1}
    # Inside a cell, a norm without an activation ends no block.
    free = () if modules else range(len(flow.nodes))
    sites |= {i: BOTTLENECK for i in free if not inside >> i & 1 and _is_bottleneck(flow, i)}
    return sites


def _residual_branch(flow, i):
    """The input of a sum that is its residual branch, if the others skip it.

    That is the one with the most layers with kernels of its own, which not all inputs depend on;
    the others have at most one, the projection. In a tie there is no branch.
    """
    parents = flow.parents[i]
    if flow.name(i) not in SUMS or not _are_alike(flow, parents):
        return None
    paths = flow.own(parents)
    *others, longest = sorted(_kernel_counts(flow, paths))
    if others[-1] > 1 or others[-1] == longest:
        return None
    branch = _kernel_counts(flow, paths).index(longest)
    # What is summed after being enlarged joins a pyramid or a decoder.
    return None if flow.any_of(paths[branch], flow.enlarges) else parents[branch]


def _are_alike(flow, parents):
    """Whether the inputs of a sum are two or more maps of one shape."""
    return len(parents) > 1 and len({flow.shape(one) for one in parents}) == 1


def _kernel_counts(flow, paths):
    """The number of layers with kernels on each path."""
    return [(path & flow.kernels).bit_count() for path in paths]


def _concatenates_channels(flow, i):
    if flow.name(i) != "Concatenate" or not flow.maps[i]:
        return False
    rank = len(flow.shape(i))
    channel_axis = 1 if flow.formats[i] == "channels_first" else rank - 1
    return flow.nodes[i].operation.axis % rank == channel_axis


def _is_module(flow, i):
    """Whether a call concatenates three branches or more, convolutions in two at least."""
    if len(flow.parents[i]) < 3 or not _concatenates_channels(flow, i):
        return False
    return sum(map(bool, _kernel_counts(flow, flow.own(flow.parents[i])))) > 1


def _dense_branch(flow, i):
    """The input of a concatenation that is made of the other one at the same size."""
    if len(flow.parents[i]) != 2 or not _concatenates_channels(flow, i):
        return None
    skip, branch = sorted(flow.parents[i])
    depends = flow.upstream[branch] >> skip & 1 and skip != branch
    path = flow.upstream[branch] & ~flow.upstream[skip]
    # What is resized on the way takes a decoder's skip, as in U-Net.
    if not depends or flow.any_of(path, flow.resizes):
        return None
    return branch if path & flow.kernels else None


def _without_tail(flow, i):
    """The call that made the features, before what only drops or scales them."""
    while len(flow.parents[i]) == 1 and (flow.name(i) in TAILS or _does_nothing(flow, i)):
        i = flow.parents[i][0]
    return i


def _does_nothing(flow, i):
    return flow.name(i) in ACTIVATIONS and not flow.activates(i)


def _is_bottleneck(flow, i):
    """Whether a call normalises a narrowing 1x1 convolution and no activation follows.

    This is the end of an inverted residual, with or without a sum.
    """
    if not flow.normalises(i) or not flow.children[i]:
        return False
    (before,) = flow.parents[i][:1]
    layer = flow.nodes[before].operation
    size = getattr(layer, "kernel_size", ())
    if set(size if isinstance(size, tuple | list) else (size,)) != {1} or not is_linear(layer):
        return False
    narrows = flow.channels(before) < flow.channels(flow.parents[before][0])
    return narrows and not any(flow.activates(one) for one in flow.children[i])


def _grouped(flows):
    """The ends of convolution groups: of the normalised ones, or of all if none is."""
    groups = [{i: _group_end(flow, i) for i in _convolutions(flow)} for flow in flows]
    normalised = any(norm for ends in groups for _, norm in ends.values())
    return [
        {
            end: GROUP
            for end, norm in ends.values()
            # Without norms, a convolution that gives the model's output is a classifier.
            if norm or (not normalised and end not in flow.outputs)
        }
        for flow, ends in zip(flows, groups, strict=True)
    ]


def _convolutions(flow):
    """Convolutions of maps, but not depthwise ones: the pointwise one after them ends the pair."""
    for i in range(len(flow.nodes)):
        layer = flow.nodes[i].operation
        mixes = "Conv" in flow.name(i) and not flow.name(i).startswith("Depthwise")
        if mixes and flow.kernels >> i & 1 and flow.maps[i]:
            channels = flow.channels(flow.parents[i][0])
            if channels == 1 or getattr(layer, "groups", 1) < channels:
                yield i


def _group_end(flow, i):
    """The last call of a convolution, its norm and its activation; whether there is a norm."""
    child = flow.only_child(i)
    norm = child is not None and flow.normalises(child)
    if norm:
        i, child = child, flow.only_child(child)
    if child is not None and flow.activates(child):
        i = child
    return i, norm
