"""Where in a network SE blocks go by themselves: what `where="auto"` means."""

from keras_se.data_format import channel_axis
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


def automatic(all_ancestors):
    """Where SE goes in the graphs of a model.

    Args:
        all_ancestors: The `Ancestors` of each graph.

    Returns:
        For each graph, a dictionary from the number of a call to why its output is rescaled.
    """
    sites_of_graphs = [_joined(ancestors) for ancestors in all_ancestors]
    if not any(sites_of_graphs):
        sites_of_graphs = _grouped(all_ancestors)
    return [
        {i: why for i, why in sorted(sites.items()) if _allowed(ancestors, i)}
        for ancestors, sites in zip(all_ancestors, sites_of_graphs, strict=True)
    ]


def _allowed(ancestors, i):
    return ancestors.maps[i] and not isinstance(ancestors.nodes[i].operation, SqueezeExcite)


def _joined(ancestors):
    """The ends of branches that are summed or concatenated, and of inverted residuals."""
    modules = {i for i in range(len(ancestors.nodes)) if _is_module(ancestors, i)}
    sites, inside = {}, 0
    for i in range(len(ancestors.nodes)):
        # A sum that only goes into a concatenation is part of that module, as in NASNet's cells.
        branch = None if set(ancestors.children[i]) & modules else _residual_branch(ancestors, i)
        if branch is not None:
            sites[_without_tail(ancestors, branch)] = RESIDUAL
            for path in ancestors.own(ancestors.parents[i]):
                inside |= path
        branch = _dense_branch(ancestors, i)
        if branch is not None:
            sites[_without_tail(ancestors, branch)] = DENSE
    sites |= {i: INCEPTION for i in modules if not inside >> i & 1}
    # Inside a cell, a norm without an activation ends no block.
    free = () if modules else range(len(ancestors.nodes))
    sites |= {i: BOTTLENECK for i in free if not inside >> i & 1 and _is_bottleneck(ancestors, i)}
    return sites


def _residual_branch(ancestors, i):
    """The input of a sum that is its residual branch, if the others skip it.

    That is the one with the most layers with kernels of its own, which not all inputs depend on;
    the others have at most one, the projection. In a tie there is no branch.
    """
    parents = ancestors.parents[i]
    if ancestors.name(i) not in SUMS or not _are_alike(ancestors, parents):
        return None
    paths = ancestors.own(parents)
    *others, longest = sorted(_kernel_counts(ancestors, paths))
    if others[-1] > 1 or others[-1] == longest:
        return None
    branch = _kernel_counts(ancestors, paths).index(longest)
    # What is summed after being enlarged joins a pyramid or a decoder.
    return None if ancestors.any_of(paths[branch], ancestors.enlarges) else parents[branch]


def _are_alike(ancestors, parents):
    """Whether the inputs of a sum are two or more maps of one shape."""
    return len(parents) > 1 and len({ancestors.shape(parent) for parent in parents}) == 1


def _kernel_counts(ancestors, paths):
    """The number of layers with kernels on each path."""
    return [(path & ancestors.kernels).bit_count() for path in paths]


def _concatenates_channels(ancestors, i):
    if ancestors.name(i) != "Concatenate" or not ancestors.maps[i]:
        return False
    rank = len(ancestors.shape(i))
    axis = channel_axis(ancestors.formats[i])
    return ancestors.nodes[i].operation.axis % rank == axis % rank


def _is_module(ancestors, i):
    """Whether a call concatenates three branches or more, convolutions in two at least."""
    if len(ancestors.parents[i]) < 3 or not _concatenates_channels(ancestors, i):
        return False
    return sum(map(bool, _kernel_counts(ancestors, ancestors.own(ancestors.parents[i])))) > 1


def _dense_branch(ancestors, i):
    """The input of a concatenation that is made of the other one at the same size."""
    if len(ancestors.parents[i]) != 2 or not _concatenates_channels(ancestors, i):
        return None
    skip, branch = sorted(ancestors.parents[i])
    depends = ancestors.upstream[branch] >> skip & 1 and skip != branch
    path = ancestors.upstream[branch] & ~ancestors.upstream[skip]
    # What is resized on the way takes a decoder's skip, as in U-Net.
    if not depends or ancestors.any_of(path, ancestors.resizes):
        return None
    return branch if path & ancestors.kernels else None


def _without_tail(ancestors, i):
    """The call that made the features, before what only drops or scales them."""
    while len(ancestors.parents[i]) == 1 and _keeps_features(ancestors, i):
        i = ancestors.parents[i][0]
    return i


def _keeps_features(ancestors, i):
    linear = ancestors.name(i) in ACTIVATIONS and not ancestors.activates(i)
    return linear or ancestors.name(i) in TAILS


def _is_bottleneck(ancestors, i):
    """Whether a call normalizes a narrowing 1x1 convolution and no activation follows.

    This is the end of an inverted residual, with or without a sum.
    """
    if not ancestors.normalizes(i) or not ancestors.children[i]:
        return False
    (before,) = ancestors.parents[i][:1]
    layer = ancestors.nodes[before].operation
    size = getattr(layer, "kernel_size", ())
    if set(size if isinstance(size, tuple | list) else (size,)) != {1} or not is_linear(layer):
        return False
    narrows = ancestors.channels(before) < ancestors.channels(ancestors.parents[before][0])
    return narrows and not any(ancestors.activates(child) for child in ancestors.children[i])


def _grouped(all_ancestors):
    """The ends of convolution groups: of the normalized ones, or of all if none is."""
    groups = [
        {i: _group_end(ancestors, i) for i in _convolutions(ancestors)}
        for ancestors in all_ancestors
    ]
    normalized = any(norm for ends in groups for _, norm in ends.values())
    return [
        {
            end: GROUP
            for end, norm in ends.values()
            # Without norms, a convolution that gives the model's output is a classifier.
            if norm or (not normalized and end not in ancestors.outputs)
        }
        for ancestors, ends in zip(all_ancestors, groups, strict=True)
    ]


def _convolutions(ancestors):
    """Convolutions of maps, but not depthwise ones: the pointwise one after them ends the pair."""
    for i in range(len(ancestors.nodes)):
        layer = ancestors.nodes[i].operation
        mixes = "Conv" in ancestors.name(i) and not ancestors.name(i).startswith("Depthwise")
        if mixes and ancestors.kernels >> i & 1 and ancestors.maps[i]:
            channels = ancestors.channels(ancestors.parents[i][0])
            if channels == 1 or getattr(layer, "groups", 1) < channels:
                yield i


def _group_end(ancestors, i):
    """The last call of a convolution, its norm and its activation; whether there is a norm."""
    child = ancestors.only_child(i)
    norm = child is not None and ancestors.normalizes(child)
    if norm:
        i, child = child, ancestors.only_child(child)
    if child is not None and ancestors.activates(child):
        i = child
    return i, norm
