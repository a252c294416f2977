"""ONNX graphs: built, joined, run, and made of trees and of PyTorch modules."""
