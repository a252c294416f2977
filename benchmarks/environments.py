"""A virtual environment for each peer, made once: no peer must live with the versions that another one asks for.

    python benchmarks/environments.py [--environments ~/.cache/leadline-peers] [PEER ...]

What a peer shares with Leadline (NumPy, PyTorch, scikit-learn) comes in the version of requirements/cpu.txt, so that
the peers are compared and not the versions beneath them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "requirements" / "cpu.txt"
DEFAULT = Path.home() / ".cache" / "leadline-peers"
PEERS: dict[str, tuple[str, ...]] = {
    "jax": ("jax==0.10.2", "jaxlib==0.10.2", "optax==0.2.8"),
    "skorch": ("skorch==1.4.0", "torch==2.13.0"),
    "lightning": ("lightning==2.6.6", "torch==2.13.0"),
    "keras": ("keras==3.15.1", "jax==0.10.2", "jaxlib==0.10.2"),
    "sklearn": ("scikit-learn==1.9.1",),
    "fastai": ("fastai==2.8.12", "torch==2.13.0"),
}


def environment(peer: str, folder: Path) -> Path:
    """The Python of a peer's environment, which is made when it isn't there or was made of other requirements.

    What it was made of is written last, so that an environment that was cut off is made again.
    """
    home, wanted = folder.expanduser() / peer, "\n".join(PEERS[peer])
    python, made = home / "bin" / "python", home / "requirements.txt"
    if made.exists() and made.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    install = [str(python), "-E", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*install, "--constraint", str(CONSTRAINTS), *PEERS[peer]], check=True)
    made.write_text(wanted)
    return python


def versions(python: Path) -> dict[str, str]:
    """Every distribution in an environment and its version."""
    listed = [str(python), "-E", "-m", "pip", "--disable-pip-version-check", "list", "--format", "json"]
    found = json.loads(subprocess.run(listed, capture_output=True, text=True, check=True).stdout)
    return {package["name"]: package["version"] for package in found}


def said(peers: list[str]) -> str:
    """Our versions and, by peer, those of what its environment was made of and of NumPy beneath it, as JSON."""
    from leadline.system.resources import versions as ours

    found: dict[str, object] = dict(ours())
    for peer in peers:
        wanted = {"numpy", *(requirement.split("==")[0] for requirement in PEERS[peer])}
        listed = versions(environment(peer, DEFAULT))
        found[peer] = {name: version for name, version in listed.items() if name in wanted}
    return json.dumps(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=DEFAULT, help="folder of the environments")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    given = parser.parse_args()
    for peer in given.peers or PEERS:
        print(environment(peer, given.environments), flush=True)


if __name__ == "__main__":
    main()
