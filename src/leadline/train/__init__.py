"""The training loop and its parts. The package itself can be called: `ll.train(module, data, ...)`.

Importing any module of a package makes the package an attribute of its parent, so `leadline.train` cannot be a
function only. It is both: called, it is `leadline.train.api.train`, which says what it takes.
"""

from __future__ import annotations

import sys
from inspect import Signature, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadline.train.api import Trained


class _Callable(ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Trained:
        # PyTorch is imported when something is trained, not before.
        from leadline.train.api import train

        return train(*args, **settings)

    @property
    def __signature__(self) -> Signature:
        from leadline.train.api import train

        return signature(train)


sys.modules[__name__].__class__ = _Callable
train = sys.modules[__name__]  # what `leadline.__getattr__` finds here, the first time
