"""What SE blocks do in a trained network: their gates by class."""

from keras_se.analysis.gates import BlockGates, GateAnalysis, analyze_gates

__all__ = ["BlockGates", "GateAnalysis", "analyze_gates"]
