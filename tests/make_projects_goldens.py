"""Writes tests/projects_goldens.json.gz: logits of mmpretrain, moskomule and NVIDIA, in float64.

Run by hand, with generated weights and the projects' own code:

    pip install torch==2.13.0 timm==1.0.31 addict rich termcolor yapf opencv-python-headless
    pip install --no-deps torchvision==0.29.1 mmpretrain==1.2.0
    pip install --no-deps mmengine-lite==0.10.7 mmcv-lite==2.2.0
    git clone https://github.com/moskomule/senet.pytorch
    git clone https://github.com/NVIDIA/DeepLearningExamples
    git -C DeepLearningExamples checkout 3ed70df5e3f661a01e2436a4476bfb76aad17673
    PYTHONPATH=senet.pytorch:DeepLearningExamples/PyTorch/Classification/ConvNets \
        python tests/make_projects_goldens.py
"""

import importlib
import importlib.util
import sys
import types
from functools import cache
from pathlib import Path

import torch

# What torchvision's own library would define; no network here calls it.
for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")

import make_goldens  # noqa: E402
from golden_files import write_goldens  # noqa: E402
from senet.se_resnet import se_resnet50  # noqa: E402

PATH = Path(__file__).parent / "projects_goldens.json.gz"
make_goldens.ENDS = (("", r"layer\d\.\d+\.bn3\.weight$"),)
make_goldens.SIZES = make_goldens.SMALL_SIZES


def folder(package):
    """Where a package is, without what it imports."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


@cache
def mmpretrain():
    """The file of its networks with gates, and what that imports."""
    root = folder("mmpretrain")
    for name in ("mmpretrain", "models", "models.backbones", "models.utils"):
        part = name.removeprefix("mmpretrain")
        name = f"mmpretrain.{part}" if part else name
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(root / part.replace(".", "/"))]
    gates = importlib.import_module("mmpretrain.models.utils.se_layer")
    sys.modules["mmpretrain.models.utils"].SELayer = gates.SELayer
    return importlib.import_module("mmpretrain.models.backbones.seresnet")


class Mmpretrain(torch.nn.Module):
    """mmpretrain's backbone, with what its classifier does in a line."""

    def __init__(self, depth):
        super().__init__()
        # As in its configs/_base_/models/seresnet50.py.
        options = {"num_stages": 4, "out_indices": (3,), "style": "pytorch"}
        self.backbone = mmpretrain().SEResNet(depth, **options)
        self.head = torch.nn.ModuleDict({"fc": torch.nn.Linear(2048, 1000)})

    def forward(self, images):
        return self.head["fc"](self.backbone(images)[-1].mean((2, 3)))


def nvidia():
    """NVIDIA's SE-ResNeXt-101, in the version whose names its checkpoint has."""
    path = folder("image_classification") / "resnet.py"
    spec = importlib.util.spec_from_file_location("nvidia_resnet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_resnet("se-resnext101-32x4d", "fanin", verbose=False)


NETWORKS = {
    "mmpretrain_seresnet50": lambda: Mmpretrain(50),
    "mmpretrain_seresnet101": lambda: Mmpretrain(101),
    "moskomule_seresnet50": se_resnet50,
    "nvidia_seresnext101": nvidia,
}

if __name__ == "__main__":
    goldens = {}
    for name, build in NETWORKS.items():
        goldens[name] = make_goldens.golden(name, build())
        print(f"{name}: float32 costs {goldens[name]['float32_error']} of the largest logit")
    write_goldens(PATH, goldens, NETWORKS)
    print(f"{PATH}: {PATH.stat().st_size} bytes")
