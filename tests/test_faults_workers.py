"""Jobs side by side: a worker that dies is one sentence, and no worker outlives the run that started it."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from novkit import experiments
from novkit.cli import main
from novkit.experiments import running
from novkit.files import read_json
from novkit.results import load_results
from tests.campaign import record
from tests.test_faults import essence
from tests.test_faults_disk import a_place, place  # noqa: F401
from tests.test_properties import TINY

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")]

WORDS = ("reproduce", "--data", "images", "--normal", "normal", "--novel", "dark", "--out", "out")
METHODS = ("--method", "patchgan", "--method", "pixel_zscore")  # the second is done at once, the first is made to take longer
CHANGES = {"patchgan": {**TINY["patchgan"], "epochs": 30}, "pixel_zscore": {}}


def command(cwd: str, workers: str) -> None:
    """The command line, in a child, with small settings."""
    from tests import forking

    os.chdir(cwd)
    plain = experiments.reproduction_on
    experiments.reproduction_on = lambda *args, **more: [replace(job, changes=CHANGES[job.method]) for job in plain(*args, **more)]
    running._start_worker = forking.start_slow_worker
    sys.argv = ["novkit", *WORDS, *METHODS, "--workers", workers]
    main()


def go(folder: Path, workers: int, **kill: Any) -> Any:
    from tests import forking

    task, variables = "tests.test_faults_workers:command", {"NOVKIT_CACHE": str(folder / "cache")}
    return forking.run(task, cwd=folder, workers=str(workers), variables=variables, **kill)


@pytest.fixture(scope="module")
def expected() -> Iterator[dict[str, Any]]:
    """What an undisturbed run leaves."""
    with a_place() as folder:
        ended = go(folder, 1)
        assert ended.code == 0, ended.err
        yield result(folder / "out")


def result(folder: Path) -> dict[str, Any]:
    """All that a run leaves but the report, which names what it cost."""
    return {name: found for name, found in essence(folder).items() if not name.endswith(".html")}


def epochs(folder: Path) -> list[dict[str, Any]]:
    """The epochs of Patch-GAN that a checkpoint holds, or its record; with their seconds: one that was trained again would have others."""
    states = sorted(folder.glob("work/*patchgan*/*/epoch_*/state.json"))
    curves = sorted(folder.glob("curves/*patchgan*.json"))
    return read_json(states[-1])["history"] if states else read_json(curves[-1])


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
        ("Ctrl-C", signal.SIGINT, False, 130, "Stopped. Run the same command again to continue from the last checkpoint."),
        ("SIGKILL to a worker", signal.SIGKILL, True, 1, "Error: A worker died"),
    ],
    ids=["run killed", "run interrupted", "worker killed"],
)
def test_no_worker_is_left(what, number, to_a_worker, code, says, expected, place: Path):  # noqa: F811
    ended = go(
        place,
        2,
        signal_when=place / "amidst",
        number=number,
        to_a_worker=to_a_worker,
    )
    left = outlived(ended.workers)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    records, trained = load_results(place / "out"), epochs(place / "out")
    again = go(place, 1)  # how many workers there are is no result
    stayed = epochs(place / "out")[: len(trained)] == trained
    stayed &= len(records) < 2 or {one.seconds_fit for one in records} <= {one.seconds_fit for one in load_results(place / "out")}
    came = result(place / "out")
    different = sorted(name for name in {*came, *expected} if came.get(name) != expected.get(name))
    outcome = "all workers ended with it, what was done stayed, and the restart came to the same result as undisturbed"
    for well, words in (
        (not different, "the restart came to another result"),
        (stayed, "something was done again"),
        (not left, "a worker went on"),
    ):
        outcome = outcome if well else words
    record("Faults", "two workers side by side", part=what, tried=1, outcome=outcome)
    assert not ended.hung
    assert len(ended.workers) == 2
    assert ended.code == code, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert left == []
    assert {one.method for one in records} == {"pixel_zscore"}
    assert 5 <= len(trained) < 30  # Patch-GAN was amidst its training
    assert again.code == 0, again.err
    assert stayed
    assert different == []
