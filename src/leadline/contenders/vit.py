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
    Measured: 10,000 images of cifar10, 45 s each on two busy cores, one seed: 24% of 1,000 test images right, `cnn`
    54%.
    """

    on_request = True

    def __init__(self) -> None:
        architectures = (PATCH_ATTENTION, CONVOLUTION, EMBEDDING, DENSE)
        super().__init__("vit", architectures, resources=Resources(cpus=None))
