"""Every contender, by name. A new one is one file and one line here."""

from leadline.contenders.baseline import Floor
from leadline.contenders.boosting import Boosting
from leadline.contenders.deep import Deep
from leadline.contenders.ebm import Glassbox
from leadline.contenders.language_model import Writer
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.core.contender import Contender

_TABULAR = ("number", "category", "time", "list")

PORTFOLIO: dict[str, Contender] = {
    "floor": Floor(),
    "linear": Linear(),
    "boosting": Boosting(),
    "glassbox": Glassbox(),
    "ngram": Ngram(),
    "mlp": Deep("mlp", needs=("image", "series", *_TABULAR), lacks=("text", "audio"), cores="one"),
    "bag": Deep("bag", needs=("text",), lacks=("image", "audio"), cores="one"),
    "cnn": Deep("cnn", needs=("image", "audio", "series"), lacks=(), cores="all"),
    "crnn": Deep("crnn", needs=("audio",), lacks=(), cores="all"),
    "lstm": Writer("lstm"),
    "gpt": Writer("gpt"),
}
