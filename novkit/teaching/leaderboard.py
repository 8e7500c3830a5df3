"""The project's leaderboard: every student's detector, trained within the budget, on a condition that only the teacher knows.

A submission's process gets healthy images to learn from, and after training the test images without labels; the condition, the seed and
the labels stay here, where the scores are measured.
"""

import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from nbformat import NotebookNode

from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.evaluation import Scores, image_metrics, paired_difference
from novkit.files import read_json, replacing, write_json
from novkit.teaching.budget import Budget
from novkit.teaching.conditions import Condition, ProjectData, practice_project
from novkit.teaching.feedback import STYLE
from novkit.teaching.handed_in import Submission, collect, load_sources
from novkit.teaching.messages import lost, of_failure, scrubbed
from novkit.teaching.process import Limits, Worker
from novkit.teaching.submission import find_assignment, hidden_lines, imported_modules, plan_of

PROJECT = "a6_project"
ENTRY = "build_detector"
TRAIN = f"""
import json, numpy as np
from novkit.teaching import budget_check
with np.load("healthy.npz") as kept:
    X_train, X_val = kept["X_train"], kept["X_val"]
board_detector, board_budget = budget_check({ENTRY}, X_train, X_val, 0)
with open("budget.json", "w") as file:
    json.dump([int(board_budget.images_seen), int(board_budget.parameters)], file)
"""
SCORE = """
np.save("scores.npy", np.asarray(board_detector.novelty_score(np.load("test.npy")), dtype=np.float64))
"""


@dataclass(frozen=True)
class Teacher:
    """The teacher's file: what nobody else knows, and the limits."""

    seed: int
    condition: Condition
    limits: Budget
    n_train: int = 400
    n_val: int = 100
    n_test: int = 200

    @classmethod
    def read(cls, path: Path) -> "Teacher":
        """From JSON; DataError names what is missing or cannot be."""
        found = read_json(path, "teacher's file")
        try:
            numbers = {name: int(found[name]) for name in ("n_train", "n_val", "n_test") if name in found}
            condition, limits = Condition(**found["condition"]), Budget(**found["limits"])
            return cls(seed=int(found["seed"]), condition=condition, limits=limits, **numbers)
        except NovkitError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} lacks something or holds something else ({error}): it needs seed, condition and limits.") from error

    def data(self) -> ProjectData:
        """The images of the competition."""
        return practice_project(self.condition, self.seed, n_train=self.n_train, n_val=self.n_val, n_test=self.n_test)


@dataclass
class Entry:
    """One line of the board. beats: the baselines that it is ahead of, the whole interval above 0. trouble: why it has no rank."""

    student: str
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    average_precision: float | None = None
    images_seen: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    beats: list[str] = field(default_factory=list)
    trouble: str = ""
    rank: int | None = None


def make_leaderboard(
    folder: Path,
    teacher_file: Path,
    out: Path,
    *,
    names: Path | None = None,
    source: Path | None = None,
    workers: int = 2,
    report: Callable[[str], object] = print,
) -> list[Entry]:
    """Run every submission of the project below `folder`; write leaderboard.csv and leaderboard.html. What was run already is kept."""
    sources = load_sources(source)
    name = PROJECT if PROJECT in sources else next(iter(sources))
    teacher = Teacher.read(teacher_file)
    submissions = collect(folder, out, names)
    data = teacher.data()
    report(f"{len(submissions)} submissions; the baselines first.")
    baselines = baseline_scores(data)
    own, opened = threading.local(), []
    limits = Limits(cell=teacher.limits.seconds, notebook=2 * teacher.limits.seconds + 60)

    def work(submission: Submission) -> Entry:
        stored = out / "entries" / f"{submission.stem}.json"
        key = _key(submission, teacher_file)
        try:
            kept = read_json(stored)
            if kept["key"] == key:
                return Entry(**kept["entry"])
        except (StoredFileError, KeyError, TypeError):
            pass
        if not hasattr(own, "worker"):
            own.worker = Worker(imported_modules(sources[name]), limits)
            opened.append(own.worker)
        entry = run_entry(submission, name, sources[name], teacher, data, baselines, own.worker, out)
        write_json(stored, {"key": key, "entry": asdict(entry)})
        report(f"{entry.student}: {entry.trouble or f'AUROC {entry.auroc:.3f}'}")
        return entry

    with ThreadPoolExecutor(max(1, min(workers, os.cpu_count() or 1))) as pool:
        try:
            entries = list(pool.map(work, submissions))
        finally:
            for worker in opened:
                worker.close()
    ranked = rank(entries)
    board = {method: float(image_metrics(data.y_test, scores, data.groups_test).auroc) for method, scores in baselines.items()}
    write_board(ranked, board, teacher.limits, out)
    report(f"{out / 'leaderboard.csv'}\n{out / 'leaderboard.html'}")
    return ranked


def _key(submission: Submission, teacher_file: Path) -> str:
    return hashlib.blake2b(submission.file.read_bytes() + teacher_file.read_bytes(), digest_size=12).hexdigest()


def baseline_scores(data: ProjectData) -> dict[str, np.ndarray]:
    """Novelty scores (n_test,) of what is to be beaten: a ready autoencoder, and two that learn from the same images."""
    from novkit.methods import make_detector
    from novkit.ready import ready_detector

    fitted = {
        "autoencoder": ready_detector("autoencoder", device="cpu", progress=False),
        "pixel z-score": make_detector("pixel_zscore", device="cpu", progress=False).fit(data.X_train, data.X_val),
        "fixed statistic": make_detector("statistic", device="cpu", progress=False).fit(data.X_train, data.X_val),
    }
    return {name: detector.novelty_score(data.X_test) for name, detector in fitted.items()}


def run_entry(
    submission: Submission,
    name: str,
    source: NotebookNode,
    teacher: Teacher,
    data: ProjectData,
    baselines: Mapping[str, np.ndarray],
    worker: Worker,
    out: Path,
) -> Entry:
    """Train and score one submission, confined; an entry with `trouble` where that fails or the budget is exceeded."""
    entry = Entry(submission.student)
    try:
        if submission.notebook is None:
            raise DataError(submission.trouble)
        find_assignment(submission.notebook, {name: source})
        plan = plan_of(source, submission.notebook)
        with worker.submission(course_seed=0, cache=out / "cache", keep_cache=None):
            np.savez(worker.folder / "work" / "healthy.npz", X_train=data.X_train, X_val=data.X_val)
            for step in plan.steps:
                if step.kind in ("given", "solution"):
                    cell = {"name": step.name, "kind": step.kind, "source": step.source, "keeps": list(step.keeps)}
                    _must(worker.ask(cell, worker.limits.cell), step.name, worker, alive_only=True)
            steps = {step.name: step for step in plan.steps}
            trained = worker.ask({"name": "training", "kind": "tests", "source": TRAIN, "keeps": []}, teacher.limits.seconds)
            _must(trained, "training", worker, steps=steps, hidden=hidden_lines(source))
            np.save(worker.folder / "work" / "test.npy", data.X_test, allow_pickle=False)
            scored = worker.ask({"name": "scoring", "kind": "tests", "source": SCORE, "keeps": []}, teacher.limits.seconds)
            _must(scored, "scoring", worker, steps=steps, hidden=hidden_lines(source))
            scores, spent = _brought_back(worker.folder / "work", len(data.y_test), trained["seconds"])
    except NovkitError as error:
        entry.trouble = str(error)
        return entry
    return measured(entry, scores, spent, teacher.limits, data, baselines)


def _must(answer: dict[str, Any], name: str, worker: Worker, *, alive_only: bool = False, steps: Any = None, hidden: Any = ()) -> None:
    """DataError with a sentence for the student where a cell did not do what it must."""
    status = answer["status"]
    if status in ("timeout", "interrupted", "memory", "died"):
        raise DataError(f"In {name}: " + lost("time" if status in ("timeout", "interrupted") else status, worker.limits))
    if answer.get("replaced_in_tests"):
        raise DataError(f"In {name}: the code replaces {', '.join(answer['replaced_in_tests'][:3])}.")
    if status == "failed" and not alive_only:
        raise DataError(f"In {name}: " + scrubbed(of_failure(answer, steps or {}, name), hidden))


def _brought_back(folder: Path, n: int, seconds: float) -> tuple[np.ndarray, Budget]:
    """Scores and what was spent, from the submission's folder: read as data, never as code."""
    try:
        for name in ("scores.npy", "budget.json"):
            if (folder / name).is_symlink():
                raise ValueError(f"{name} is a link")
        scores = np.load(folder / "scores.npy", allow_pickle=False)
        images_seen, parameters = (int(value) for value in json.loads((folder / "budget.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"The scores cannot be read ({error}).") from error
    if scores.shape != (n,) or not np.isfinite(scores).all() or np.ptp(scores) == 0:
        raise DataError(f"novelty_score must give {n} finite numbers that differ, one an image; it gave shape {scores.shape}.")
    return scores, Budget(images_seen, parameters, seconds)


def measured(
    entry: Entry, scores: np.ndarray, spent: Budget, limits: Budget, data: ProjectData, baselines: Mapping[str, np.ndarray]
) -> Entry:
    """The entry with metrics, what it beats, and what it exceeds."""
    metrics = image_metrics(data.y_test, scores, data.groups_test)
    entry.auroc, entry.auroc_low, entry.auroc_high = metrics.auroc, metrics.auroc_low, metrics.auroc_high
    entry.average_precision = metrics.average_precision
    entry.images_seen, entry.parameters, entry.seconds = spent.images_seen, spent.parameters, spent.seconds
    own = _scores(data, scores)
    entry.beats = [name for name, other in baselines.items() if paired_difference([own], [_scores(data, other)]).above_zero]
    over = spent.excess(limits)
    entry.trouble = f"Over budget: {over}." if over else ""
    return entry


def _scores(data: ProjectData, score: np.ndarray) -> Scores:
    names = np.arange(len(score)).astype(str)
    condition = np.where(data.y_test == 1, "condition", "healthy")
    return Scores(names, data.groups_test, data.y_test, condition, np.asarray(score, np.float64))


def rank(entries: list[Entry]) -> list[Entry]:
    """Best AUROC first; equal values share a rank; those in trouble come last, without one."""
    fine = sorted((entry for entry in entries if not entry.trouble), key=lambda entry: -(entry.auroc or 0.0))
    for entry in fine:
        entry.rank = 1 + sum((other.auroc or 0.0) > (entry.auroc or 0.0) for other in fine)
    troubled = sorted((entry for entry in entries if entry.trouble), key=lambda entry: entry.student)
    for entry in troubled:
        entry.rank = None
    return [*fine, *troubled]


def write_board(entries: list[Entry], baselines: Mapping[str, float], limits: Budget, out: Path) -> None:
    """leaderboard.csv and leaderboard.html."""
    columns = ["rank", *(f.name for f in fields(Entry) if f.name != "rank")]
    rows = [[_cell(getattr(entry, column)) for column in columns] for entry in entries]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    allowed = f"{limits.images_seen:,} images seen, {limits.parameters:,} parameters, {limits.seconds:g} s"
    beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    head = "".join(f'<th scope="col">{escape(column.replace("_", " "))}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>'
        f"<style>{STYLE} body {{ max-width: 75rem; }}</style></head>\n<body><h1>Leaderboard</h1>\n"
        f"<p>Synthetic brain slices with a condition that nobody had seen. Budget: {allowed}. "
        f"AUROC with its 95 % interval over subjects; baselines: {escape(beside)}. “Beats” means that the whole interval of the paired "
        f"difference lies above 0.</p>\n<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></body></html>\n"
    )
    for name, content in (("leaderboard.csv", text.getvalue()), ("leaderboard.html", page)):
        with replacing(out / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(value)
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
