"""What SE blocks do in a trained network: gates by class, their importance, where it looks."""

from keras_se.analysis.figures import (
    class_means_figure,
    class_spread_figure,
    depth_figure,
    paper_blocks,
    paper_classes,
)
from keras_se.analysis.gates import BlockGates, GateAnalysis, analyze_gates
from keras_se.analysis.grad_cam import grad_cam
from keras_se.analysis.importance import BlockImportance, Importance, Loss, importance, paired_loss
from keras_se.analysis.occlusion import occlusion
from keras_se.analysis.prune import Cost, Pruning, prune_se
from keras_se.analysis.report import gate_report, overlay

__all__ = [
    "BlockGates",
    "BlockImportance",
    "Cost",
    "GateAnalysis",
    "Importance",
    "Loss",
    "Pruning",
    "analyze_gates",
    "class_means_figure",
    "class_spread_figure",
    "depth_figure",
    "gate_report",
    "grad_cam",
    "importance",
    "occlusion",
    "overlay",
    "paired_loss",
    "paper_blocks",
    "paper_classes",
    "prune_se",
]
