"""Writes tests/torchvision_goldens.json.gz: torchvision's logits for generated weights, in float64.

Run by hand: pip install torch==2.13.0 timm==1.0.31 torchvision==0.29.1 && python
tests/make_torchvision_goldens.py [NETWORK ...]. Of torchvision only Python is run, so that its
version may be another than torch wants. Without names it makes them all, otherwise those, and keeps
the others.
"""

import sys
from pathlib import Path

import torch

# What torchvision's own library would define; no network here calls it.
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")

import make_goldens  # noqa: E402
from golden_files import read_goldens, write_goldens  # noqa: E402
from torchvision.models import get_model  # noqa: E402

PATH = Path(__file__).parent / "torchvision_goldens.json.gz"
# Too large to run: what is recorded are names and shapes.
ABSTRACT = ("regnet_y_128gf",)
NETWORKS = (
    *("mobilenet_v3_small", "mobilenet_v3_large"),
    *(f"regnet_y_{size}" for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
    *ABSTRACT,
)
make_goldens.AT_SMALL_SIZES = ("regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf")
make_goldens.ENDS = (
    ("mobilenet", r"features\.\d+\.block\.3\.1\.weight$", (0.4, 0.6)),
    ("regnet", r"f\.c\.1\.weight$"),
)


if __name__ == "__main__":
    goldens = read_goldens(PATH)
    for name in sys.argv[1:] or NETWORKS:
        if name in ABSTRACT:
            goldens[name] = make_goldens.described(get_model(name)) | {"logits": {}}
        else:
            goldens[name] = make_goldens.golden(name, get_model(name))
        write_goldens(PATH, goldens, NETWORKS)
        error = goldens[name].get("float32_error")
        print(f"{name}: float32 costs {error} of the largest logit", flush=True)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
