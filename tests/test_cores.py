"""How many cores a run takes for its own."""

import io
import os

import pytest

from novkit.cores import available_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs to bind a process to a core")
def test_cores_that_this_process_is_bound_to_count():
    mine = os.sched_getaffinity(0)
    assert 1 <= available_cores() <= len(mine)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


def test_a_container_s_quota_counts(monkeypatch):
    """A quota of 150 ms in 100 ms is one and a half cores; written as cgroups write it, for whichever version joblib looks at."""
    real = open

    def instead(file, *arguments, **options):
        written = {"/sys/fs/cgroup/cpu.max": "150000 100000\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
                   "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}  # fmt: skip
        if str(file) in written:
            return io.StringIO(written[str(file)])
        return real(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", instead)
    monkeypatch.setattr("os.path.exists", lambda path: str(path).startswith("/sys/fs/cgroup") or os.path.lexists(path))
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert available_cores() == 2
