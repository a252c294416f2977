"""The commands that use a shipped file: predict, explain, verify and generate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from leadline.cli.output import as_json, model_path, warned
from leadline.system.interrupts import at_once


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of these commands."""
    predict = commands.add_parser("predict", parents=[shared], help="predict new rows with a shipped file")
    predict.add_argument("model", help="a model.onnx, or the run folder that holds it")
    predict.add_argument("source", help="rows in any form that fit takes; the target may be absent")
    predict.add_argument("--out", help="file to write: .csv, .tsv, .parquet or .jsonl (default: CSV to the terminal)")
    explain = commands.add_parser("explain", parents=[shared], help="why a model answers so, and how far to trust it")
    explain.add_argument("model", metavar="RUN|MODEL", help="a run folder, or a model.onnx")
    explain.add_argument("source", nargs="?", help="rows as for predict (default: the test rows of the run)")
    explain.add_argument(
        "--row",
        type=int,
        action="append",
        metavar="N",
        help="a row to explain, from 1: of the source, or where none is given, of the test rows of the run; again for "
        "more (default: 12)",
    )
    explain.add_argument("--layers", action="store_true", help="also what each layer of a network has learned")
    explain.add_argument(
        "--gradients", action="store_true", default=None,
        help="also integrated gradients of a network (default: for a dozen test rows of a run or fewer)",
    )  # fmt: skip
    explain.add_argument("--out", help="HTML page to write")
    explain.add_argument("--json", action="store_true", help="print it as one JSON document")
    verify = commands.add_parser("verify", parents=[shared], help="check a shipped file against its certificate")
    verify.add_argument("model", help="a model.onnx, or the run folder that holds it")
    verify.add_argument("source", nargs="?", help="the data of the run: rows of it are answered again and compared")
    generate = commands.add_parser("generate", parents=[shared], help="generate text with a shipped language model")
    generate.add_argument("model", help="a model.onnx, or the run folder that holds it")
    generate.add_argument("--prompt", default="\n", help="text to continue (default: a new line)")
    generate.add_argument("--length", type=int, default=500, help="number of tokens (default: 500)")
    generate.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        help="0: always the most likely token; above 1: more random (default: 0.8)",
    )
    generate.add_argument("--top-k", type=int, help="sample from the K most likely tokens")
    generate.add_argument("--top-p", type=float, help="sample from the most likely tokens with this total probability")
    generate.add_argument(
        "--seed", type=int, default=0, help="random seed: the same seed gives the same text (default: 0)"
    )


def predict(options: argparse.Namespace) -> int:
    """Write answers to new rows."""
    with at_once():
        from leadline.readers.part import counted
        from leadline.use.answer_file import check_out, write_delimited
        from leadline.use.model import Model
        from leadline.use.predict import predict_in_parts

    with warned():
        model = Model(model_path(options.model))
    out: Any = Path(options.out) if options.out else None
    if out is not None:
        check_out(out)
    with warned():
        if out is None:
            write_delimited(predict_in_parts(model, options.source), sys.stdout)
        else:
            rows = model.predict_to(options.source, out)
            print(f"{counted(rows, 'answer')} in {out}")
    return 0


def explain(options: argparse.Namespace) -> int:
    """Print why rows are answered so, and write the page."""
    with at_once():
        from leadline import explanation
        from leadline.use.explain.sample import NoRowError
        from leadline.use.explain.words import terminal

    rows = None if options.row is None else [row - 1 for row in options.row]
    with warned():
        try:
            found = explanation.explain(
                options.model, options.source, rows=rows, layers=options.layers, gradients=options.gradients,
                out=options.out,
            )  # fmt: skip
        except NoRowError as error:
            error.first = 1
            raise
    print(as_json(found.as_dict()) if options.json else terminal(found))
    if options.out and not options.json:
        print(f"page    {options.out}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Print what the certificate states; an error where the file does not hold to it."""
    with at_once():
        from leadline.use.model import Model

    with warned():
        verified = Model(model_path(options.model)).verify(options.source)
    print(verified)
    return 0


def generate(options: argparse.Namespace) -> int:
    """Print text as it is generated."""
    with at_once():
        from leadline.use.generate import generate as pieces_of
        from leadline.use.model import Model

    with warned():
        model = Model(model_path(options.model))
    pieces = pieces_of(
        model, options.prompt, length=options.length, temperature=options.temperature, top_k=options.top_k,
        top_p=options.top_p, seed=options.seed,
    )  # fmt: skip
    sys.stdout.write(options.prompt.lstrip("\n"))
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0
