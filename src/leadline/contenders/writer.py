"""Deep contenders for running text: a Transformer (`gpt`) and an LSTM (`lstm`), trained to foretell the next token.

Their networks are steps (`use/language.py`), trained on random windows of the train part by the one loop, in bfloat16
where a short trial shows it faster, and always scored in float32, the way they ship.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.contender import Data, Fitted, Progress
from leadline.data.store import Store
from leadline.judge.metrics import METRICS
from leadline.use.language import State, bits, nats, stream

if TYPE_CHECKING:
    import onnx
    from torch import nn
