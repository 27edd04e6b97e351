"""What SE blocks do in a trained network: gates by class, and where it looks."""

from keras_se.analysis.gates import BlockGates, GateAnalysis, analyze_gates
from keras_se.analysis.grad_cam import grad_cam

__all__ = ["BlockGates", "GateAnalysis", "analyze_gates", "grad_cam"]
