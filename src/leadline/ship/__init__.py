"""From a trained contender to one ONNX file that gives the same answers."""
