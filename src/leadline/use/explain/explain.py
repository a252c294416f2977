"""From a model and rows to an `Explanation`: the steps, in order.

1  every row's answer, and which output of it is explained
2  columns: exact effects of trees and of additive models, else Shapley values, exact where they cost little, or
   sampled; and occlusion
3  parts of a column's value: occlusion
4  how far that can be trusted: deletion and insertion curves, and agreement with a second method
5  the model as a whole: permutation importance, and dependence on numbers
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.kind import Scale
from leadline.core.parts import Layout
from leadline.kinds import KINDS
from leadline.metrics.multilabel import JOIN
from leadline.system.cache import cache_folder
from leadline.system.errors import ModelError, SourceError
from leadline.system.os_errors import spoken
from leadline.use.explain import faithfulness, paths, shapley, trees, whole_model
from leadline.use.explain.games import ColumnGame, PartGame, banzhaf, occlusion
from leadline.use.explain.gradients import graded
from leadline.use.explain.layers import HELD, LEARNED, check_layers, depth_of
from leadline.use.explain.records import (
    Agreement,
    ColumnEffect,
    Curve,
    Explanation,
    Margin,
    Method,
    PartEffects,
    PathEffects,
    RowExplanation,
)
from leadline.use.explain.sample import Sample, alone, in_a_line, is_joint, read_sample
from leadline.use.explain.scorer import Scorer

if TYPE_CHECKING:
    from leadline.use.model import Model

CHECKED, CHECKED_JOINT = 16, 32  # rows by which an explanation is checked
AGREED = 8  # rows on which a second method is asked
MASKS = 128  # random sets of parts of each of these
MOST_PLAYERS = 24  # columns that are players by themselves; the others are one player together
MOST_COLUMNS = 64  # whose importance is measured
COMPARED, COMPARED_COSTLY = 16, 4  # rows from which a column that is removed takes its values
VARIANTS = 1_000  # changed rows of one row, about, for the occlusion of its columns
DEPENDED = 4  # columns whose curve is drawn


def explain_source(
    model: Model, source: Any, rows: Sequence[int] | None, layers: bool, cache: str | Path | None, gradients: bool
) -> Explanation:  # fmt: skip
    """`Model.explain`."""
    check_task(model)
    place = Path(cache) if cache else cache_folder()
    with spoken(cache=place, out=place):
        read = read_sample(model, source, rows, place)
        if (why := alone(model, read)) is not None:
            raise SourceError(why)
        halves = _halves(read_sample(model, source, None, place, LEARNED + HELD)) if layers else None
        if halves is not None:
            check_layers(model, *halves)
        found = explain(model, read, effort=Effort(gradients=graded(model, gradients, len(read.shown))))
        return found if halves is None else dataclasses.replace(found, depth=depth_of(model, *halves))


def _halves(sample: Sample) -> tuple[Sample, Sample]:
    """Rows to fit the probes of layers by, and rows to measure them by."""
    order = np.random.default_rng(0).permutation(len(sample.rows))
    cut = len(order) * LEARNED // (LEARNED + HELD)
    return sample.subset(np.sort(order[:cut])), sample.subset(np.sort(order[cut:]))


def check_task(model: Model) -> None:
    """Refuse a language model."""
    if model.task.generative:
        raise ModelError(
            f"{model.path.name} is a language model; leadline explain reads models that predict a column, and leadline "
            "generate shows what this one has learned."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is computed for an explanation. Half of `checked` where an answer costs much."""

    checked: int = CHECKED_JOINT
    agreed: int = AGREED
    masks: int = MASKS
    sets: bool = True  # of columns are all answered, where they are few
    gradients: bool = False  # of a network, by PyTorch

    def rows(self, joint: bool) -> int:
        """Rows by which it is checked."""
        return self.checked if joint else self.checked * CHECKED // CHECKED_JOINT


FULL = Effort()


def explain(
    model: Model, sample: Sample, seed: int = 0, effort: Effort = FULL, until: float = math.inf
) -> Explanation:  # fmt: skip
    """Explain the rows of a sample that are to be shown, and the model as a whole.

    Raises OutOfTimeError where the monotonic moment `until` comes before the end.
    """
    return _Explaining(model, sample, seed, effort, until).explanation()


class _Explaining:
    """What the steps share."""

    def __init__(self, model: Model, sample: Sample, seed: int, effort: Effort, until: float) -> None:
        self.model, self.sample, self.seed, self.effort = model, sample, seed, effort
        self.scorer = Scorer(model, until)
        self.columns, self.inputs = self.scorer.columns, model.contract["inputs"]
        self.joint = is_joint(model)
        self.places = sample.chosen(max(len(sample.shown), self._most))
        self.rows = [sample.rows[place] for place in self.places]
        self.scores = self.scorer.scores(self.rows)
        self.outputs = self.scorer.chosen(self.scores).tolist()
        self.checked = [i for i, place in enumerate(self.places) if place in set(sample.chosen(self._most).tolist())]
        rng = np.random.default_rng(seed)
        some = COMPARED if self.joint else COMPARED_COSTLY
        count = int(np.clip(VARIANTS // len(self.columns), 2, some))
        self.others = [sample.rows[i] for i in rng.permutation(len(sample.rows))[:count]]
        self.paths: dict[int, PathEffects] = {}
        self.curves: list[Curve] = []
        self.agreements: list[Agreement] = []

    @property
    def _most(self) -> int:
        return self.effort.rows(self.joint)

    def explanation(self) -> Explanation:
        effects, found = self._columns()
        parts = self._parts()
        if self.effort.gradients:
            self._add_paths(effects, parts, found.method)
        shown = set(self.sample.shown.tolist())
        rows = [self._row(i, effects[i], parts[i]) for i in range(len(self.rows)) if int(self.places[i]) in shown]
        wanted = self._strongest(effects, MOST_COLUMNS)
        importances = whole_model.importances(self.scorer, self.sample.rows, self.sample.labels, wanted, self.seed)
        contract = self.model.contract
        return Explanation(
            model=str(self.model.path), contender=contract.get("contender", ""), task=contract["task"],
            target=contract["target"], numeric=self.scorer.task.numeric, source=self.sample.name,
            called=self.sample.called, total=self.sample.total, compared=len(self.sample.rows), method=found.method,
            margin=found.margin or (Margin.VALUE if self.scorer.task.numeric else Margin.LOG_ODDS),
            against=found.against, replaced=len(self.others), additive_error=found.error, rounding=found.rounding,
            output=None if self.scorer.task.numeric else self.scorer.task.classes[self._usual()],
            loss=whole_model.loss_of(self.scorer, self.sample.labels), rows=tuple(rows), importances=importances,
            dependences=self._dependences([each.column for each in importances]), curves=tuple(self.curves),
            agreements=tuple(self.agreements), answered=self.scorer.calls,
        )  # fmt: skip

    def _columns(self) -> tuple[list[list[ColumnEffect]], shapley.Found]:
        """The effects of each row's columns, strongest first."""
        if len(self.columns) == 1:
            return self._only_column()
        games = [ColumnGame(row=row, groups=[[name] for name in self.columns], others=self.others) for row in self.rows]
        removed, rows = occlusion(self.scorer, games, self.outputs), self.sample.rows
        exact = trees.effects(self.model, self.sample, self.places, self.outputs, self.scorer.until)
        if exact is None:
            exact = shapley.additive(self.scorer, rows, self.places, self.outputs, removed, self.others)
        affordable = shapley.affordable(len(self.rows), len(self.columns), len(rows), self.joint)
        if exact is None and self.effort.sets and affordable:
            exact = shapley.of_all_sets(self.scorer, self.rows, self.outputs, rows)
        if exact is not None:
            groups = [self._players(each.effects) for each in exact.rows]
            found = dataclasses.replace(
                exact, rows=[self._grouped(own, each) for own, each in zip(groups, exact.rows, strict=True)]
            )
        else:
            groups = [self._players(each) for each in removed]
            found = shapley.sampled(self.scorer, self.rows, self.outputs, groups, rows, seed=self.seed)
        self.found = found.rows
        effects = [
            self._effects(i, groups[i], found.rows[i], removed[i], exact is not None) for i in range(len(self.rows))
        ]
        self._check_columns(groups, [each.effects for each in found.rows], found.method)
        return effects, found

    def _grouped(self, groups: list[list[str]], found: shapley.Shapley) -> shapley.Shapley:
        """Effects of columns as those of groups."""
        place = {name: position for position, name in enumerate(self.columns)}
        sums = np.array([found.effects[[place[name] for name in group]].sum() for group in groups])
        return dataclasses.replace(found, effects=sums, half=np.zeros(len(groups)))

    def _only_column(self) -> tuple[list[list[ColumnEffect]], shapley.Found]:
        """Of a model with one column: all of the margin is its."""
        scores = self.scorer.scores(self.sample.rows)
        self.found = []
        margins = self.scorer.margin(self.scores, np.array(self.outputs))
        for i, margin in enumerate(margins):
            base = float(self.scorer.margin(scores, np.full(len(scores), self.outputs[i])).mean())
            whole = np.array([margin - base])
            self.found.append(shapley.Shapley(effects=whole, half=np.zeros(1), margin=float(margin), base=base))
        name = self.columns[0]
        effects = [
            [ColumnEffect(columns=(name,), value=self._value(i, name), effect=float(each.effects[0]), low=None,
                          high=None, occlusion=float(each.effects[0]))]
            for i, each in enumerate(self.found)
        ]  # fmt: skip
        return effects, shapley.Found(rows=self.found, method=Method.OCCLUSION, against=len(scores))

    def _players(self, removed: np.ndarray) -> list[list[str]]:
        """Columns that are players by themselves, the strongest, and the others as one."""
        order = np.argsort(-np.abs(removed), kind="stable")
        if len(order) <= MOST_PLAYERS:
            return [[name] for name in self.columns]
        alone = [[self.columns[i]] for i in order[: MOST_PLAYERS - 1]]
        return [*alone, [self.columns[i] for i in order[MOST_PLAYERS - 1 :]]]

    def _effects(
        self, i: int, groups: list[list[str]], found: shapley.Shapley, removed: np.ndarray, exact: bool
    ) -> list[ColumnEffect]:  # fmt: skip
        place = {name: position for position, name in enumerate(self.columns)}
        effects = [
            ColumnEffect(
                columns=tuple(group), value=self._value(i, group[0]) if len(group) == 1 else "",
                effect=float(found.effects[j]), low=None if exact else float(found.effects[j] - found.half[j]),
                high=None if exact else float(found.effects[j] + found.half[j]),
                occlusion=float(sum(removed[place[name]] for name in group)),
            )
            for j, group in enumerate(groups)
        ]  # fmt: skip
        return sorted(effects, key=lambda each: (len(each.columns) > 1, -abs(each.effect)))

    def _value(self, i: int, name: str) -> str:
        """A value as it is written, for a line."""
        written = self.sample.written[name][int(self.places[i])]
        return in_a_line(written) if written is None or KINDS[self.inputs[name]["kind"]].listed else ""

    def _check_columns(self, groups: list[list[list[str]]], effects: list[np.ndarray], method: Method) -> None:
        """Curves of the columns, and whether occlusion ranks them alike."""
        games = [
            ColumnGame(row=self.rows[i], groups=groups[i], others=self.others[:COMPARED_COSTLY]) for i in self.checked
        ]
        own, outputs = [effects[i] for i in self.checked], [self.outputs[i] for i in self.checked]
        self.curves += faithfulness.curves(self.scorer, games, own, outputs, seed=self.seed)
        # Ranked apart from the values by which the first method was computed: the same would agree too easily.
        if not self.effort.agreed:
            return
        others = [self.sample.rows[i] for i in np.random.default_rng(self.seed + 1).permutation(len(self.sample.rows))]
        fresh = [ColumnGame(row=game.row, groups=game.groups, others=others[: len(self.others)]) for game in games]
        removed = occlusion(self.scorer, fresh, outputs)
        methods = (method, Method.OCCLUSION)
        self.agreements += faithfulness.agreement(own, removed, methods)

    def _parts(self) -> list[list[PartEffects]]:
        """The effects of the parts of each row's values, for every column that has parts."""
        found: list[list[PartEffects]] = [[] for _ in self.rows]
        for name in self.columns:
            kind = KINDS[self.inputs[name]["kind"]]
            ways = [kind.parts(row[name], self.inputs[name]["decode"]) for row in self.rows]
            for way in range(max(map(len, ways))):
                parts = [each[way] for each in ways]
                if all(each.layout is Layout.WHOLE for each in parts):
                    continue
                games = [PartGame(row=row, column=name, parts=own) for row, own in zip(self.rows, parts, strict=True)]
                effects = occlusion(self.scorer, games, self.outputs)
                for i, (own, effect) in enumerate(zip(parts, effects, strict=True)):
                    found[i].append(
                        PartEffects(
                            column=name, kind=kind.name, layout=own.layout, names=own.names, shape=own.shape,
                            edges=own.edges, effects=effect, value=self.rows[i][name],
                            settings=self.inputs[name]["decode"],
                        )
                    )  # fmt: skip
                self._check_parts(name, parts[0].layout, games, effects)
        return found

    def _check_parts(self, name: str, layout: Layout, games: Sequence[PartGame], effects: Sequence[np.ndarray]) -> None:
        """Curves of the parts, and whether Banzhaf values from random sets rank them alike."""
        chosen = [i for i in self.checked if games[i].size > 1]
        own, outputs = [effects[i] for i in chosen], [self.outputs[i] for i in chosen]
        checked = [games[i] for i in chosen]
        self.curves += faithfulness.curves(self.scorer, checked, own, outputs, name, layout, self.seed)
        if not (some := self.effort.agreed):
            return
        second = banzhaf(self.scorer, checked[:some], outputs[:some], self.effort.masks, self.seed)
        methods = (Method.OCCLUSION, Method.BANZHAF)
        self.agreements += faithfulness.agreement(own[:some], second, methods, name, layout)

    def _add_paths(
        self, effects: list[list[ColumnEffect]], parts: list[list[PartEffects]], method: Method
    ) -> None:  # fmt: skip
        """Integrated gradients of the rows to show, and whether they rank columns and parts as the other methods do."""
        shown = set(self.sample.shown.tolist())
        rows = [i for i in range(len(self.rows)) if int(self.places[i]) in shown]
        numbers, outputs = [int(self.places[i]) for i in rows], [self.outputs[i] for i in rows]
        found = paths.along(self.model, self.sample, numbers, outputs)
        self.paths = {i: each.effects for i, each in zip(rows, found, strict=True)}
        for i, own in zip(rows, found, strict=True):
            parts[i] += own.parts
        for name in self.columns:
            for first in [each for each in parts[rows[0]] if each.column == name and each.method is Method.OCCLUSION]:
                pairs = [paths.pair(parts[i], name, first.layout) for i in rows]
                known = [pair for pair in pairs if pair is not None]
                methods = (Method.OCCLUSION, Method.GRADIENTS)
                self.agreements += faithfulness.agreement(
                    [a for a, _ in known], [b for _, b in known], methods, name, first.layout
                )
        if len(self.columns) > 1:
            ranked = [np.array([each.effect for each in effects[i] if len(each.columns) == 1]) for i in rows]
            names = [[each.columns[0] for each in effects[i] if len(each.columns) == 1] for i in rows]
            other = [
                np.array([self.paths[i].columns[name] for name in mine]) for i, mine in zip(rows, names, strict=True)
            ]
            self.agreements += faithfulness.agreement(ranked, other, (method, Method.GRADIENTS))

    def _row(self, i: int, columns: list[ColumnEffect], parts: list[PartEffects]) -> RowExplanation:
        place, task, output = int(self.places[i]), self.scorer.task, self.outputs[i]
        truth = self._truth(place)
        predicted = None if task.numeric else str(task.predicted(self.scores[i : i + 1])[0])
        prose = [name for name in self.columns if KINDS[self.inputs[name]["kind"]].prose]
        texts = [str(self.rows[i][name]) for name in prose if self.rows[i][name]]
        return RowExplanation(
            row=int(self.sample.numbers[place]),
            source_row=None if self.sample.origins is None else int(self.sample.origins[place]),
            output=None if task.numeric else task.classes[output], predicted=predicted, truth=truth,
            right=None if predicted is None or truth is None else predicted == truth,
            answer=float(self.scorer.chance(self.scores[i : i + 1], np.array([output]))[0]),
            margin=self.found[i].margin, base=self.found[i].base, columns=tuple(columns), parts=tuple(parts),
            text="\n".join(texts)[:1_000] or None, path=self.paths.get(i),
        )  # fmt: skip

    def _truth(self, place: int) -> str | None:
        labels, task = self.sample.labels, self.scorer.task
        if labels is None:
            return None
        label: Any = labels[place]
        if task.numeric:
            return f"{label:,.6g}"
        if task.multilabel:
            return JOIN.join(name for name, there in zip(task.classes, label, strict=True) if there)
        return task.classes[label] if label >= 0 else None

    def _strongest(self, effects: list[list[ColumnEffect]], count: int) -> list[str]:
        """Columns by their mean effect on the rows, either way."""
        total = dict.fromkeys(self.columns, 0.0)
        for row in effects:
            for each in row:
                for name in each.columns:
                    total[name] += abs(each.effect) / len(each.columns)
        return sorted(total, key=lambda name: -total[name])[:count]

    def _dependences(self, ranked: Sequence[str]) -> tuple[Any, ...]:
        """Curves of the most important numbers: of the value, or of the class that is explained most often."""
        numbers = [name for name in ranked if KINDS[self.inputs[name]["kind"]].scale is Scale.NUMERIC][:DEPENDED]
        found = [whole_model.dependence(self.scorer, self.sample.rows, name, self._usual()) for name in numbers]
        return tuple(each for each in found if each is not None)

    def _usual(self) -> int:
        """The output that is explained most often."""
        return int(np.bincount(self.outputs).argmax())
