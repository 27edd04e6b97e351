"""Every network with timm's weights names gives timm's logits, through the ordinary loader."""

import numpy as np
import pytest
from conftest import FAST, GOLDENS, assert_costs, each, run
from generated import image, state_dict
from safetensors.numpy import save_file

from keras_se.applications import get_model
from keras_se.cli.model_table import sizes
from keras_se.graph.complexity import trainable_parameters
from keras_se.layers import SqueezeExcite
from keras_se.weights import export_state_dict


@pytest.fixture(scope="module", params=each(GOLDENS, FAST))
def network(request, tmp_path_factory):
    """A golden, its checkpoint, and the network that the builder made of it."""
    golden = GOLDENS[request.param]
    state = state_dict(golden)
    path = tmp_path_factory.mktemp("weights") / "generated.safetensors"
    save_file(state, path)
    application = get_model(request.param)
    model = application(weights=path, input_shape=(None, None, 3), classifier_activation=None)
    path.unlink()
    return golden, state, model


def logits(model, height, width):
    return run(model, image(height, width))[0]


def test_logits_are_those_of_timm(network):
    golden, _, model = network
    # 2e-6 is what float32 costs, and 2e-5 in MobileNet v2 and v3; more is another network.
    tolerance = 1e-4 if model.name.startswith(("mobilenetv2", "mobilenetv3")) else 1e-5
    for size, expected in golden["logits"].items():
        result = logits(model, *map(int, size.split("x")))
        assert np.abs(result).max() == pytest.approx(expected["largest"], rel=tolerance)
        difference = np.abs(result[: len(expected["first"])] - expected["first"]).max()
        assert difference < tolerance * expected["largest"], f"{size}: {difference}"


def test_costs_are_those_of_timm_and_of_the_package_file(network):
    golden, _, model = network
    assert trainable_parameters(model) == golden["parameters"]
    row = get_model(model.name)
    if row.is_twin:
        assert trainable_parameters(model) == sizes()[row.twin.name]["twin_parameters"]
    else:
        assert_costs(model, sizes()[row.name], row.size)


def test_state_dict_comes_back_equal(network):
    _, state, model = network
    exported = export_state_dict(model)
    assert exported.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(exported[key], value, err_msg=key)


def test_a_bias_of_one_gate_moves_the_logits(network):
    """A golden that could not fail would prove nothing."""
    golden, _, model = network
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    if not gates:
        pytest.skip("a plain twin has no gates")
    bias = gates[0].fc2.bias
    before = bias.numpy().copy()
    try:
        bias.assign(np.zeros_like(before))
        expected = golden["logits"]["128x128"]
        moved = np.abs(logits(model, 128, 128)[: len(expected["first"])] - expected["first"]).max()
    finally:
        bias.assign(before)
    assert moved > 1e-4 * expected["largest"]
