"""Writes tests/torchvision_goldens.json.gz: torchvision's logits for generated weights, in float64.

Run by hand: pip install torch==2.13.0 timm==1.0.31 torchvision && python
tests/make_torchvision_goldens.py. Of torchvision only Python is run, so that its version may be
another than torch wants.
"""

import gzip
import json
from pathlib import Path

import torch

# What torchvision's own library would define; no network here calls it.
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")

import make_goldens  # noqa: E402
from torchvision.models import get_model  # noqa: E402

PATH = Path(__file__).parent / "torchvision_goldens.json.gz"
NETWORKS = ("mobilenet_v3_small", "mobilenet_v3_large", "regnet_y_400mf")
make_goldens.ENDS = (
    ("mobilenet", r"features\.\d+\.block\.3\.1\.weight$", (0.4, 0.6)),
    ("regnet", r"f\.c\.1\.weight$"),
)

if __name__ == "__main__":
    goldens = {}
    for name in NETWORKS:
        goldens[name] = make_goldens.golden(name, get_model(name))
        print(f"{name}: float32 costs {goldens[name]['float32_error']} of the largest logit")
    text = json.dumps(goldens, separators=(",", ":"))
    PATH.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{PATH}: {PATH.stat().st_size} bytes")
