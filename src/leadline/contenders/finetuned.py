"""Fine-tuning: a pretrained body is trained further on the train rows (`finetuning.py`).

It races where one column has a body that can be trained, and where the time is enough to learn from some thousand rows.
It does not pay where a minute has to be enough: a linear model on the frozen states is there in seconds. Measured for
texts on some thousand rows, for pictures on a hundred a class (docs/decisions/0096, 0114); for fewer it was not.
"""

from __future__ import annotations

from collections.abc import Iterator

from leadline.contenders.blend import VIEWS
from leadline.contenders.families import DEEP
from leadline.contenders.features import layout
from leadline.contenders.finetuning import LEARNED, FinetuningRun
from leadline.contenders.network_run import trained
from leadline.contenders.states import Reader, readers
from leadline.core.contender import Contender, Data, Fitted, Progress, Resources, State
from leadline.core.tensors import Tensors
from leadline.system.resources import most_threads

START = 15.0  # seconds to begin


class Finetuned(Contender):
    name = "finetuned"
    family = DEEP
    resources = Resources(cpus=None, memory=1.0)
    pretrained = True
    weight = 6.0
    export_seconds = 5.0
    row_seconds = 3e-3  # where nobody has measured it

    def inputs(self, store: Tensors) -> list[str]:
        reader = trainable(store)
        return [] if reader is None else list(dict.fromkeys([reader.tensor, *layout(store, VIEWS).tensors]))

    def answer_seconds(self, store: Tensors) -> float:
        reader = trainable(store)
        pace = None if reader is None else reader.pace(store)
        return self.row_seconds if pace is None else pace[1] / most_threads()

    def seconds_needed(self, store: Tensors) -> float:
        reader, split = trainable(store), store.split
        assert reader is not None
        rows = min(len(split.train), LEARNED) + len(split.valid) + len(split.test) + len(split.calib)
        return START + reader.found.body.training_s(reader.found.folder, reader.block) * rows

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        from leadline.system.device import CPU, exact

        reader = trainable(data.store)
        assert reader is not None
        with exact(CPU):
            yield from trained(lambda: FinetuningRun(data, seed, reader), state)


def trainable(store: Tensors) -> Reader | None:
    """The block whose body can be trained, where there is one such."""
    found = [reader for reader in readers(store) if reader.found.body.trainable is not None]
    return found[0] if len(found) == 1 else None
