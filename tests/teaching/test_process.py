"""Limits on time, and a grader that is stopped itself: what counts against a submission, and what does not."""

import sys
import threading

import pytest

from novkit.teaching import process
from novkit.teaching.process import Limits, Stopped, Worker


def ask(worker: Worker, source: str, seconds: float) -> dict:
    with worker.submission(course_seed=0):
        return worker.ask({"name": "x", "kind": "solution", "source": source, "keeps": []}, seconds)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the system does not tell who waits")
def test_sleep_counts_against_the_clock_and_a_busy_machine_does_not(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 1000)
    with Worker(["math"], Limits(wall=0.1)) as worker:
        assert ask(worker, "import time\ntime.sleep(1000)", 10)["status"] in ("interrupted", "timeout")
        answer = ask(worker, "import time\nbegin = time.process_time()\nwhile time.process_time() < begin + 2: pass", 10)
        assert answer["status"] == "done"
        assert answer["seconds"] >= 1.9  # more than the second that it may wait
        assert ask(worker, "while True: pass", 0.5)["status"] in ("interrupted", "timeout")


def test_a_worker_that_is_closed_gives_no_answer():
    worker = Worker(["math"], Limits(cell=100, wall=60))
    with pytest.raises(Stopped), worker.submission(course_seed=0):
        threading.Timer(0.5, worker.close).start()
        worker.ask({"name": "x", "kind": "solution", "source": "while True: pass", "keeps": []}, 100)
    assert not worker.folder.exists()
    with pytest.raises(Stopped), worker.submission(course_seed=0):
        pass
