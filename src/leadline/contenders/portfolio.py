"""Every contender, by name. A new one is one file and one line here."""

from leadline.contenders.baseline import Baseline
from leadline.contenders.boosting import Boosting
from leadline.contenders.deep import Deep
from leadline.contenders.ebm import Ebm
from leadline.contenders.language_model import LanguageModel
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.contenders.tree import Tree
from leadline.core.contender import Contender, Resources
from leadline.core.kind import CONVOLUTION, DENSE, EMBEDDING, RECURRENT

_ALL = Resources(cpus=None)

PORTFOLIO: dict[str, Contender] = {
    "baseline": Baseline(),
    "linear": Linear(),
    "boosting": Boosting(),
    "ebm": Ebm(),
    "tree": Tree(),
    "ngram": Ngram(),
    "mlp": Deep("mlp", (DENSE,), trunk=True),
    "bag": Deep("bag", (EMBEDDING, CONVOLUTION, DENSE), cheap=True),
    "cnn": Deep("cnn", (CONVOLUTION, EMBEDDING, DENSE), resources=_ALL),
    "crnn": Deep("crnn", (RECURRENT, CONVOLUTION, EMBEDDING, DENSE), resources=_ALL, export_seconds=4.5),
    "lstm": LanguageModel("lstm", weight=1.0, export_seconds=5.0),
    "gpt": LanguageModel("gpt", export_seconds=6.0),
}
