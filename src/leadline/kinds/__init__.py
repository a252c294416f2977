"""Every kind of column, in the order in which they are tried on an unknown one."""

from leadline.core.kind import Kind
from leadline.kinds.audio.kind import Audio
from leadline.kinds.category import Category
from leadline.kinds.image.kind import Image
from leadline.kinds.number import Number
from leadline.kinds.series.kind import Series
from leadline.kinds.tags import Lists
from leadline.kinds.text.kind import Text
from leadline.kinds.time import Time
from leadline.kinds.tokens import Tokens

KINDS: dict[str, Kind] = {
    "audio": Audio(),
    "image": Image(),
    "series": Series(),
    "number": Number(),
    "time": Time(),
    "list": Lists(),
    "text": Text(),
    "category": Category(),
    "tokens": Tokens(),
}

__all__ = ["KINDS", "Kind"]
