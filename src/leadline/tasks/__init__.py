"""Every task, by name. A new one is one class in a file here and one line in this dict."""

from collections.abc import Mapping
from typing import Any

from leadline.core.task import Task
from leadline.system.errors import LeadlineError
from leadline.tasks.classification import Binary, Classification, Multiclass
from leadline.tasks.language import Language
from leadline.tasks.multilabel import Multilabel
from leadline.tasks.regression import Regression

TASKS: dict[str, type[Task]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "multilabel": Multilabel,
    "regression": Regression,
    "language": Language,
}


def task_of(facts: Mapping[str, Any]) -> Task:
    """The task that `Task.as_dict` or a contract kept, which need not say more than its name and classes.

    Raises LeadlineError where the name is not known.
    """
    if facts["name"] not in TASKS:
        raise LeadlineError(
            f"The task {facts['name']!r} is not known to this Leadline, which knows {', '.join(TASKS)}; update it, or "
            "import the module that adds the task."
        )
    return TASKS[facts["name"]](
        target=facts.get("target"), classes=tuple(facts["classes"]), metric=facts.get("metric", "")
    )


__all__ = [
    "TASKS", "Binary", "Classification", "Language", "Multiclass", "Multilabel", "Regression", "Task", "task_of",
]  # fmt: skip
