"""What the machine says of itself, and what of it a process may use."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leadline.system import resources


def _groups(folder: Path, own: str, mounts: str, limits: dict[str, dict[str, str]]) -> Path:
    """A process whose control groups lie under `folder`; `limits`: group -> file -> content."""
    process = folder / "process"
    process.mkdir()
    (process / "cgroup").write_text(own)
    (process / "mountinfo").write_text(mounts.format(folder=folder))
    for group, files in limits.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / group / name).write_text(content)
    return process


V2 = "30 23 0:26 / {folder}/unified rw,relatime - cgroup2 cgroup2 rw\n"
V1 = (
    "31 23 0:27 {root} {{folder}}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / {{folder}}/cpuset rw - cgroup cgroup rw,cpuset\n"
)


def test_half_a_core_of_cgroups_v2_is_one_core(tmp_path: Path) -> None:
    limits = {"unified/a/b": {"cpu.max": "50000 100000\n"}, "unified/a": {"cpu.max": "max 100000\n"}}
    process = _groups(tmp_path, "0::/a/b\n", V2, limits)
    assert resources.quota(process) == 0.5


def test_the_narrowest_group_around_a_process_counts(tmp_path: Path) -> None:
    limits = {"unified/a/b": {"cpu.max": "400000 100000"}, "unified/a": {"cpu.max": "150000 100000"}}
    assert resources.quota(_groups(tmp_path, "0::/a/b\n", V2, limits)) == 1.5


@pytest.mark.parametrize("root", ["/", "/docker/abc"])
def test_a_quota_of_cgroups_v1_also_where_the_mount_begins_in_the_group(root: str, tmp_path: Path) -> None:
    inner = "cpu" if root != "/" else "cpu/docker/abc"
    limits = {inner: {"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}}
    own = "4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n0::/\n"
    assert resources.quota(_groups(tmp_path, own, V1.format(root=root), limits)) == 2.0


def test_no_quota_is_told_as_none(tmp_path: Path) -> None:
    limits = {"cpu": {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}}
    assert resources.quota(_groups(tmp_path, "4:cpu:/\n", V1.format(root="/"), limits)) == float("inf")
    assert resources.quota(tmp_path / "nowhere") == float("inf")


def test_cores_are_those_of_the_affinity_and_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    found = {}
    for quota in (0.5, 1.5, 4.0, float("inf")):
        monkeypatch.setattr(resources, "quota", lambda quota=quota: quota)
        found[quota] = resources.cores()
    assert found == {0.5: 1, 1.5: 2, 4.0: 4, float("inf"): 4}


def test_never_more_threads_than_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 8)
    for name in resources.LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert resources.most_threads() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    assert resources.most_threads() == 6
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    assert resources.most_threads() == 3
    monkeypatch.setenv("OMP_THREAD_LIMIT", "many")  # as OpenMP, which passes over what is no number
    assert resources.most_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.delenv("MKL_NUM_THREADS")
    assert resources.most_threads() == 8


OWN = re.compile(r"cpu_count|sched_getaffinity|getloadavg|cpu\.max|cfs_quota|psutil")
POOL = re.compile(r"(Thread|Process)Pool(Executor)?\((?!most_threads\(\)|min\(2, most_threads\(\)\))")
SET = re.compile(r"(?<!`torch\.)set_num_(interop_)?threads")
SETTERS = ("system/process_state.py", "train/threads.py", "train/trace.py", "contenders/network_run.py")


def test_one_place_counts_cores() -> None:
    """No second place asks the system, begins a pool of another size, or sets PyTorch's threads by itself."""
    source = Path(resources.__file__).parent.parent
    wrong = []
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            asks = name != "system/resources.py" and OWN.search(line)
            sets = name not in SETTERS and SET.search(line)
            if asks or sets or POOL.search(line):
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert wrong == []


def test_what_other_processes_run_is_not_what_this_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([4, 3, 5])
    monkeypatch.setattr(resources, "running", lambda: next(seen))
    monkeypatch.setattr(resources, "running_here", lambda: 2)
    assert resources.running_elsewhere() == 1, "the fewest of a few looks"
    monkeypatch.setattr(resources, "running_here", lambda: None)
    monkeypatch.setattr(resources, "running", lambda: 4)
    assert resources.running_elsewhere() is None
    assert resources.idle_cores() == (os.cpu_count() or 1), "where nothing is said, all are free"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system has no /proc")
def test_this_thread_runs() -> None:
    found = resources.running_here()
    assert found is not None and found >= 1


def test_the_peak_of_a_process_is_not_that_of_the_one_that_started_it() -> None:
    large = bytearray(400_000_000)
    large[::4096] = b"\1" * len(large[::4096])
    code = "from leadline.system.resources import peak_mb; print(peak_mb())"
    peak = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 1 < peak < 200 < resources.peak_mb() and len(large)
