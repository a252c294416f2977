"""Every flaw that the scan searches for, in the order of the search and of the report. A new one is a line here."""

from typing import Any

from leadline.flaws.covariate_shift import CovariateShift
from leadline.flaws.detector import Detector
from leadline.flaws.group_leakage import GroupLeakage
from leadline.flaws.label_errors import LabelErrors
from leadline.flaws.near_duplicates import NearDuplicates
from leadline.flaws.rare_classes import RareClasses
from leadline.flaws.spurious_features import SpuriousFeatures
from leadline.flaws.target_leakage import TargetLeakage
from leadline.flaws.temporal_drift import TemporalDrift

FLAWS: dict[str, Detector[Any]] = {
    each.name: each
    for each in (
        NearDuplicates(), TargetLeakage(), SpuriousFeatures(), GroupLeakage(), TemporalDrift(), LabelErrors(),
        CovariateShift(), RareClasses(),
    )
}  # fmt: skip

__all__ = ["FLAWS"]
