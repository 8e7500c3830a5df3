"""A submission's process, seen from the grader: a clean environment, cell by cell, watched, and ended with all that it started."""

import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

import novkit
from novkit.errors import NovkitError
from novkit.files import remove, replacing_folder
from novkit.teaching import COURSE_SEED
from novkit.teaching.confinement import bytes_kept

PROJECT = Path(novkit.__file__).resolve().parent.parent
KEPT_VARIABLES = ("LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "NUMBER_OF_PROCESSORS")
GRACE = 3.0  # seconds that an interrupted cell has to end
EVERY = 1.0  # seconds between two looks at what a submission keeps
PATIENCE = 10  # times the limit for waiting, on the clock, where a busy machine leaves a submission little time


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    cell, notebook: seconds of CPU, for a cell and in all. wall: times as many it may wait, such as asleep; waiting for a core that others
    keep busy does not count, up to ten times that. free: for the cells that are not graded, together. memory: bytes. disk: bytes of all
    files it keeps, besides those it began with. start: seconds for loading the libraries.
    """

    cell: float = 60.0
    notebook: float = 180.0
    free: float = 60.0
    memory: int = 4 << 30
    disk: int = 1 << 30
    wall: float = 3.0
    start: float = 300.0


class Stopped(RuntimeError):
    """The grading itself was stopped: what was running has no grade, and is graded the next time."""


class Worker:
    """A process that runs one submission after the other, each in a folder of its own and, where the system forks, in a fork.

    modules: loaded before any submission runs, and remembered as they are. Use it in a `with` block, and each submission in
    `with worker.submission(…):`.
    """

    def __init__(self, modules: Iterable[str], limits: Limits) -> None:
        self.modules, self.limits = sorted(set(modules)), limits
        self.landlock = False
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: psutil.Process | None = None
        self._closed = False

    @contextlib.contextmanager
    def submission(
        self, *, course_seed: int, cache: Path | None = None, files: Path | None = None, keep_cache: Path | None = None
    ) -> Iterator[Self]:
        """A fresh, confined process for the block, in `folder`; afterwards it, all it started and all it wrote are gone.

        cache: copied, as what novkit has generated already. files: copied into its working folder. keep_cache: where a copy of the
        cache it leaves is put.
        """
        self.folder = folder = Path(tempfile.mkdtemp(prefix="novkit-grade-")).resolve()
        try:
            for name in ("home", "tmp"):
                (folder / name).mkdir()
            for name, origin in (("work", files), ("cache", cache)):
                shutil.copytree(origin, folder / name) if origin is not None and origin.is_dir() else (folder / name).mkdir()
            self._began_with, self._looked = bytes_kept(folder, 1 << 62), time.monotonic()
            self._begin(folder, course_seed)
            yield self
            if keep_cache is not None:
                with replacing_folder(keep_cache) as temporary:
                    shutil.copytree(folder / "cache", temporary, dirs_exist_ok=True)
        finally:
            self.stop()
            remove(folder)

    def _begin(self, folder: Path, course_seed: int) -> None:
        if self._closed:
            raise Stopped("The grading was stopped.")
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._token = secrets.token_hex(16)
        self._send(
            {
                "token": self._token,
                "fork": FORKS,
                "memory": self.limits.memory,
                "readable": readable(),
                "writable": str(folder),
                "folder": str(folder / "work"),
                "environment": _environment(folder, course_seed),
            }
        )
        ready = self._wait(self.limits.start, memory=1 << 62)
        if ready["status"] != "ready":
            raise NovkitError("A submission's process did not start: see that `novkit doctor` and `python -c 'import IPython'` work.")
        self._watched, self._last_cpu, self.landlock = psutil.Process(ready["pid"]), 0.0, bool(ready["landlock"])

    def _start(self) -> None:
        self._end()
        self._answers: queue.Queue[bytes | None] = queue.Queue(1000)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "novkit.teaching.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
            env=_surroundings(),
            start_new_session=True,
        )
        self._token = secrets.token_hex(16)
        threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        self._send({"token": self._token, "modules": self.modules})
        if self._wait(self.limits.start, memory=1 << 62)["status"] != "loaded":
            raise NovkitError("The libraries do not load in a clean environment: see what `novkit doctor` says.")

    def ask(self, cell: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Run a cell for at most so many seconds of CPU.

        The answer's "status": "done", "failed", "interrupted" (too long), or where the process is no more "timeout", "memory", "disk",
        "died". "seconds" is the CPU time it took. Stopped where another thread closed the worker.
        """
        before = self._cpu()
        self._send(cell)
        answer = self._wait(seconds * self.limits.wall, memory=self.limits.memory, cpu=seconds)
        return answer | {"seconds": round(self._cpu() - before, 2)}

    def _wait(self, wall: float, *, memory: int, cpu: float | None = None) -> dict[str, Any]:
        answer = self._watch(wall, memory=memory, cpu=cpu)
        if self._closed:  # it ended because we ended it: no verdict on the submission
            raise Stopped("The grading was stopped.")
        return answer

    def _watch(self, wall: float, *, memory: int, cpu: float | None) -> dict[str, Any]:
        start = last = time.monotonic()
        before, waited, interrupted = self._cpu(), 0.0, 0.0
        while True:
            if self._is_full():
                self.stop()
                return {"status": "disk"}
            with contextlib.suppress(queue.Empty):
                line = self._answers.get(timeout=0.05)
                if line is None:
                    return {"status": "died"}
                answer = self._genuine(line)
                if answer is not None:
                    if answer["status"] == "interrupted" and not interrupted:  # the submission did that itself
                        answer |= {"status": "failed", "error": "KeyboardInterrupt", "message": ""}
                    return answer
            now, memory_now = time.monotonic(), self._memory()
            waited, last = waited + (0.0 if self._wants_a_core() else now - last), now
            if memory_now > memory or memory_now < 0:
                self.stop()
                return {"status": "memory" if memory_now > memory else "died"}
            if interrupted and now - interrupted > GRACE:
                self.stop()
                return {"status": "timeout"}
            overdue = waited > wall or now - start > PATIENCE * wall
            if not interrupted and (overdue or (cpu is not None and self._cpu() - before > cpu)):
                if self._watched is None or os.name == "nt":
                    self.stop()
                    return {"status": "timeout"}
                interrupted = now
                self._watched.send_signal(signal.SIGINT)

    def _genuine(self, line: bytes) -> dict[str, Any] | None:
        """An answer of the worker itself; None for anything else."""
        try:
            answer = json.loads(line)
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode(errors="replace"))  # no file can hold lone surrogates
            if answer.pop("token") != self._token:
                return None
            return {"status": answer["event"]} | answer
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _send(self, what: dict[str, Any]) -> None:
        process = self._process
        if self._closed or process is None:
            raise Stopped("The grading was stopped.")
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it died; the answer will say so
            process.stdin.write(b"\n" + json.dumps(what).encode() + b"\n")
            process.stdin.flush()

    _last_cpu = 0.0

    def _cpu(self) -> float:
        """Seconds of CPU of the submission so far; what was known last where it is no more."""
        with contextlib.suppress(psutil.Error):
            if self._watched is not None:
                times = self._watched.cpu_times()
                self._last_cpu = times.user + times.system
        return self._last_cpu

    def _wants_a_core(self) -> bool:
        """Whether it computes or would, if it were its turn; False where the system does not tell."""
        with contextlib.suppress(psutil.Error):
            return FORKS and self._watched is not None and self._watched.status() == psutil.STATUS_RUNNING
        return False

    def _memory(self) -> int:
        """Bytes; 0 before there is a submission, −1 where it has ended."""
        if self._watched is None:
            return 0
        try:
            return -1 if self._watched.status() == psutil.STATUS_ZOMBIE else self._watched.memory_info().rss
        except psutil.Error:
            return -1

    _looked, _began_with = 0.0, 0

    def _is_full(self) -> bool:
        """Whether the submission keeps more files than it may; looked at now and then only, for it takes long where there are many."""
        begun = time.monotonic()
        if self._watched is None or begun < self._looked + EVERY:
            return False
        most = self.limits.disk + self._began_with
        full = bytes_kept(self.folder, most) > most
        self._looked = time.monotonic() + 9 * (time.monotonic() - begun)  # at most a tenth of the time
        return full

    def stop(self) -> None:
        """End the submission and all that it started; the worker itself stays, where it forked."""
        self._watched, process = None, self._process
        if process is None:
            return
        if not FORKS:
            self._end()
            return
        for _ in range(100):  # what one leaves behind may start another
            descendants = _descendants(process.pid)
            if not descendants:
                return
            _kill(descendants)
            time.sleep(0.01)

    def close(self) -> None:
        """End everything, for good; whoever waits for an answer gets Stopped."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _kill(_descendants(process.pid))
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


FORKS = sys.platform.startswith("linux")
"""Whether a submission is a fork of a process that has the libraries loaded: seconds of CPU for sixty of them instead of six minutes."""


def _read(stream: Any, answers: "queue.Queue[bytes | None]") -> None:
    with contextlib.suppress(ValueError, OSError):  # closed
        while line := stream.readline(1 << 20):
            answers.put(line)
    answers.put(None)


def readable() -> list[str]:
    """Folders that a submission may read: Python, its packages, novkit and its stored results."""
    places = {sys.prefix, sys.base_prefix, str(PROJECT / "novkit"), str(PROJECT / "results")}
    places |= {path for path in sys.path if path and Path(path).is_dir() and Path(path).resolve() not in (PROJECT, Path.cwd(), Path.home())}
    return sorted(places)


def _surroundings() -> dict[str, str]:
    """The environment that a worker starts with: nothing of the grader's own."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    python = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    others = {"LANG": "C.UTF-8", "PATH": os.defpath, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    return others | kept | threads | python


def _environment(folder: Path, course_seed: int) -> dict[str, str]:
    """What a submission has besides."""
    own = {"HOME": "home", "USERPROFILE": "home", "IPYTHONDIR": "home", "TMPDIR": "tmp", "TEMP": "tmp", "NOVKIT_CACHE": "cache"}
    return {name: str(folder / place) for name, place in own.items()} | {
        COURSE_SEED: str(course_seed),
        "PLOTLY_RENDERER": "plotly_mimetype",
    }


def _descendants(pid: int) -> list[int]:
    """Processes below this one that still run."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
