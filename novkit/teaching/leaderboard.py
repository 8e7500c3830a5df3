"""The project's leaderboard: every student's detector, trained within the budget, on a condition that only the teacher knows.

A submission's process gets healthy images to learn from, and after training the test images without labels; the condition, the seed and
the labels stay here, where the scores are measured.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from nbformat import NotebookNode

from novkit.cores import available_cores
from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.evaluation import Scores, image_metrics, paired_difference
from novkit.files import alone, printable, read_json, remove, write_json
from novkit.teaching.board import Entry, rank, said, write_board
from novkit.teaching.budget import Budget
from novkit.teaching.conditions import Condition, ProjectData, practice_project
from novkit.teaching.handed_in import Submission, collect, load_sources
from novkit.teaching.messages import lost, of_failure, scrubbed
from novkit.teaching.process import Limits, Stopped, Worker
from novkit.teaching.submission import Step, find_assignment, hidden_lines, imported_modules, plan_of

PROJECT = "a6_project"
ENTRY = "build_detector"
LARGEST = 1_000_000  # bytes of a file that a submission leaves
SECONDS = 300.0  # of CPU, where the teacher's file does not limit them
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
        """From JSON; StoredFileError, DataError or SettingsError says what is missing or cannot be."""
        found = read_json(path, "teacher's file")
        try:
            unknown = [key for key in found if key not in {f.name for f in fields(cls)}]
            if unknown:
                raise ValueError(f"it has no place for {unknown[0]!r}")
            whole = {key: _whole(value, key) for key, value in found.items() if key not in ("condition", "limits")}
            limits = {"seconds": SECONDS} | found["limits"]
            if not all(0 < value < float("inf") for value in limits.values()):
                raise ValueError("every limit is a number above 0")
            return cls(condition=Condition(**found["condition"]), limits=Budget(**limits), **whole)
        except NovkitError as error:
            raise type(error)(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path} lacks something or holds something else ({error}): it needs seed, condition and limits.") from error

    def data(self) -> ProjectData:
        """The images of the competition. SettingsError where there are too few."""
        return practice_project(self.condition, self.seed, n_train=self.n_train, n_val=self.n_val, n_test=self.n_test)


def _whole(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r}, not a whole number from 0")
    return value


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
    teacher = Teacher.read(teacher_file)
    with alone(out, "run"):  # a second run would train the same detectors
        submissions = collect(folder, out, names)
        report(f"{len(submissions)} submissions; the baselines and the model solution first.")
        competition = _Competition(teacher, load_sources(source), out)

        def work(submission: Submission) -> Entry:
            entry, is_new = competition.entry(submission, out / "entries" / f"{submission.stem}.json")
            if is_new:
                report(printable(f"{entry.student}: {said(entry)}"))
            return entry

        with ThreadPoolExecutor(max(1, min(workers, available_cores()))) as pool:
            try:
                report(f"model solution, not on the board: {said(pool.submit(competition.solve).result())}")
                ranked = rank(list(pool.map(work, submissions)))
            finally:
                competition.close()
        write_board(ranked, competition.baseline_aurocs(), teacher.limits, out)
        report(printable(f"{out / 'leaderboard.csv'}\n{out / 'leaderboard.html'}", keep="\n"))
        return ranked


class _Competition:
    """What all submissions have in common; each thread has a worker of its own."""

    def __init__(self, teacher: Teacher, sources: Mapping[str, NotebookNode], out: Path) -> None:
        self.name = PROJECT if PROJECT in sources else next(iter(sources))
        self.teacher, self.source, self.out = teacher, sources[self.name], out
        self.data = teacher.data()
        self.baselines = baseline_scores(self.data)
        self.limits = Limits(notebook=2 * teacher.limits.seconds + 60)
        self.cache = out / "cache" / _hash(*(cell.source for cell in self.source.cells))
        self._own = threading.local()
        self._opened: list[Worker] = []

    def solve(self) -> Entry:
        """The model solution tells whether the teacher's file is fair, and fills the cache that all others begin with."""
        model = Submission("model solution", Path(self.name), self.source)
        return self.entry(model, self.out / "model_solution.json", keep_cache=None if self.cache.is_dir() else self.cache)[0]

    def entry(self, submission: Submission, stored: Path, keep_cache: Path | None = None) -> tuple[Entry, bool]:
        """A submission's entry, and whether it is new: what is stored stays, as long as neither the files nor the source change."""
        code = [] if submission.notebook is None else [cell.source for cell in submission.notebook.cells]
        key = _hash(repr(self.teacher), self.cache.name, submission.trouble, *code)
        if keep_cache is None:
            try:
                kept = read_json(stored)
                if kept["key"] == key:
                    return Entry(**kept["entry"]), False
            except (StoredFileError, KeyError, TypeError):
                pass
        entry = Entry(submission.student)
        try:
            scores, spent = self._scores(submission, keep_cache)
            measured(entry, scores, spent, self.teacher.limits, self.data, self.baselines)
        except DataError as error:  # what the set-up lacks is no student's fault, and is raised
            entry.trouble = str(error)
        except (Stopped, NovkitError):  # the set-up, or the run as a whole
            raise
        except Exception as error:  # whatever it is, the others are run; and this one is the next time
            entry.trouble, key = f"It could not be run ({type(error).__name__}): run it again, or look at it yourself.", ""
        write_json(stored, {"key": key, "entry": asdict(entry)})
        return entry, True

    def _scores(self, submission: Submission, keep_cache: Path | None) -> tuple[np.ndarray, Budget]:
        """Train and score one submission, confined. DataError says in which step it failed."""
        if submission.notebook is None:
            raise DataError(submission.trouble)
        find_assignment(submission.notebook, {self.name: self.source})
        plan, worker, seconds = plan_of(self.source, submission.notebook), self._worker(), self.teacher.limits.seconds
        train, score = Step("training", "tests", "", TRAIN), Step("scoring", "tests", "", SCORE)
        steps = {step.name: step for step in (*plan.steps, train, score)}
        hidden = hidden_lines(self.source)
        with worker.submission(course_seed=0, cache=self.cache, keep_cache=keep_cache):
            np.savez(worker.folder / "work" / "healthy.npz", X_train=self.data.X_train, X_val=self.data.X_val)
            for step in plan.steps:  # free cells and tests are left out
                if step.kind in ("given", "solution"):
                    _run(step, worker, worker.limits.cell)
            trained = _must(_run(train, worker, seconds), train, steps, hidden)
            _hand_over(self.data.X_test, worker.folder / "work")
            _must(_run(score, worker, seconds), score, steps, hidden)
            worker.stop()  # from here on nobody writes there
            return _brought_back(worker.folder / "work", len(self.data.y_test), trained["seconds"])

    def _worker(self) -> Worker:
        if not hasattr(self._own, "worker"):
            self._own.worker = Worker(imported_modules(self.source), self.limits)
            self._opened.append(self._own.worker)
        worker: Worker = self._own.worker
        return worker

    def close(self) -> None:
        """End all workers."""
        for worker in self._opened:
            worker.close()

    def baseline_aurocs(self) -> dict[str, float]:
        """Of each baseline, on the images of the competition."""
        y, groups = self.data.y_test, self.data.groups_test
        return {name: float(image_metrics(y, scores, groups).auroc) for name, scores in self.baselines.items()}


def _hash(*texts: str) -> str:
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=12).hexdigest()


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


def _run(step: Step, worker: Worker, seconds: float) -> dict[str, Any]:
    """The answer of a cell that came to an end, well or not; DataError where it had to be stopped."""
    cell = {"name": step.name, "kind": step.kind, "source": step.source, "keeps": list(step.keeps)}
    answer = worker.ask(cell, seconds)
    if answer["status"] in ("timeout", "interrupted"):
        raise DataError(f"In {step.name}: it took longer than {seconds:g} s.")
    if answer["status"] in ("memory", "disk", "died"):
        raise DataError(f"In {step.name}: {lost(answer['status'], worker.limits)}")
    return answer


def _must(answer: dict[str, Any], step: Step, steps: Mapping[str, Step], hidden: Collection[str]) -> dict[str, Any]:
    """The answer of a step that worked; DataError with a sentence for the student where it did not."""
    if answer.get("replaced_in_tests"):
        raise DataError(f"In {step.name}: the code replaces {', '.join(answer['replaced_in_tests'][:3])}.")
    if answer["status"] == "failed":
        raise DataError(f"In {step.name}: {scrubbed(of_failure(answer, steps, step.name), hidden)}")
    return answer


def _hand_over(images: np.ndarray, folder: Path) -> None:
    """Put the test images into the submission's folder; whatever it laid in the way, such as a link or a pipe, is not written to."""
    try:
        if folder.is_symlink():
            raise ValueError("the folder is a link")
        remove(folder / "test.npy")
        with open(folder / "test.npy", "xb") as stream:
            np.save(stream, images, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"In scoring: its folder cannot be written to ({type(error).__name__}).") from error


def _brought_back(folder: Path, n: int, seconds: float) -> tuple[np.ndarray, Budget]:
    """Scores and what was spent, from the submission's folder: read as data, never as code."""
    try:
        for name in ("scores.npy", "budget.json"):
            path = folder / name
            if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
                raise ValueError(f"{name} is not what was written")
        scores = np.load(folder / "scores.npy", allow_pickle=False)
        images_seen, parameters = (int(value) for value in json.loads((folder / "budget.json").read_text(encoding="utf-8")))
        fine = scores.shape == (n,) and scores.dtype == np.float64 and np.isfinite(scores).all() and np.ptp(scores) > 0
    except Exception as error:  # whatever a submission put there
        raise DataError(f"In scoring: the scores cannot be read ({type(error).__name__}).") from error
    if not fine:
        raise DataError(f"In scoring: novelty_score must give {n} finite numbers that differ, one an image; it gave shape {scores.shape}.")
    return scores, Budget(images_seen, parameters, seconds)


def measured(
    entry: Entry, scores: np.ndarray, spent: Budget, limits: Budget, data: ProjectData, baselines: Mapping[str, np.ndarray]
) -> None:
    """Enter metrics, what it beats, and what it exceeds."""
    metrics = image_metrics(data.y_test, scores, data.groups_test)
    entry.auroc, entry.auroc_low, entry.auroc_high = metrics.auroc, metrics.auroc_low, metrics.auroc_high
    entry.average_precision = metrics.average_precision
    entry.images_seen, entry.parameters, entry.seconds = spent.images_seen, spent.parameters, spent.seconds
    own = _scores(data, scores)
    entry.beats = [name for name, other in baselines.items() if paired_difference([own], [_scores(data, other)]).above_zero]
    over = spent.excess(limits)
    entry.trouble = f"Over budget: {over}." if over else ""


def _scores(data: ProjectData, score: np.ndarray) -> Scores:
    names = np.arange(len(score)).astype(str)
    condition = np.where(data.y_test == 1, "condition", "healthy")
    return Scores(names, data.groups_test, data.y_test, condition, np.asarray(score, np.float64))
