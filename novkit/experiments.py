"""Recipes: method × data set × set-ups × seed → records with scores, skipped where they are done already."""

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from tqdm.auto import tqdm

from novkit.baselines import OracleStatistic
from novkit.data import load
from novkit.data.dataset import ImageDataset
from novkit.data.setups import Setup, generated_ood, one_vs_rest, rest_vs_one
from novkit.detector import Detector, pick_device
from novkit.distortions.unseen import UNSEEN
from novkit.errors import DataError, SettingsError
from novkit.evaluation import image_metrics, pixel_metrics
from novkit.methods import make_detector
from novkit.results import SETUPS, Record, Scores, add_record, load_results, provenance
from novkit.seeding import RESERVED_SEEDS

SETTINGS_TRIED = {"tend": 15, "autoencoder": 4, "pixel_zscore": 1, "statistic": 1, "statistic_oracle": 1}
"""How many settings of each method were compared on development seeds before any result was reported: results/NOTES.md lists them."""

PANEL = 4  # images of each class kept as examples


@dataclass(frozen=True, kw_only=True)
class Job:
    """One detector, trained once, and the set-ups it is measured on: they share their training images.

    dataset: a name or path for `load`, with its `options`. cases: (set-up, novel classes) pairs; generated_ood takes no classes.
    changes: settings that differ from the profile's. variant: what to call them.
    """

    method: str
    dataset: str
    normal: tuple[str, ...]
    cases: tuple[tuple[str, tuple[str, ...]], ...]
    seed: int
    profile: str = "quick"
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    variant: str = ""

    def __post_init__(self) -> None:
        for kind, _ in self.cases:
            if kind not in SETUPS:
                raise SettingsError(f"There is no set-up {kind!r}: choose one of {', '.join(SETUPS)}.")

    @property
    def name(self) -> str:
        """Readable, and safe as a file name."""
        words = (Path(self.dataset).stem, *self.normal, self.method, self.variant, f"seed{self.seed}")
        return "-".join("".join(c if c.isalnum() else "_" for c in word)[:24] for word in words if word)


def build_setups(job: Job, dataset: ImageDataset) -> list[Setup]:
    """The set-ups of a job's cases; they train on the same images. Raises DataError where they would not."""
    setups = []
    for kind, novel in job.cases:
        if kind == "generated_ood":
            beside = sorted({name for _, others in job.cases for name in others})
            setups.append(generated_ood(dataset, job.normal, seed=job.seed, beside=beside))
        elif kind == "rest_vs_one":
            setups.append(rest_vs_one(dataset, novel[0], seed=job.seed))
        else:
            setups.append(one_vs_rest(dataset, job.normal[0], seed=job.seed, novel=novel or None))
    first = setups[0].X_train
    if any(len(s.split.train) != len(first) or not np.array_equal(s.X_train, first) for s in setups[1:]):
        raise DataError(f"The set-ups of {job.name} train on different images: give each a job of its own.")
    return setups


def load_for(job: Job, cache: dict[Any, ImageDataset] | None = None, *, progress: bool = True) -> ImageDataset:
    """The job's data set; embedded data is generated from the job's seed. `cache` keeps the last one."""
    embedded = job.dataset in ("brain", "skin")
    options = {**job.options, **({"seed": job.seed} if embedded else {})}
    key = (job.dataset, repr(sorted(options.items())))
    if cache is not None and key in cache:
        return cache[key]
    dataset = load(job.dataset, **options, progress=progress)
    if cache is not None:
        cache.clear()
        cache[key] = dataset
    return dataset


def run_jobs(jobs: Sequence[Job], folder: str | Path, *, device: str = "auto", progress: bool = True) -> list[Record]:
    """Run every job whose records are not in `folder` yet; returns all records of these jobs. Killed runs resume."""
    folder = Path(folder)
    datasets: dict[Any, ImageDataset] = {}
    records: list[Record] = []
    bar = tqdm(jobs, desc="Experiments", unit="run", disable=not progress, position=0)
    for job in bar:
        bar.set_postfix_str(job.name)
        records += run_job(job, folder, device=device, progress=progress, datasets=datasets)
    return records


def run_job(
    job: Job, folder: Path, *, device: str = "auto", progress: bool = True, datasets: dict[Any, ImageDataset] | None = None
) -> list[Record]:
    """Fit one detector and measure it on each of its set-ups."""
    dataset = load_for(job, datasets, progress=progress)
    detector = make_detector(
        job.method, job.profile, changes=job.changes, seed=job.seed, device=device, progress=progress, workdir=folder / "work" / job.name
    )
    # a case is done when a record of the same run has the same settings and data
    wanted = _blank_records(job, dataset, detector)
    done = {(r.run, repr(r.settings), r.data_fingerprint): r for r in _existing(folder)}
    keys = [(r.run, repr(r.settings), r.data_fingerprint) for r in wanted]
    if all(key in done for key in keys):
        return [done[key] for key in keys]

    setups = build_setups(job, dataset)
    with measured(detector.device) as cost_fit:
        detector.fit(setups[0].X_train, setups[0].X_calibration, X_threshold=setups[0].X_threshold)
    records = []
    for blank, setup in zip(wanted, setups, strict=True):
        records.append(_measure(blank, setup, detector, folder, cost_fit))
    detector.save(folder / "detectors" / job.name)
    shutil.rmtree(folder / "work" / job.name, ignore_errors=True)
    return records


def _existing(folder: Path) -> list[Record]:
    return load_results(folder) if (folder / "results.json").exists() else []


def _blank_records(job: Job, dataset: ImageDataset, detector: Detector) -> list[Record]:
    """What is known of each case before anything is measured."""
    known = provenance(detector.device)
    blanks = []
    for kind, novel in job.cases:
        names = novel or (tuple(UNSEEN) if kind == "generated_ood" else tuple(sorted(set(map(str, dataset.labels)) - set(job.normal))))
        blanks.append(
            Record(
                method=job.method,
                dataset=dataset.name,
                setup=kind,
                normal=job.normal,
                novel=names,
                seed=job.seed,
                profile=job.profile,
                variant=job.variant,
                n_settings_tried=SETTINGS_TRIED.get(job.method, 1),
                auroc=0.5,
                auroc_low=0.5,
                auroc_high=0.5,
                average_precision=0.5,
                fpr95=0.5,
                n_train=0,
                n_test=0,
                seconds_fit=0.0,
                seconds_score=0.0,
                peak_memory_mb=0.0,
                settings=asdict(detector.settings),
                data_fingerprint=dataset.fingerprint,
                synthetic=dataset.synthetic,
                **known,
            )
        )
    return blanks


def _measure(blank: Record, setup: Setup, detector: Detector, folder: Path, cost_fit: "Cost") -> Record:
    """Score the test set of one case, and store record, scores, training curves and examples."""
    X, y, table = setup.X_test, setup.y_test, setup.test_table
    if isinstance(detector, OracleStatistic):
        detector.choose_on_test(X, y)
    with measured(detector.device) as cost:
        components = detector.components(X)
    score = components.pop("score")
    metrics = image_metrics(y, score, table["group"].to_numpy(), seed=blank.seed)
    maps = detector.novelty_map(X) if detector.has_map else None
    masks = setup.test_masks
    pixel: dict[str, float] = {}
    if maps is not None and masks is not None and masks.any():
        at = pixel_metrics(maps, masks, setup.test_body)
        pixel = {
            "pixel_auroc": at.auroc,
            "pixel_average_precision": at.average_precision,
            "pixel_dice": at.best_dice,
            "pixel_pro": at.pro30,
        }
    history = [epoch for part in getattr(detector, "history_", {}).values() for epoch in part.epochs]
    values = {
        **{name: getattr(blank, name) for name in blank.__dataclass_fields__},
        **asdict(metrics),
        **pixel,
        "n_train": len(setup.split.train),
        "n_test": len(X),
        "seconds_fit": cost_fit.seconds,
        "seconds_score": cost.seconds,
        "peak_memory_mb": max(cost_fit.megabytes, cost.megabytes),
        "images_seen": sum(epoch["images"] for epoch in history),
        "steps": sum(epoch["steps"] for epoch in history),
    }
    scores = Scores(
        id=table["id"].to_numpy(),
        group=table["group"].to_numpy(),
        label=y,
        condition=table["label"].to_numpy(),
        score=score,
        components=components,
        area=None if masks is None else masks.reshape(len(masks), -1).mean(axis=1),
    )
    return add_record(folder, Record(**values), scores, history=history or None, examples=_panel(setup, detector, score, maps))


def _panel(setup: Setup, detector: Detector, score: np.ndarray, maps: np.ndarray | None) -> dict[str, np.ndarray]:
    """A few images of each class, the first of the test set: never chosen by their score."""
    labels = setup.test_table["label"].to_numpy()
    rows = np.concatenate([np.flatnonzero(labels == name)[:PANEL] for name in sorted(set(labels), key=lambda n: (n in setup.novel, n))])
    X = setup.X_test[rows]
    panel = {"images": X, "labels": labels[rows].astype(str), "scores": score[rows], "threshold": np.float64(detector.threshold_)}
    if maps is not None:
        panel["maps"] = maps[rows].astype(np.float16)
    if setup.test_masks is not None:
        panel["masks"] = setup.test_masks[rows]
    if hasattr(detector, "reconstruct"):
        panel["reconstructions"] = np.rint(detector.reconstruct(X) * 255).astype(np.uint8)
    return panel


# ---- cost ------------------------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """Seconds and peak memory (process, or GPU where one computes) of a `measured` block."""

    seconds: float = 0.0
    megabytes: float = 0.0


@contextmanager
def measured(device: str) -> Iterator[Cost]:
    """Measure the block; the process's memory is sampled twenty times a second."""
    cost = Cost()
    cuda = pick_device(device).type == "cuda"
    process, ended = psutil.Process(), threading.Event()
    if cuda:
        torch.cuda.reset_peak_memory_stats()

    def watch() -> None:
        while True:
            cost.megabytes = max(cost.megabytes, process.memory_info().rss / 2**20)
            if ended.wait(0.05):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.perf_counter()
    watcher.start()
    try:
        yield cost
        if cuda:
            torch.cuda.synchronize()
    finally:
        ended.set()
        watcher.join()
        cost.seconds = time.perf_counter() - start
        if cuda:
            cost.megabytes = torch.cuda.max_memory_allocated() / 2**20


# ---- the plan of `novkit reproduce` ----------------------------------------------------------------------------------

REPRODUCED = ("tend", "autoencoder", "pixel_zscore", "statistic", "statistic_oracle")
BRAIN_CONDITIONS = ("glioma", "ms", "infarct", "haemorrhage", "ventricles")
BRAIN_HEALTHY = 4800  # images, of 1200 subjects
DIGITS = ("0", "1", "8")  # [O] three one-vs-rest tasks on real data that take seconds


def reproduction(profile: str = "quick", seeds: Sequence[int] = RESERVED_SEEDS[:1], methods: Sequence[str] = REPRODUCED) -> list[Job]:
    """Every run of the quick or paper profile on the embedded data."""
    size = {"quick": 64, "paper": 256}[profile]
    brain = (*(("one_vs_rest", (condition,)) for condition in BRAIN_CONDITIONS), ("generated_ood", ()))
    skin = (("one_vs_rest", ("atypical",)), ("generated_ood", ()))
    jobs = []
    for seed in seeds:
        common: dict[str, Any] = {"seed": seed, "profile": profile}
        options = {"size": size, "n_healthy": BRAIN_HEALTHY}
        jobs += [Job(method=m, dataset="brain", normal=("healthy",), cases=brain, options=options, **common) for m in methods]
        jobs += [Job(method=m, dataset="skin", normal=("benign",), cases=skin, options={"size": size}, **common) for m in methods]
        for digit in DIGITS:
            jobs += [Job(method=m, dataset="digits", normal=(digit,), cases=(("one_vs_rest", ()),), **common) for m in methods]
    return jobs


def reproduction_on(
    path: str | Path,
    normal: Sequence[str],
    novel: Sequence[str],
    *,
    profile: str = "quick",
    seeds: Sequence[int] = RESERVED_SEEDS[:1],
    methods: Sequence[str] = REPRODUCED,
    options: dict[str, Any] | None = None,
) -> list[Job]:
    """The same on one's own images: one-vs-rest on the named classes, and generated OOD."""
    cases = (("one_vs_rest", tuple(novel)), ("generated_ood", ()))
    return [
        Job(method=m, dataset=str(path), normal=tuple(normal), cases=cases, seed=s, profile=profile, options=dict(options or {}))
        for s in seeds
        for m in methods
    ]
