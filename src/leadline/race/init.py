"""Where networks begin from an earlier run (--init): which of its networks each contender takes its body from.

Enters: the folder of a finished run, and the contenders of this one. Leaves: {contender: the file of its network}, or
one sentence that says why no body can be taken. What is taken is decided by shape, where the network is built
(`contenders/earlier_network.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leadline.contenders.earlier_network import NETWORK, Begins, EarlierNetwork, differs
from leadline.contenders.portfolio import PORTFOLIO
from leadline.dataset.store import Store
from leadline.race import history
from leadline.race.context import RunContext
from leadline.race.journal import Journal
from leadline.system.errors import SourceError

__all__ = ["begun_from", "check_init", "networks"]

LEAVE = "leave out --init"


def begun_from(context: RunContext, store: Store, names: Sequence[str], journal: Journal) -> dict[str, Path]:
    """{contender: the network that it begins from}; none without --init. The journal holds their digests.

    Raises SourceError where there is no body to take, or where an earlier go at this run began from others.
    """
    if context.settings.init is None:
        return {}
    folder, past = Path(context.settings.init), context.past
    found = networks(folder, store, names)
    digests = {name: EarlierNetwork.read(path).digest for name, path in found.items()}
    if past is not None and past.init is not None and past.init != digests:
        raise SourceError(
            f"{folder} is not the run from which {context.folder} began: its networks have changed; start the run "
            "again with leadline fit."
        )
    journal.write("init", networks=digests)
    return found


def check_init(init: str | None, digest: str) -> None:
    """Refuse, before any row is encoded, a folder without networks, a damaged network, or a run on these rows.

    Args:
        digest: of the source of this run.
    """
    if init is None:
        return
    folder = Path(init)
    kept = _kept(folder)
    if history.read(folder).digest == digest:
        raise SourceError(
            f"--init {folder} was trained on these rows, of which some would be tested on here; name a run on other "
            f"data, or {LEAVE}."
        )
    for path in kept.values():
        try:
            EarlierNetwork.read(path).verify()
        except SourceError as error:
            said = str(error).rstrip(".")
            raise SourceError(
                f"--init {folder} cannot be used: {said}; train that run again, name another one, or {LEAVE}."
            ) from error


def networks(folder: Path, store: Store, names: Sequence[str]) -> dict[str, Path]:
    """{contender: the network of that name in a run folder}, of those that have a body in common with it."""
    kept = _kept(folder)
    able = {name: contender for name in names if isinstance(contender := PORTFOLIO[name], Begins)}
    if not able:
        raise SourceError(
            f"--init {folder} cannot be used: none of the contenders of this run ({', '.join(names)}) can begin from "
            f"an earlier network; {LEAVE}."
        )
    both = [name for name in able if name in kept]
    if not both:
        raise SourceError(
            f"--init {folder} keeps the networks {', '.join(kept)}, and {', '.join(able)} would begin from one of the "
            f"same name; name another run, or {LEAVE}."
        )
    why = {name: differs(able[name].parts(store), EarlierNetwork.read(kept[name])) for name in both}
    if all(why.values()):
        name = both[0]
        raise SourceError(f"The {name} of --init {folder} has no body for these columns: {why[name]}.")
    return {name: kept[name] for name in both if why[name] is None}


def _kept(folder: Path) -> dict[str, Path]:
    """{contender: its network} of a run folder."""
    if not (folder / "result.json").is_file():
        raise SourceError(f"--init {folder} holds no finished run; leadline runs lists those in ./runs.")
    kept = {path.parent.name: path for path in sorted(folder.glob(f"contenders/*/{NETWORK}"))}
    if not kept:
        raise SourceError(
            f"--init {folder} keeps no network: none finished in that run, or an earlier version of Leadline made it; "
            f"name another run, or {LEAVE}."
        )
    return kept
