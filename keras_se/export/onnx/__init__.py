"""ONNX files, written node by node from Keras's graph, and OpenVINO's, made of them."""
