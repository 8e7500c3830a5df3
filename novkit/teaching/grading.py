"""Grading one submission: its cells run confined, tests from the source decide the points, and every part gets a verdict in words."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from novkit.errors import DataError
from novkit.teaching.messages import lost, of_failure, scrubbed
from novkit.teaching.process import Limits, Worker
from novkit.teaching.submission import Plan, Step, hidden_lines, imported_modules, parts_of, plan_of

STARTS = 4  # of the process: what ended it is left out the next time


@dataclass
class Check:
    """One cell of tests: points, and what to tell the student. status: "passed", "partly", "failed", "stopped" or "tampered"."""

    name: str
    points: float
    out_of: float
    status: str
    message: str = ""


@dataclass
class PartGrade:
    """One part. points: None while a written answer waits to be read. answer: the written answer. comment: the reader's."""

    part: str
    out_of: float
    points: float | None = 0.0
    checks: list[Check] = field(default_factory=list)
    answer: str | None = None
    comment: str = ""
    manual: bool = False


@dataclass
class Grade:
    """A graded submission. notes: what had to be put right or was refused, in sentences, for the student; seconds: of CPU, in cells."""

    assignment: str
    parts: dict[str, PartGrade] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        """Of the parts that are graded."""
        return float(sum(part.points or 0.0 for part in self.parts.values()))

    @property
    def out_of(self) -> float:
        """Of all parts."""
        return float(sum(part.out_of for part in self.parts.values()))

    @property
    def pending(self) -> float:
        """Points of written answers that nobody has read yet."""
        return float(sum(part.out_of for part in self.parts.values() if part.points is None))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Grade":
        """The inverse of `to_json`."""
        parts = {
            name: PartGrade(**{**part, "checks": [Check(**check) for check in part["checks"]]}) for name, part in stored["parts"].items()
        }
        return cls(**{**stored, "parts": parts})


def grade(
    submitted: NotebookNode,
    source: NotebookNode,
    assignment: str,
    *,
    course_seed: int = 0,
    limits: Limits | None = None,
    worker: Worker | None = None,
    cache: Path | None = None,
    files: Path | None = None,
    keep_cache: Path | None = None,
    only: Collection[str] | None = None,
) -> Grade:
    """Grade a submitted notebook against the source of its assignment.

    course_seed: what hidden tests draw their inputs from. limits: of a worker made for this; worker: one that is there already, for the
    same assignment. cache: a folder of novkit's generated data to begin with, copied. files: a folder whose files lie beside the
    notebook. keep_cache: where to keep the cache that the submission leaves. only: grade these parts, the others are not in the result.
    """
    if worker is None:
        with Worker(imported_modules(source), limits or Limits()) as own:
            return grade(
                submitted,
                source,
                assignment,
                course_seed=course_seed,
                worker=own,
                cache=cache,
                files=files,
                keep_cache=keep_cache,
                only=only,
            )
    plan = plan_of(source, submitted)
    wanted = set(parts_of(source) if only is None else only)
    run = _Run(plan, hidden_lines(source), wanted, worker)
    for _ in range(STARTS):
        if run.open():
            with worker.submission(course_seed=course_seed, cache=cache, files=files, keep_cache=keep_cache):
                run.through()
    run.close()
    parts = {}
    for name, points in parts_of(source).items():
        if name in wanted:
            if name in plan.answers:
                answer = plan.answers[name]
                parts[name] = PartGrade(name, points, 0.0 if answer is None else None, answer=answer, manual=True)
            else:
                checks = [run.checks[step.name] for step in plan.steps if step.kind == "tests" and step.part == name]
                parts[name] = PartGrade(name, points, sum(check.points for check in checks), checks)
    return Grade(assignment, parts, [*plan.notes, *dict.fromkeys(run.notes)], round(run.seconds, 1))


def check_full_marks(result: Grade) -> None:
    """DataError unless a solution earned all that can be earned without a reader: else the set-up is wrong, not the students."""
    lost_points = [part for part in result.parts.values() if part.points is not None and not part.manual and part.points < part.out_of]
    if lost_points:
        first = lost_points[0]
        said = next((check.message for check in first.checks if check.status != "passed"), "")
        raise DataError(f"The solution of {result.assignment} itself loses points in {first.part} ({said}): mend this before grading.")


class _Run:
    """The run of one plan, over as many processes as it takes."""

    def __init__(self, plan: Plan, hidden: list[str], wanted: set[str], worker: Worker) -> None:
        self.plan, self.hidden, self.worker, self.limits = plan, hidden, worker, worker.limits
        self.checks: dict[str, Check] = {}
        self.due = [step.name for step in plan.steps if step.kind == "tests" and step.part in wanted]
        self.skipped: set[str] = set()
        self.troubles: dict[str, str] = {}  # of a part: how its own cell failed
        self.notes: list[str] = []
        self.seconds = self.free = 0.0

    def open(self) -> list[str]:
        """Checks that have no verdict yet."""
        return [name for name in self.due if name not in self.checks]

    def close(self) -> None:
        """A verdict for those that were never reached."""
        for step in self.plan.steps:
            if step.name in self.open():
                self.checks[step.name] = Check(step.name, 0.0, step.points, "stopped", lost("time", self.limits))

    def through(self) -> None:
        """All cells in order, until the last check is done or the process is no more."""
        for step in self.plan.steps:
            if not self.open():
                return
            if step.name in self.skipped or (step.kind == "tests" and step.name not in self.open()):
                continue
            left = self.limits.notebook - self.seconds
            if step.kind == "free":
                left = min(left, self.limits.free - self.free)
                if left <= 0:
                    self.notes.append(f"Cells that are not graded took more than {self.limits.free:g} s: the rest of them was not run.")
                    continue
            if left <= 0:
                return
            cell = {"name": step.name, "kind": step.kind, "source": step.source, "keeps": list(step.keeps)}
            answer = self.worker.ask(cell, min(self.limits.cell, left))
            self.seconds += answer["seconds"]
            self.free += answer["seconds"] if step.kind == "free" else 0.0
            self.notes += [f"Refused in {step.name}: {what}." for what in answer.get("refused", [])]
            self._record(step, answer)
            if answer["status"] in ("timeout", "memory", "disk", "died"):
                self.skipped.add(step.name)
                return

    def _record(self, step: Step, answer: dict[str, Any]) -> None:
        status = answer["status"]
        ended = status in ("timeout", "interrupted", "memory", "disk", "died")
        stopped = lost("time" if status in ("timeout", "interrupted") else status, self.limits) if ended else ""
        if step.kind == "tests":
            self.checks[step.name] = self._stopped(step, stopped) if ended else self._checked(step, answer)
        elif ended:
            self.troubles.setdefault(step.part or step.name, stopped)
            self.notes.append(f"{step.name}: {stopped}")
        elif status == "failed" and step.kind == "solution":
            self.troubles[step.part] = of_failure(answer, self._sources(), step.name)

    def _stopped(self, step: Step, message: str) -> Check:
        """Further tests of a part that was stopped would be stopped as well."""
        for other in self.plan.steps:
            if other.kind == "tests" and other.part == step.part and other.name in self.open():
                self.checks[other.name] = Check(other.name, 0.0, other.points, "stopped", f"Not run, because {step.name} was stopped.")
        return Check(step.name, 0.0, step.points, "stopped", message)

    def _checked(self, step: Step, answer: dict[str, Any]) -> Check:
        if answer.get("replaced"):
            names = ", ".join(answer["replaced"][:5])
            self.notes.append(f"Tampering: {names} had been replaced before {step.name}; the originals were put back.")
        if answer.get("replaced_in_tests"):
            names = ", ".join(answer["replaced_in_tests"][:5])
            self.notes.append(f"Tampering: {names} was replaced while {step.name} ran.")
            return Check(step.name, 0.0, step.points, "tampered", "Your code replaces what the tests rely on: no points.")
        if answer["status"] == "failed":
            message = of_failure(answer, self._sources(), step.name, trouble=self.troubles.get(step.part, ""))
            return Check(step.name, 0.0, step.points, "failed", scrubbed(message, self.hidden))
        value = answer.get("value")
        if not isinstance(value, int | float):
            return Check(step.name, step.points, step.points, "passed")
        points = min(float(value), step.points) if value >= 0 else 0.0  # NaN is not >= 0
        status = "passed" if points == step.points else "partly" if points else "failed"
        return Check(step.name, points, step.points, status, "" if status == "passed" else "Some of the checks fail.")

    def _sources(self) -> dict[str, Step]:
        return {step.name: step for step in self.plan.steps}
