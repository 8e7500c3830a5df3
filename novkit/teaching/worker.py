"""The process in which one submission runs: it is told cell by cell what to run and says how it went.

Started by `novkit.teaching.process` as `python -m novkit.teaching.worker`. One JSON object a line: the modules to load, then for every
submission a job and its cells, on the input; answers on the output. Tests come only when they are due, and are run apart from IPython,
whose hooks a submission can reach.
"""

import ast
import ctypes
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any

from novkit.teaching.confinement import confine, limit_memory
from novkit.teaching.integrity import Integrity

EXECUTE, COMPILE, PARSE, DUMP, PARSE_JSON = exec, compile, ast.parse, json.dumps, json.loads  # as before any submission runs
CELL = "<cell {}>"


def main() -> None:
    """Load the libraries once, then run submissions until the input ends: each in a fork, where the system forks, else only one."""
    commands, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # whatever a submission prints
        os.dup2(nothing, descriptor)
    integrity: Integrity | None = None
    while line := _line(commands):
        try:
            job = json.loads(line)
        except ValueError:
            continue  # the rest of what a submission did not live to read
        if "modules" in job:
            integrity = Integrity(job["modules"])
            _process_option(DIE_WITH_PARENT, signal.SIGKILL)
            _process_option(ADOPT_ORPHANS, 1)
            _write(answers, token=job["token"], event="loaded")
        elif "writable" in job and integrity is not None:
            if not job["fork"]:
                return _serve(job, commands, answers, integrity)
            child = os.fork()
            if not child:
                try:
                    _process_option(DIE_WITH_PARENT, signal.SIGKILL)
                    _serve(job, commands, answers, integrity)
                finally:
                    os._exit(0)
            _wait_for(child)


def _line(commands: Any) -> bytes:
    """The next line, read byte by byte: what comes after it belongs to whoever reads next. Empty at the end."""
    line = bytearray()
    while (letter := commands.read(1)) and letter != b"\n":
        line += letter
    return bytes(line + letter)


def _write(answers: Any, **what: Any) -> None:
    data = (DUMP(what) + "\n").encode()
    while data:
        data = data[answers.write(data) :]


DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER


def _process_option(option: int, value: int) -> None:
    """Linux's prctl: a submission ends with its grader, and what it leaves behind becomes a child of ours, where the grader finds it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wait_for(child: int) -> None:
    """Wait for a submission to end, and clear away whatever else has ended."""
    ended = 0
    while ended != child:
        ended = os.waitpid(-1, 0)[0]


def _serve(job: dict[str, Any], commands: Any, answers: Any, integrity: Integrity) -> None:
    """Run one submission's cells as they come."""
    token = job["token"]
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    tempfile.tempdir = None  # where it is depends on the environment
    limit_memory(job["memory"])
    shell = _shell()
    refused: list[str] = []
    locked = confine(job["readable"], job["writable"], refused.append)
    running = [False]
    _interruptible(running)
    _write(answers, token=token, event="ready", landlock=locked, pid=os.getpid())
    while line := _line(commands):
        if not line.strip():
            continue
        cell = PARSE_JSON(line)
        run = _run_tests if cell["kind"] == "tests" else _run_cell
        running[0] = True
        try:
            outcome = run(shell, cell, integrity)
        except BaseException as error:  # an interrupt that came between two lines of ours
            outcome = {"status": "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"}
        running[0] = False
        _write(answers, token=token, event="done", name=cell["name"], refused=refused[:20], **outcome)
        refused.clear()


def _interruptible(running: list[bool]) -> None:
    """An interrupt stops the cell that runs, and nothing else."""

    def interrupt(number: int, frame: Any) -> None:
        if running[0]:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def _shell() -> Any:
    """IPython without history, colours and configuration."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Minimal"
    shell: Any = InteractiveShell.instance(config=config)
    shell.display_formatter.active_types = ["text/plain"]  # nobody looks at figures here
    shell.user_ns["__name__"] = "__main__"
    sys.path.append(os.getcwd())
    return shell


def _run_cell(shell: Any, cell: dict[str, Any], integrity: Integrity) -> dict[str, Any]:
    """A student's cell, or one that was given, as a notebook runs it."""
    shell.compile.get_code_name = lambda *_: CELL.format(cell["name"])
    done = shell.run_cell(cell["source"], store_history=False)
    error = done.error_before_exec or done.error_in_exec
    if cell["kind"] == "given":
        GIVEN.update({name: shell.user_ns[name] for name in cell["keeps"] if callable(shell.user_ns.get(name)) or _is_module(shell, name)})
    return {"status": "done"} if error is None else _failure(error)


GIVEN: dict[str, Any] = {}
"""Functions, classes and modules that given cells bound: a test finds them as they were."""


def _is_module(shell: Any, name: str) -> bool:
    return isinstance(shell.user_ns.get(name), type(sys))


def _run_tests(shell: Any, cell: dict[str, Any], integrity: Integrity) -> dict[str, Any]:
    """A cell of tests: done, with the number that its last expression gave if it gave one, or what failed."""
    sys.settrace(None)
    sys.setprofile(None)
    threading.settrace(None)  # type: ignore[arg-type]
    before = integrity.restore()
    shell.user_ns.update(GIVEN)
    name = CELL.format(cell["name"])
    outcome: dict[str, Any] = {"status": "done", "value": None}
    with shell.builtin_trap:
        try:
            outcome["value"] = _number(_value_of(cell["source"], name, shell.user_ns))
        except BaseException as error:  # exit() as well
            outcome = _failure(error)
    during = integrity.restore()
    return outcome | {"replaced": before, "replaced_in_tests": during}


def _value_of(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run the code; the value of its last line where that is an expression, as a notebook shows it."""
    tree = PARSE(source, name)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    EXECUTE(COMPILE(tree, name, "exec", dont_inherit=True), namespace)
    if not isinstance(last, ast.Expr):
        return None
    return EVALUATE(COMPILE(ast.Expression(last.value), name, "eval", dont_inherit=True), namespace)


EVALUATE: Callable[..., Any] = eval


def _number(value: Any) -> float | str | None:
    """Points, as a number; the type's name of anything else that is shown; None for nothing."""
    if value is None:
        return None
    return float(value) if type(value) in (int, float) else type(value).__name__


def _failure(error: BaseException) -> dict[str, Any]:
    """Status, what was said, and where: the line of the tests, and the last line of a cell that is not tests."""
    places = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<cell "):
            places.append((frame.filename[6:-1], frame.lineno))
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith("<cell "):
        places.append((error.filename[6:-1], error.lineno))
    try:
        message = str(error)
    except BaseException:  # an exception of the student's own that cannot say what it is
        message = ""
    if isinstance(error, KeyboardInterrupt):
        return {"status": "interrupted", "places": places}
    return {"status": "failed", "error": type(error).__name__, "message": message[:2000], "places": places}


if __name__ == "__main__":
    main()
