"""A result.json of an earlier version, in the keys and names of today's.

Enters: what the file of a run holds. Leaves: the same as a `ResultV2`. Values stay; a key that the run did not write
stays absent, unless it says what older runs were all like.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from leadline.contenders.families import DEEP
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.records import RESULT_VERSION, Measure, Side, Verdict
from leadline.kinds import FORMER
from leadline.race.history import FORMER_ENDINGS, FORMER_FACTS

__all__ = ["NewerResultError", "upgraded"]


def _pairs(*pairs: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in pairs)


CONTENDERS = {contender.formerly: name for name, contender in PORTFOLIO.items() if contender.formerly}
FLAWS = _pairs(
    "twins:near_duplicates",
    "labels:label_errors",
    "leak:target_leakage",
    "trace:spurious_features",
    "groups:group_leakage",
    "time:temporal_drift",
    "drift:covariate_shift",
    "rare:rare_classes",
)
CODES = _pairs("first_round:first_repeat")  # of contenders without a score
KEYS = _pairs("test_openings:test_evaluations", "rounds_run:repeats_run", "looked_for:searched_for")
VERDICT = _pairs("rounds:repeats", "settle_rounds:settle_repeats")
NEEDS = _pairs("asked:conditions", "ruled_out:excluded", "price:cost")
REPEAT = _pairs("number:repeat")
SAMPLE = _pairs("unit:token_unit", "text:passage")
FLAW = _pairs(
    "says:message",
    "shown:examples",
    "price:impact",
    "across:test_duplicates",
    "unlike:conflicting_labels",
    "learned:training_impact",
    "tied:file_properties",
)
EXAMPLE = _pairs("twin:duplicate_of", "said:suggested_label")
WITHOUT: dict[str, Any] = {
    "epochs": None,
    "needs": None,
    "sides": None,
    "within": [],
    "repeats_run": [],
    "flaws": [],
    "searched_for": [],
}


class NewerResultError(Exception):
    """The version of Leadline that wrote a result which this one does not know."""


def upgraded(written: Mapping[str, Any]) -> dict[str, Any]:
    """The result with today's keys and names.

    Raises:
        NewerResultError: where a newer version wrote it.

    Example:
        >>> found = upgraded({"verdict": {"answer": "tie", "rounds": 3}, "test_openings": 1})
        >>> found["verdict"]["repeats"], found["test_evaluations"], found["schema_version"]
        (3, 1, 2)
    """
    version = written.get("schema_version", 1)
    if version > RESULT_VERSION:
        raise NewerResultError(f"Leadline {written.get('leadline')} (schema {version})")
    if version == RESULT_VERSION:
        return {"chosen": _chosen(written), **written}
    result = {"schema_version": RESULT_VERSION, **WITHOUT, **_renamed(written, KEYS)}
    result["contenders"] = [_contender(each) for each in written.get("contenders", ())]
    result["columns"] = [
        {**each, "kind": FORMER.get(each["kind"], each["kind"])} for each in written.get("columns", ())
    ]
    result["verdict"] = _verdict(written["verdict"])
    result["within"] = [_named(each, ("first", "second")) for each in result["within"]]
    result["flaws"] = [_flaw(each) for each in result["flaws"]]
    for each in ("calibration", "needs"):
        if written.get(each):
            result[each] = _renamed(written[each], CONTENDERS if each == "calibration" else NEEDS)
    if result["needs"]:
        result["needs"]["excluded"] = _renamed(result["needs"]["excluded"], CONTENDERS)
    result["repeats_run"] = [
        {**_renamed(each, REPEAT), "scores": _renamed(each["scores"], CONTENDERS)}
        for each in result["repeats_run"]
    ]  # fmt: skip
    if written.get("ended"):
        code = written["ended"]["code"]
        result["ended"] = {**written["ended"], "code": FORMER_ENDINGS.get(code, code)}
    if written.get("shipped"):
        result["shipped"] = _shipped(written["shipped"])
    if written.get("conformal"):
        result["conformal"] = _renamed(written["conformal"], {"seen": "observed"})
    if written.get("expected"):
        reasons = [_renamed(each, {"found": "finding"}) for each in written["expected"].get("reasons", ())]
        result["expected"] = {**_renamed(written["expected"], {"sure": "confidence"}), "reasons": reasons}
    return {"chosen": _chosen(result), **result}


def _chosen(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who stands for a family or a side: the metric alone chose before a result had `chosen`."""
    best: dict[str, Mapping[str, Any]] = {}
    sign = 1.0 if result.get("higher_is_better", True) else -1.0
    for each in result.get("contenders", ()):
        known = PORTFOLIO.get(each["name"])
        if known is None or known.baseline or each.get("valid_score") is None or each.get("score") is None:
            continue
        side = Side.PRETRAINED if known.pretrained or "init" in each else Side.SCRATCH
        for of in [each["family"], *([side] if each["family"] == DEEP else [])]:
            if of not in best or sign * each["valid_score"] > sign * best[of]["valid_score"]:
                best[of] = each
    return [{"of": of, "contender": each["name"], "by": Measure.METRIC} for of, each in best.items()]


def _renamed(record: Mapping[str, Any], names: Mapping[Any, str]) -> dict[str, Any]:
    """A record by other keys, in the same order."""
    return {names.get(key, key): value for key, value in record.items()}


def _named(record: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """A record whose values at these keys are contenders."""
    return {key: CONTENDERS.get(value, value) if key in keys else value for key, value in record.items()}


def _contender(record: Mapping[str, Any]) -> dict[str, Any]:
    record = _named(_renamed(record, FORMER_FACTS), ("name", "family"))  # a family had the name of its one contender
    return {**record, "code": CODES.get(record.get("code") or "", record.get("code"))}


def _verdict(record: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(Verdict)}
    renamed = _named(_renamed(record, VERDICT), ("winner", "against"))
    return {key: value for key, value in renamed.items() if key in known}


def _flaw(record: Mapping[str, Any]) -> dict[str, Any]:
    flaw = _renamed(record, FLAW)
    flaw["name"] = FLAWS.get(flaw["name"], flaw["name"])
    flaw["examples"] = [_renamed(each, EXAMPLE) for each in flaw.get("examples", ())]
    for key in ("impact", "training_impact"):
        if flaw.get(key):
            flaw[key] = _named(flaw[key], ("of",))
    return flaw


def _shipped(record: Mapping[str, Any]) -> dict[str, Any]:
    shipped = _named(record, ("contender",))
    if shipped.get("sample"):
        shipped["sample"] = _renamed(shipped["sample"], SAMPLE)
    return shipped
