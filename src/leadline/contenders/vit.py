"""A vision transformer from scratch, which races on request (`--only vit`).

Images alone, or beside anything, as `cnn` reads them; the body is `nets/vit.py`.
"""

from __future__ import annotations

from leadline.contenders.deep import Deep
from leadline.core.contender import Resources
from leadline.core.kind import CONVOLUTION, DENSE, EMBEDDING, PATCH_ATTENTION


class VisionTransformer(Deep):
    """Attention over patches, trained on the rows of the run alone.

    It does not pay where images are thousands and time is minutes: it has to learn from data that neighbours belong
    together, which a convolution knows (Dosovitskiy et al. 2021 find it behind up to some ten million images).
    Measured (benchmarks/transfer.py): 10,000 images of cifar10, 60 s each on one core, two seeds: 42% of the test
    images right, `cnn` 77%.
    """

    on_request = True

    def __init__(self) -> None:
        architectures = (PATCH_ATTENTION, CONVOLUTION, EMBEDDING, DENSE)
        super().__init__("vit", architectures, resources=Resources(cpus=None))
