"""A process of its own that reads damaged files under limits of memory and time, and tells what came of each; and who watches it.

Run as `python -m tests.hostile_worker MODULE FOLDER`, where MODULE has READERS and `prepare`; it takes lines "FORMAT INDEX" and
answers each with a line of JSON.
"""

import importlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEMORY = 2**31  # bytes of address space that reading may take beyond what the imported libraries have
SECONDS = 20  # of computing that one small file may take, on a slow machine
FAULTS = 500  # after which a campaign ends
PATIENCE = 120  # seconds of waiting for an answer on a machine that is busy with other things
SAID = 2000  # bytes that libtiff may say of a broken file; it writes to the terminal past Python
ROOT = Path(__file__).parents[1]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = ("os.mkdir", "os.rename", "os.symlink", "os.link", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree")
_RELATIVE = ("os.remove", "os.rmdir")
_NEVER = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "ctypes.dlopen")


@dataclass
class Campaign:
    """What came of a number of damaged files of one format. clean: a novkit error. faults: everything that must not be."""

    kind: str
    tried: int = 0
    read: int = 0
    clean: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0  # seconds of computing

    def outcome(self) -> dict[str, int]:
        """For the record of the campaign: outcomes in words, and how often."""
        wrong = Counter(fault["fault"] for fault in self.faults)
        return {"refused in a sentence": self.clean, "read": self.read, **wrong}


class Worker:
    """Starts the process, asks it, and starts it again when it hangs or dies."""

    def __init__(self, readers: str, folder: Path) -> None:
        self.readers, self.folder = readers, folder
        self.process: subprocess.Popen | None = None

    def run(self, kind: str, indices: Iterable[int]) -> Campaign:
        campaign = Campaign(kind)
        for index in indices:
            if len(campaign.faults) > FAULTS:
                break  # there is enough to mend
            answer = self.ask(kind, index)
            campaign.tried += 1
            campaign.slowest = max(campaign.slowest, answer.get("seconds", 0.0))
            if answer.get("fault"):
                campaign.faults.append(answer | {"kind": kind, "index": index})
            elif answer["clean"]:
                campaign.clean += 1
            else:
                campaign.read += 1
        return campaign

    def ask(self, kind: str, index: int) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{kind} {index}\n".encode())
            process.stdin.flush()
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                self.stop()
                return {"fault": "hung"}
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = process.wait()
            self.process = None
            return {"fault": f"died ({code})"}
        return json.loads(line)

    def _started(self) -> subprocess.Popen:
        if self.process is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-X", "faulthandler", "-m", "tests.hostile_worker", self.readers, str(self.folder)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", "NOVKIT_CACHE": str(self.folder / "cache")}
            environment["TQDM_DISABLE"] = "1"  # a bar, shown where the machine is slow, is no warning
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
            assert self.process.stdout is not None
            ready = self.process.stdout.readline()
            assert ready == b"ready\n", ready
        return self.process

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


# ---- inside --------------------------------------------------------------------------------------------------------------


class Sentry:
    """Notes, while it is on, whatever is written outside a folder, and calls that no reader of images makes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on = os.path.realpath(folder), False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & _WRITES:
                self._check(event, path)
        elif event in _EVENTS:
            folders = [fd for fd in arguments[1:] if isinstance(fd, int) and fd > 2] if event in _RELATIVE else []  # paths below them
            for path in arguments[: 2 if event == "os.rename" else 1]:
                self._check(event, os.path.join(os.readlink(f"/proc/self/fd/{folders[-1]}"), path) if folders else path)
        elif event in _NEVER:
            self.seen.append(f"{event} {arguments!r}"[:200])

    def _check(self, event: str, path: Any) -> None:
        try:
            real = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):
            return
        if real != "/dev/null" and not real.startswith(self.folder + os.sep):
            self.seen.append(f"{event} {real}"[:200])


def serve(module: str, folder: Path) -> None:
    """Answer the lines of standard input until it ends."""
    import resource

    from novkit.errors import NovkitError

    readers = importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    for name in ("sound", "room"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "sound").mkdir()
    readers.prepare(folder / "sound")
    with open(folder / "stderr.txt", "wb") as said:  # what C libraries say goes past Python's warnings
        os.dup2(said.fileno(), 2)
        os.dup2(said.fileno(), 1)
    sentry = Sentry(folder)
    os.environ["TMPDIR"] = str(folder)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    answers.write(b"ready\n")
    for line in sys.stdin:
        kind, index = line.split()
        answers.write(json.dumps(_one(readers.READERS[kind], kind, int(index), folder, sentry, NovkitError)).encode() + b"\n")


def _one(read: Callable, kind: str, index: int, folder: Path, sentry: Sentry, clean: type[Exception]) -> dict[str, Any]:
    """What came of one file: {"clean": True or False, "seconds": …}, or {"fault": what, "detail": …}."""
    room = folder / "room"
    room.mkdir()
    answer: dict[str, Any] = {"clean": False}
    before = os.path.getsize(folder / "stderr.txt")
    call = read(kind, index, room)
    warned: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            started, sentry.seen, sentry.on = time.process_time(), [], True
            try:
                call()
            finally:
                sentry.on, warned = False, caught
                answer["seconds"] = time.process_time() - started
    except clean as error:
        text = str(error)
        answer["clean"] = True
        if not text or "\n" in text or len(text) > 3000:
            answer |= {"fault": "no sentence", "detail": f"{len(text)}: {text[:300]!r}"}
    except Exception:
        answer |= {"fault": "traceback", "detail": traceback.format_exc(limit=-6)[-1800:]}
    sys.stderr.flush()
    allowed = 1 if kind == "checkpoint" else 0  # that one says which checkpoint it goes on from
    if len(warned) > allowed or os.path.getsize(folder / "stderr.txt") > before + (SAID if kind == "tiff" else 0):
        with open(folder / "stderr.txt", "rb") as said:
            said.seek(before)
            detail = [f"{w.filename}:{w.lineno} {w.message}"[:300] for w in warned[:3]] + [said.read(600).decode("utf-8", "replace")]
        answer.setdefault("fault", "warned")
        answer.setdefault("detail", detail)
    if sentry.seen:
        answer |= {"fault": "wrote outside, or ran something", "detail": sentry.seen[:3]}
    if answer.get("seconds", 0) > SECONDS:
        answer |= {"fault": "too slow", "detail": answer["seconds"]}
    shutil.rmtree(room)
    return answer


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
