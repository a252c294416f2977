"""The shipped file alone: ONNX Runtime and NumPy, no Leadline.

leadline fit digits --budget 30s --out digits-run
python examples/onnx_without_leadline.py digits-run/model.onnx
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from sklearn.datasets import load_digits

session = ort.InferenceSession(sys.argv[1])
contract = json.loads(session.get_modelmeta().custom_metadata_map["leadline.contract"])
print("takes", contract["inputs"], "and answers", contract["task"], contract["classes"])

images = (load_digits().images * 15).astype(np.uint8)[:5, :, :, None]  # [rows, height, width, channels]
labels, probabilities = session.run(None, {"image": images})
print(labels.tolist(), probabilities.max(axis=1).round(3))
