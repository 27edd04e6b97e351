"""Networks of Keras and KerasHub are written in the formats that the table in the docs says."""

from functools import partial
from importlib.util import find_spec

import pytest

if not find_spec("keras_hub"):
    pytest.skip("keras-hub is not installed", allow_module_level=True)

from make_export_table import BACKEND, FORMATS, WRITTEN, formats, read, result
from upstream_networks import NETWORKS, build

CHEAPEST = {("KerasHub VGG", "onnx"), ("KerasHub ResNet", "openvino")}
# It takes tf2onnx and jax2onnx over five minutes.
NOT_MEASURED = {"tensorflow": {"InceptionResNetV2"}, "jax": {"InceptionResNetV2"}, "torch": set()}
CASES = [
    pytest.param(
        *key[::2],
        said,
        marks=[pytest.mark.xdist_group(key[0])] + [pytest.mark.large] * (key[::2] not in CHEAPEST),
    )
    for key, said in read().items()
    if key[1] == BACKEND and all(map(find_spec, FORMATS[key[2]].packages))
]


@pytest.mark.parametrize(("network", "format", "said"), CASES)
def test_the_table_is_right(network, format, said, tmp_path):
    found = result(partial(build, network), FORMATS[format], tmp_path)
    assert (found == WRITTEN) == (said == WRITTEN), found


def test_the_table_is_complete():
    """But for the networks that were not measured: whoever measures one strikes it out."""
    missing = {
        name
        for name in NETWORKS
        for format in formats(BACKEND)
        if (name, BACKEND, format.name) not in read()
    }
    assert missing == NOT_MEASURED[BACKEND]
