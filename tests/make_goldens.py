"""Writes tests/goldens.json.gz: timm's logits for generated weights, in float64.

The only file that needs timm and torch. Run by hand:

    pip install torch==2.13.0 timm==1.0.31 && python tests/make_goldens.py [NETWORK ...]

Without names it makes them all, otherwise those, and keeps the others. It refuses a golden that
proves nothing: one that rounding moves, or that the image does not.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from generated import RESIDUAL_RANGE, SEED, image, tensor
from golden_files import read_goldens, write_goldens

PATH = Path(__file__).parent / "goldens.json.gz"
LOGITS = 64  # of the 1000 of each image
SIZES = ((128, 128), (129, 161))
# timm itself needs multiples of 32 where it subsamples by averaging.
AVERAGING_SIZES = ((128, 128), (128, 160))
# Of some large networks, to save time.
SMALL_SIZES = ((64, 64), (65, 97))
AT_SMALL_SIZES = ("resnetrs152", "resnetrs270", "resnetrs350", "resnetrs420")
AT_SMALL_SIZES += ("regnety_064", "regnety_080_tv", "regnety_160", "regnetv_040", "regnetv_064")
AT_SMALL_SIZES += ("regnetz_040_h", "ecaresnet101d", "ecaresnet269d")
# Parts of names, the scales that end their residual branches, and from where to where those are if
# not as usual.
ENDS = (
    ("regnety", r"s\d\.b\d+\.conv3\.bn\.weight$"),
    ("regnetz_040_h", r"s\d\.b\d+\.conv3\.bn\.weight$", (0.6, 0.9)),
    ("regnetz", r"s\d\.b\d+\.conv3\.bn\.weight$", (0.4, 0.6)),
    ("regnetv_064", r"s\d\.b\d+\.norm3\.weight$", (0.9, 1.3)),
    ("regnetv", r"s\d\.b\d+\.norm3\.weight$"),
    ("ts", r"conv3_1x1\.bn\.weight$"),
    ("resnet18", r"layer\d\.\d+\.bn2\.weight$"),
    ("resnet34", r"layer\d\.\d+\.bn2\.weight$"),
    *(
        (part, r"blocks\.\d\.\d+\.bn3\.weight$", (0.4, 0.6))
        for part in ("v3_rw", "150d", "tf_mobilenetv3_large")
    ),
    # Without residual branches, or with batch norms called bn3 that do not only end them.
    *((part, None) for part in ("inception", "mobilenet", "vgg", "densenet")),
    ("", r"layer\d\.\d+\.bn3\.weight$"),
)
# Too large to run: what is recorded are names and shapes.
ABSTRACT = ("regnety_640", "regnety_1280", "regnety_2560")
NETWORKS = [
    "seresnet18",
    "seresnet34",
    "seresnet50",
    "seresnet101",
    "seresnet152",
    "seresnet50t",
    "seresnet152d",
    "seresnet200d",
    "seresnet269d",
    "seresnetaa50d",
    "seresnet33ts",
    "seresnext26d_32x4d",
    "seresnext26t_32x4d",
    "seresnext26ts",
    "seresnext50_32x4d",
    "seresnext101_32x4d",
    "seresnext101_32x8d",
    "seresnext101_64x4d",
    "seresnext101d_32x8d",
    "seresnextaa101d_32x8d",
    "seresnextaa201d_32x8d",
    "senet154",
    "legacy_seresnet18",
    "legacy_seresnet34",
    "legacy_seresnet50",
    "legacy_seresnet101",
    "legacy_seresnet152",
    "legacy_seresnext26_32x4d",
    "legacy_seresnext50_32x4d",
    "legacy_seresnext101_32x4d",
    "legacy_senet154",
    "resnet18",
    "resnet50",
    "resnet50d",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "inception_v3",
    "inception_resnet_v2",
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
    "mobilenetv3_small_075",
    "mobilenetv3_small_050",
    *("mobilenetv3_large_150d", "mobilenetv3_rw", "tf_mobilenetv3_large_100"),
    *("tf_mobilenetv3_large_075", "tf_mobilenetv3_small_100", "tf_mobilenetv3_small_075"),
    *(f"resnetrs{depth}" for depth in (50, 101, 152, 200, 270, 350, 420)),
    *("regnety_002", "regnety_004", "regnety_006", "regnety_008", "regnety_008_tv"),
    *("regnety_016", "regnety_032", "regnety_040", "regnety_064", "regnety_080"),
    *("regnety_080_tv", "regnety_120", "regnety_160", "regnety_320", *ABSTRACT),
    *("regnetv_040", "regnetv_064", "regnetz_040", "regnetz_040_h"),
    *("ecaresnet26t", "ecaresnet50t", "ecaresnet50d", "ecaresnet101d", "ecaresnet269d"),
    *("ecaresnetlight", "eca_resnet33ts", "eca_resnext26ts"),
    # One of four tables of widths: each has 0.1 billion weights in its classifier.
    "vgg16_bn",
    "densenet121",
    "densenet169",
    "densenet201",
]


def described(model, **fields):
    """How many parameters a model has, `fields`, and the names and shapes of its tensors."""
    state = [
        (key, tuple(value.shape))
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    ]
    parameters = sum(one.numel() for one in model.parameters())
    return {"parameters": parameters, **fields, "state": state}


def abstract(name):
    """The names and shapes of a network, which is not run."""
    with torch.device("meta"):
        return described(timm.create_model(name)) | {"logits": {}}


def golden(name, model=None):
    """What a model says, by default timm's of this name."""
    model = (model or timm.create_model(name, pretrained=False)).eval()
    end, *spread = next(ends for part, *ends in ENDS if part in name)
    spread = spread[0] if spread else RESIDUAL_RANGE
    state = {
        key: torch.from_numpy(tensor(key, tuple(value.shape), end, spread))
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    model.load_state_dict(state)
    logits, error = {}, 0.0
    sizes = SMALL_SIZES if name in AT_SMALL_SIZES else SIZES
    for height, width in AVERAGING_SIZES if "aa" in name else sizes:
        single = run(model.float(), image(height, width))
        exact = run(model.double(), image(height, width))
        other = run(model, image(height, width, seed=SEED + 1))
        largest = np.abs(exact).max()
        # MobileNets multiply small numbers of many layers, and lose a digit more than the others.
        rounding = 2e-5 if "mobilenet" in name else 1e-5
        error = max(error, np.abs(single - exact).max() / largest)
        assert error < rounding, f"{name} is chaotic"
        assert np.abs(other - exact).max() > 8e-3 * largest, f"{name} does not see the image"
        values = [float(f"{value:.8g}") for value in exact[:LOGITS]]
        logits[f"{height}x{width}"] = {"largest": float(f"{largest:.8g}"), "first": values}
    fields = {"residual_end": end, "residual_range": spread}
    fields["float32_error"] = float(f"{error:.2g}")
    return described(model, **fields) | {"logits": logits}


def run(model, images):
    """The logits of one image."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model(torch.from_numpy(images.transpose(0, 3, 1, 2)).to(dtype))[0].double().numpy()


if __name__ == "__main__":
    chosen = sys.argv[1:] or NETWORKS
    goldens, refused = read_goldens(PATH), []
    for network in chosen:
        try:
            goldens[network] = (abstract if network in ABSTRACT else golden)(network)
        except AssertionError as error:
            refused.append(str(error))
            continue
        write_goldens(PATH, goldens, NETWORKS)
        error = goldens[network].get("float32_error")
        print(f"{network}: float32 costs {error} of the largest logit", flush=True)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
    if refused:
        sys.exit(f"refused, and left as they were: {'; '.join(refused)}")
