"""Every figure of cost in the paper's tables 2, 3, 10, 13, 14, 15 and 16 that can be rebuilt here.

https://arxiv.org/abs/1709.01507, version 4. Counts of multiply-adds and parameters only: errors
need ImageNet.
"""

from functools import partial

import keras
import numpy as np
import pytest
from conftest import run
from generated import image
from shallow import shallow

from keras_se import applications
from keras_se.cli.model_table import sizes
from keras_se.graph.complexity import complexity, trainable_parameters
from keras_se.layers import SqueezeExcite

pytestmark = pytest.mark.backend_neutral

SIZES = sizes()
# Original row, billions of multiply-adds of the plain network and of that with SE. The paper's
# ResNets stride in the first 1x1 convolution, as the Legacy networks do.
TABLE_2 = {
    "LegacySEResNet50": (3.86, 3.87),
    "LegacySEResNet101": (7.58, 7.60),
    "LegacySEResNet152": (11.30, 11.32),
    "LegacySEResNeXt50_32x4d": (4.24, 4.25),
    "LegacySEResNeXt101_32x4d": (7.99, 8.00),
    "SEVGG16": (15.47, 15.48),
    "SEBNInception": (2.03, 2.04),
}
# Millions of multiply-adds and of parameters, plain and with SE.
TABLE_3 = {"SEMobileNet": ((569, 572), (4.2, 4.7)), "SEShuffleNet": ((140, 142), (1.8, 2.4))}


def gate_products(depths, widths=(256, 512, 1024, 2048)):
    """Equation 5 of the paper: 2 / 16 of the squared channels of every block."""
    return sum(depth * width**2 for depth, width in zip(depths, widths, strict=True)) // 8


GATES = {
    "LegacySEResNet50": gate_products((3, 4, 6, 3)),
    "LegacySEResNet101": gate_products((3, 4, 23, 3)),
    "LegacySEResNet152": gate_products((3, 8, 36, 3)),
    "LegacySEResNeXt50_32x4d": gate_products((3, 4, 6, 3)),
    "LegacySEResNeXt101_32x4d": gate_products((3, 4, 23, 3)),
    "SEVGG16": 226_304,
    "SEBNInception": 639_360,
    # Of ShuffleNet's 216 channels a sixteenth is 13 units. The paper's further 3 and 2 million of
    # the two mobile networks are more than the products of any gates of their parameters: it must
    # count the rescaling of the maps and the like, which are no products of weights.
    "SEMobileNet": 479_744,  # on every 1x1 convolution
    "SEShuffleNet": 610_416,  # on every branch
    "SEInceptionV3": 1_650_944,
    "SEInceptionResNetV2": 8_495_360,
}


@pytest.mark.parametrize("name", GATES)
def test_gates_cost_what_their_weights_are(name):
    """The tolerances of the next tests are wider than what gates cost; this has none."""
    assert SIZES[name]["multiply_adds"] - SIZES[name]["twin_multiply_adds"] == GATES[name]


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2(name):
    plain, gated = TABLE_2[name]
    # The paper rounds to 0.01, and counts pooling and the like too, up to half a percent.
    assert SIZES[name]["twin_multiply_adds"] / 1e9 == pytest.approx(plain, rel=5e-3, abs=0.005)
    assert SIZES[name]["multiply_adds"] / 1e9 == pytest.approx(gated, rel=5e-3, abs=0.005)


def test_table_2_inception_resnet_v2_is_another_size():
    """The paper says 11.75 and 11.76; every public Inception-ResNet-v2 has 13.2 at its 299 pixels.

    Its difference of 0.01 is that of the gates above.
    """
    cost = SIZES["SEInceptionResNetV2"]["twin_multiply_adds"]
    assert cost / 1e9 == pytest.approx(13.16, abs=0.005)


@pytest.mark.parametrize("name", TABLE_3)
def test_table_3(name):
    products, parameters = TABLE_3[name]
    cost = SIZES[name]
    # ShuffleNet's own paper rounds up to 140; the authors' later https://arxiv.org/abs/1810.12348
    # (table 4) has 137.5 and 139.9.
    tolerance = {"rel": 3e-2} if name == "SEShuffleNet" else {"rel": 6e-3}
    assert cost["twin_multiply_adds"] / 1e6 == pytest.approx(products[0], **tolerance)
    assert cost["multiply_adds"] / 1e6 == pytest.approx(products[1], **tolerance)
    assert cost["twin_parameters"] / 1e6 == pytest.approx(parameters[0], abs=0.07)
    assert cost["parameters"] / 1e6 == pytest.approx(parameters[1], abs=0.09)


def seresnet50(se=True, **options):
    """The paper's SE-ResNet-50 for its ablations."""
    return applications.LegacySEResNet50(weights=None, se=se, **options)


def all_weights(model):
    """The parameters in millions as the paper's tables 10 to 15 count them.

    With the moving statistics of batch norm, as Caffe keeps them in the model.
    """
    return model.count_params() / 1e6


@pytest.fixture(scope="module")
def plain():
    return seresnet50(se=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ratio", "millions", "exact"),
    # The last column: weights without biases and statistics. The paper's 45.7 is without biases.
    (
        (2, 45.7, 45.677),
        (4, 35.7, 35.617),
        (8, 30.7, 30.587),
        (16, 28.1, 28.072),
        (32, 26.9, 26.815),
    ),
)
def test_table_10_ratios(ratio, millions, exact):
    model = seresnet50(partial(SqueezeExcite, ratio=ratio))
    assert all_weights(model) == pytest.approx(millions, abs=0.06)
    bare = seresnet50(partial(SqueezeExcite, ratio=ratio, use_bias=False))
    assert trainable_parameters(bare) / 1e6 == pytest.approx(exact, abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stages", "millions", "giga", "weights"),
    # The paper's stages 2, 3 and 4 are the first three of these four.
    (
        ((1,), 25.6, 3.86, 24_576),
        ((2,), 25.7, 3.86, 131_072),
        ((3,), 26.4, 3.86, 786_432),
        ((4,), None, None, 1_572_864),
        ((1, 2, 3, 4), 28.1, 3.87, 2_514_944),
    ),
)
def test_table_13_stages(plain, stages, millions, giga, weights):
    model = seresnet50(partial(SqueezeExcite, ratio=16, use_bias=False), stages=stages)
    assert trainable_parameters(model) - trainable_parameters(plain) == weights
    if millions is not None:
        assert all_weights(model) == pytest.approx(millions, abs=0.06)
        products = complexity(model).multiply_adds
        assert products / 1e9 == pytest.approx(giga, rel=4e-3, abs=0.005)
        assert products - complexity(plain).multiply_adds == weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("placement", "weights"),
    (
        ("standard", 2_514_944),
        # A block that begins a stage sees the channels of the stage before: in all 64, not 2048.
        ("pre", 2_514_944 - (2048**2 - 64**2) // 8),
        ("post", 2_514_944),
        ("identity", 2_514_944),
        # Table 16: 25.8 million parameters and 3.86 billion multiply-adds.
        ("inside", 157_184),
    ),
)
def test_tables_14_and_16_placements(plain, placement, weights):
    bare = partial(SqueezeExcite, ratio=16, use_bias=False)
    model = seresnet50(bare, placement=placement)
    assert trainable_parameters(model) - trainable_parameters(plain) == weights
    if placement == "inside":
        assert all_weights(model) == pytest.approx(25.8, abs=0.06)
        assert complexity(model).multiply_adds / 1e9 == pytest.approx(3.86, rel=1e-3)


def follows(model, layer, other):
    """Whether a layer takes its input, or its inputs one of them, from another layer."""
    output = model.get_layer(other).output
    return any(one is output for one in keras.tree.flatten(model.get_layer(layer).input))


@pytest.mark.parametrize(
    ("placement", "first", "second"),
    (
        ("standard", "layer2_0_bn3", "layer2_1_bn3"),
        ("pre", "layer1_1_relu", "layer2_0_relu"),
        ("post", "layer2_0_relu", "layer2_1_relu"),
        ("identity", "layer2_0_downsample_1", "layer2_0_relu"),
        ("inside", "layer2_0_bn2_relu", "layer2_1_bn2_relu"),
    ),
)
def test_every_placement_gates_what_it_says(placement, first, second):
    row = shallow(applications.LegacySEResNet50)
    model = row(weights=None, input_shape=(64, 64, 3), placement=placement)
    gates = [layer.name for layer in model.layers if isinstance(layer, SqueezeExcite)]
    assert len(gates) == 8
    # A name of its own for each, so that no placement loads the weights of another.
    suffix = "se__module" if placement == "standard" else f"{placement}_se__module"
    assert follows(model, f"layer2_0_{suffix}", first)
    assert follows(model, f"layer2_1_{suffix}", second)
    # And the gated map goes where the other would have gone.
    targets = {"pre": "layer2_0_conv1", "post": "layer2_1_conv1", "inside": "layer2_0_conv3"}
    assert follows(model, targets.get(placement, "layer2_0_add"), f"layer2_0_{suffix}")


def test_the_skip_of_a_preactivated_block_is_not_gated_before():
    model = applications.SEPreResNet20(weights=None, classes=10, placement="pre")
    assert follows(model, "layer2_0_downsample", "layer2_0_bn1_relu")
    assert follows(model, "layer2_0_conv1_pad", "layer2_0_pre_se")
    assert follows(model, "layer2_0_pre_se", "layer2_0_bn1_relu")


def test_a_placement_refuses_the_weights_of_another(tmp_path):
    path = tmp_path / "model.weights.h5"
    applications.SEResNet20(weights=None, classes=10).save_weights(path)
    with pytest.raises(ValueError, match="layer1_0_post_se"):
        applications.SEResNet20(weights=path, classes=10, placement="post")


def test_gates_and_squeezes_of_tables_11_and_12_are_factories():
    """Max squeeze, and gates by ReLU and tanh: no other parameters, other logits."""
    images = image(33, 33)
    results = []
    for arguments in ({}, {"squeeze": "max"}, {"gate": "relu"}, {"gate": "tanh"}):
        keras.utils.set_random_seed(5)
        se = partial(SqueezeExcite, ratio=16, **arguments)
        model = applications.SEResNet20(
            weights=None, input_shape=(33, 33, 3), classes=10, classifier_activation=None, se=se
        )
        assert trainable_parameters(model) == 274_847
        results.append(run(model, images))
    for index, one in enumerate(results):
        for other in results[:index]:
            assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    (
        ({"placement": "before"}, ValueError, ("`placement`", "'before'", "'identity'")),
        ({"stages": (0,)}, ValueError, ("`stages`", "(0,)")),
        ({"stages": 5}, ValueError, ("`stages`", "5")),
        ({"stages": ()}, ValueError, ("`stages`", "()", "from 1 to 4")),
        ({"place": "pre"}, TypeError, ("SEResNet18", "place", "placement, stages")),
        ({"alpha": 0.5}, TypeError, ("SEResNet18", "alpha", "placement, stages")),
    ),
)
def test_bad_options_are_named(options, error, words):
    for weights in (None, "imagenet"):
        with pytest.raises(error) as raised:
            applications.SEResNet18(weights=weights, **options)
        for word in words:
            assert word in str(raised.value)


def test_networks_of_three_stages_have_no_fourth():
    with pytest.raises(ValueError, match="from 1 to 3"):
        applications.SEResNet20(weights=None, stages=(4,))


def test_published_weights_are_of_the_published_placement():
    with pytest.raises(ValueError, match=r"no published.* SEResNet50_pre"):
        applications.SEResNet50(placement="pre")
    assert not applications.SEResNet50.replace(stages=(1, 2)).weights
    # Where the gates are is nothing to the plain twin.
    assert applications.SEResNet50.replace(stages=(1, 2)).twin.weights
    assert applications.SEResNet50.replace(placement="standard") is applications.SEResNet50
    assert applications.MobileNetV3Small_075.replace(alpha=1.0) is applications.MobileNetV3Small
    small = applications.MobileNetV3Small.replace(alpha=0.75)
    assert small.weights == applications.MobileNetV3Small_075.weights != ()
