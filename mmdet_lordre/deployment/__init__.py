"""Models for inference: what makes them faster, and ONNX."""
