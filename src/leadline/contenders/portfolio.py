"""Every contender, by name. A new one is one file and one line here."""

from leadline.contenders.baseline import Floor
from leadline.contenders.boosting import Boosting
from leadline.contenders.deep import Deep
from leadline.contenders.ebm import Glassbox
from leadline.contenders.language_model import Writer
from leadline.contenders.linear import Linear
from leadline.contenders.ngram import Ngram
from leadline.core.contender import Contender
from leadline.core.kind import CONVOLUTION, DENSE, EMBEDDING, RECURRENT

PORTFOLIO: dict[str, Contender] = {
    "floor": Floor(),
    "linear": Linear(),
    "boosting": Boosting(),
    "glassbox": Glassbox(),
    "ngram": Ngram(),
    "mlp": Deep("mlp", (DENSE,), cores="one", trunk=True, cheap=False),
    "bag": Deep("bag", (EMBEDDING, CONVOLUTION, DENSE), cores="one", trunk=False, cheap=True),
    "cnn": Deep("cnn", (CONVOLUTION, EMBEDDING, DENSE), cores="all", trunk=False, cheap=False),
    "crnn": Deep("crnn", (RECURRENT, CONVOLUTION, EMBEDDING, DENSE), cores="all", trunk=False, cheap=False),
    "lstm": Writer("lstm"),
    "gpt": Writer("gpt"),
}
