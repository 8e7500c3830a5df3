"""Jobs side by side: a worker that dies is one sentence, and no worker outlives the run that started it."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from novkit.cli import main
from novkit.results import load_results
from tests.campaign import record
from tests.test_faults_disk import place  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")]

WORDS = ("reproduce", "--data", "images", "--normal", "normal", "--novel", "dark", "--size", "64", "--out", "out", "--workers", "2")
METHODS = ("--method", "patchgan", "--method", "pixel_zscore")  # the second is done at once, the first takes much longer


def side_by_side(cwd: str) -> None:
    """The command line, in a child, with two workers."""
    os.chdir(cwd)
    sys.argv = ["novkit", *WORDS, *METHODS]
    main()


def outlived(workers: list[int], seconds: float = 60) -> list[int]:
    """Those that still run after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        workers = [pid for pid in workers if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        if not workers:
            break
        time.sleep(0.1)
    return workers


@pytest.mark.parametrize(
    ("what", "number", "to_a_worker", "code", "says"),
    [
        ("SIGKILL to the run", signal.SIGKILL, False, -signal.SIGKILL, ""),
        ("Ctrl-C", signal.SIGINT, False, 130, "Stopped; the same command goes on from the last checkpoint."),
        ("SIGKILL to a worker", signal.SIGKILL, True, 1, "Error: A worker died"),
    ],
    ids=["run killed", "run interrupted", "worker killed"],
)
def test_no_worker_is_left(what, number, to_a_worker, code, says, place: Path):  # noqa: F811
    from tests import forking

    ended = forking.run(
        "tests.test_faults_workers:side_by_side",
        cwd=place,
        variables={"NOVKIT_CACHE": str(place / "cache")},
        signal_when=place / "out/results.json",
        number=number,
        to_a_worker=to_a_worker,
    )
    left = outlived(ended.workers)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    kept = [one.method for one in load_results(place / "out")]
    outcome = "all workers ended with it, what was done stayed" if not left else "a worker went on"
    record("Faults", "two workers side by side", part=what, tried=1, outcome=outcome)
    assert len(ended.workers) == 2
    assert ended.code == code, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert left == []
    assert set(kept) == {"pixel_zscore"}
