"""Every contender, by name. A new one is one file and one line here."""

from leadline.contenders.baseline import Baseline
from leadline.contenders.boosting import Boosting
from leadline.contenders.deep import Deep
from leadline.contenders.ebm import Ebm
from leadline.contenders.finetuned import Finetuned
from leadline.contenders.language_model import LanguageModel
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.contenders.pretrained import Pretrained
from leadline.contenders.tree import Tree
from leadline.contenders.vit import VisionTransformer
from leadline.core.contender import Contender, Resources
from leadline.core.kind import CONVOLUTION, DENSE, EMBEDDING, RECURRENT, TOKEN_ATTENTION, TOKEN_PASSES

_ALL = Resources(cpus=None)
_AND = (CONVOLUTION, EMBEDDING, DENSE)
# They take ten times as long as a bag for an answer that is seldom better (docs/decisions/0082).
_LONG, _SHARE = 120.0, 1.5

PORTFOLIO: dict[str, Contender] = {
    "baseline": Baseline(),
    "linear": Linear(),
    "boosting": Boosting(),
    "ebm": Ebm(),
    "tree": Tree(),
    "ngram": Ngram(),
    "mlp": Deep("mlp", (DENSE,), trunk=True),
    "bag": Deep("bag", (EMBEDDING, CONVOLUTION, DENSE), cheap=True),
    "transformer": Deep("transformer", (TOKEN_ATTENTION, *_AND), cheap=True, weight=_SHARE, least_budget=_LONG),
    "rnn": Deep("rnn", (TOKEN_PASSES, *_AND), cheap=True, weight=_SHARE, least_budget=_LONG),
    "cnn": Deep("cnn", (CONVOLUTION, EMBEDDING, DENSE), resources=_ALL),
    "crnn": Deep("crnn", (RECURRENT, CONVOLUTION, EMBEDDING, DENSE), resources=_ALL, export_seconds=4.5),
    "vit": VisionTransformer(),
    "pretrained": Pretrained(),
    "finetuned": Finetuned(),  # after it: what it leaves of its seconds is the longer training's
    "lstm": LanguageModel("lstm", weight=1.0, export_seconds=5.0),
    "gpt": LanguageModel("gpt", export_seconds=6.0),
}
