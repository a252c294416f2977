"""Whatever is given to a public function, it answers, or says in one sentence what it expected."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline.cache import clear
from leadline.cache import list as entries
from leadline.config import Settings
from leadline.shrink.limits import ShrinkSettings
from leadline.system.arguments import checked

WRONG = (5, 1.5, None, [], {}, b"x", True, object(), ("a",), lambda: 0, "", "no/such/place")
OWN = ("train", "trace")  # they read modules and tensors, and have words of their own for what is none
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "fit": (ll.fit, ("no.csv",), {}),
    "check": (ll.check, ("no.csv",), {}),
    "explain": (ll.explain, ("no",), {}),
    "learning_curves": (ll.learning_curves, (None,), {}),
    "list_runs": (ll.list_runs, ("no",), {}),
    "open_run": (ll.open_run, ("no",), {}),
    "load": (ll.load, ("no",), {}),
    "replay": (ll.replay, ("no",), {}),
    "resume": (ll.resume, ("no",), {}),
    "cache.list": (entries, ("no",), {}),
    "cache.clear": (clear, ("no",), {}),
}


@pytest.fixture(scope="module")
def run(mixed: Any, tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    place = tmp_path_factory.mktemp("runs") / "run"
    return ll.fit(mixed(200), target="y", only="linear", epochs=1, repeats=1, out=place)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _cases(function: Callable[..., Any], args: tuple[Any, ...], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every argument in turn as each of the wrong values, the others as they are."""
    parameters = [each for each in inspect.signature(function).parameters.values() if each.kind is not each.VAR_KEYWORD]
    given = dict(zip([each.name for each in parameters], args, strict=False)) | known
    for each in parameters:
        for value in WRONG:
            yield {**given, each.name: value}


def _answers(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """It may answer, and fails with a sentence alone."""
    try:
        found = function(**given)
        if inspect.isgenerator(found):
            list(found)
    except ll.LeadlineError as error:
        assert str(error).strip() and "\n" not in str(error)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_public_function_has_a_sentence_for_every_wrong_type(name: str) -> None:
    for given in _cases(*CALLS[name]):
        _answers(CALLS[name][0], given)


@pytest.mark.parametrize("settings", [Settings, ShrinkSettings])
def test_settings_have_a_sentence_for_every_wrong_type(settings: Callable[..., Any]) -> None:
    for given in _cases(settings, (), {}):
        _answers(settings, given)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_and_its_model_have_a_sentence_for_every_wrong_type(run: ll.Run) -> None:
    model = run.model
    for function, args in (
        (ll.Model, ("no.onnx",)), (model.predict, ("no.csv",)), (model.predict_to, ("no.csv", "out.csv")),
        (model.explain, ("no.csv",)), (model.verify, ("no.csv",)), (model.generate, ("a",)), (model.reader, ()),
        (run.data, ("no.csv",)), (run.explain, ("no.csv",)), (run.shrink, ("no.csv",)),
    ):  # fmt: skip
        for given in _cases(function, args, {}):
            _answers(function, given)


def test_every_public_function_is_checked() -> None:
    public = {name: getattr(ll, name) for name in ll.__all__ if name not in OWN}
    functions = {name for name, each in public.items() if inspect.isfunction(each)}
    assert functions == {name for name in CALLS if not name.startswith("cache.")}
    assert all(hasattr(function, "__wrapped__") for function, _, _ in CALLS.values())
    for kind in (ll.Run, ll.Model):
        taking = [name for name, each in vars(kind).items() if inspect.isfunction(each) and name[0] != "_"]
        taking = [name for name in taking if len(inspect.signature(getattr(kind, name)).parameters) > 1]
        assert [name for name in taking if not hasattr(getattr(kind, name), "__wrapped__")] == (
            [] if kind is ll.Run else ["answer", "run", "outputs", "decoded", "feeds", "calls"]  # of Leadline's own
        )


def test_the_sentence_names_the_argument_and_what_it_takes() -> None:
    for call, said in (
        (lambda: ll.open_run(5), "run 5 was given, where a path was expected."),
        (lambda: ll.replay(b"x"), "run b'x' was given, where a path was expected."),
        (lambda: ll.fit("digits", watch=3), "watch 3 was given, where a function was expected."),
        (lambda: ll.learning_curves("run"), "run 'run' was given, where a Run was expected."),
        (lambda: ll.explain([]), r"model \[\] was given, where a Model or a Run or a path was expected."),
        (lambda: ll.load("digits", running=object()), "running of type object was given, where True or False was"),
        (lambda: Settings(seed="x"), "--seed 'x' was given, where a whole number was expected."),
    ):
        with pytest.raises(ll.LeadlineError, match=f"^{said}"):
            call()


def test_what_fits_passes_and_python_speaks_of_other_calls() -> None:
    @checked
    def measured(place: str | Path, share: float = 0.5, rows: list[int] | None = None, *, each: bool = False) -> float:
        return share

    assert measured("a") == 0.5 and measured(Path("a"), 1, [3], each=True) == 1
    with pytest.raises(ll.LeadlineError, match="share True was given, where a number was expected"):
        measured("a", True)
    with pytest.raises(TypeError, match="missing a required argument"):
        measured()  # type: ignore[call-arg]
