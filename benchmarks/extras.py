"""How large each extra is once it is installed: what it adds to Leadline's own dependencies, in this environment.

    python benchmarks/extras.py

Sizes are those of the files that each distribution lists, byte code left out.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def closure(wanted: list[str]) -> dict[str, Distribution]:
    """All that these requirements install, by name."""
    found: dict[str, Distribution] = {}
    left = [Requirement(line) for line in wanted]
    while left:
        need = left.pop()
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        if name == "leadline" or name in found or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            print(f"not installed here, so not counted: {name}")
            continue
        left += map(Requirement, found[name].requires or [])
    return found


def megabytes(dists: list[Distribution]) -> float:
    """Of all files that they list."""
    files = [Path(str(dist.locate_file(f))) for dist in dists for f in dist.files or [] if f.suffix != ".pyc"]
    return sum(path.stat().st_size for path in files if path.exists()) / 1e6


def main() -> None:
    """Print a line an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = closure(project["dependencies"])
    print(f"leadline: {len(base)} packages, {megabytes(list(base.values())):,.0f} MB")
    extras = project["optional-dependencies"]
    extras["all"] = extras["ebm"] + extras["pretrained"] + extras["samples"]
    for name, wanted in extras.items():
        more = {key: dist for key, dist in closure(wanted).items() if key not in base}
        print(f"{name}: {len(more)} more packages, {megabytes(list(more.values())):,.0f} MB: {', '.join(sorted(more))}")


if __name__ == "__main__":
    main()
