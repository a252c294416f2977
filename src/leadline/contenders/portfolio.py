"""Every contender, by name. A new one is one file and one line here."""

from leadline.contenders.baseline import Floor
from leadline.contenders.boosting import Boosting
from leadline.contenders.deep import Deep
from leadline.contenders.ebm import Glassbox
from leadline.contenders.language_model import Writer
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.core.contender import Contender, Resources

_TABULAR = ("number", "category", "time", "list")
_ALL = Resources(cpus=None)

PORTFOLIO: dict[str, Contender] = {
    "floor": Floor(),
    "linear": Linear(),
    "boosting": Boosting(),
    "glassbox": Glassbox(),
    "ngram": Ngram(),
    "mlp": Deep("mlp", needs=("image", "series", *_TABULAR), lacks=("text", "audio")),
    "bag": Deep("bag", needs=("text",), lacks=("image", "audio")),
    "cnn": Deep("cnn", needs=("image", "audio", "series"), lacks=(), resources=_ALL),
    "crnn": Deep("crnn", needs=("audio",), lacks=(), resources=_ALL, export_seconds=4.5),
    "lstm": Writer("lstm", weight=1.0, export_seconds=5.0),
    "gpt": Writer("gpt", export_seconds=6.0),
}
