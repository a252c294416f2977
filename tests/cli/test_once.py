"""An option that is given twice: none of its values is lost without a word, whatever the command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest

from leadline.cli.commands import COMMANDS, _parser, main


def _options() -> Iterator[tuple[str, argparse.Action]]:
    """(command, action) of all that take a value."""
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if action.option_strings and action.nargs != 0:
                yield command, action


def test_every_option_keeps_all_its_values_or_refuses_a_second_one(capsys: Any) -> None:
    """Those that may be repeated keep all of them."""
    seen = set()
    for command, action in _options():
        option = action.option_strings[-1]
        first, second = {int: ("3", "4"), float: ("0.3", "0.4")}.get(action.type, ("a", "b"))  # type: ignore[arg-type,call-overload]
        needs = ["x", "y"][: {"predict": 2}.get(command, command in ("fit", "check", "explain", "replay", "verify"))]
        needs = ["x"] if command == "generate" else needs
        if isinstance(action, argparse._AppendAction):
            options = _parser().parse_args([command, *needs, option, first, option, second])
            assert len(getattr(options, action.dest)) == 2, (command, option)
        else:
            assert main([command, *needs, option, first, f"{option}={second}"]) == 2, (command, option)
            said = capsys.readouterr().err
            assert said.startswith(f"leadline: {option} is given twice, as {first} and as {second}"), said
            once = _parser().parse_args([command, *needs, option, first, option, first])
            assert str(getattr(once, action.dest)) == first, (command, option)
        seen.add(command)
    assert seen == set(COMMANDS) - {"resume", "runs", "show", "verify"}  # which have none


@pytest.mark.parametrize("words", [("--only", "deep", "--only", "linear"), ("--only=deep", "--on", "linear")])
def test_of_lists_the_sentence_says_how_to_write_both(words: tuple[str, ...], capsys: Any) -> None:
    assert main(["fit", "x.csv", *words]) == 2
    assert capsys.readouterr().err == (
        "leadline: --only is given twice, as deep and as linear; write --only deep,linear.\n"
    )


def test_an_old_name_and_the_name_of_today_are_the_same_option(capsys: Any) -> None:
    assert main(["fit", "x.csv", "--rounds", "3", "--repeats", "4"]) == 2
    assert "--repeats is given twice, as 3 and as 4; give it once" in capsys.readouterr().err
