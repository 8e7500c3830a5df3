"""One job: fit once, measure every set-up, store; what is done already is not done again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from novkit.baselines import OracleStatistic
from novkit.data.dataset import ImageDataset
from novkit.data.setups import Setup, other_labels
from novkit.detector import Detector
from novkit.distortions.unseen import UNSEEN
from novkit.evaluation import image_metrics, pixel_metrics
from novkit.experiments.cost import Cost, measured
from novkit.experiments.jobs import Job, build_setups, load_for
from novkit.experiments.plans import SETTINGS_TRIED
from novkit.experiments.sharing import given_cost, hand_on
from novkit.files import remove
from novkit.methods import make_detector
from novkit.results import Record, Scores, add_record, load_results, provenance
from novkit.tend import Tend

PANEL = 4  # images of each class kept as examples


def run_job(
    job: Job,
    folder: Path,
    *,
    device: str = "auto",
    progress: bool = True,
    datasets: dict[Any, ImageDataset] | None = None,
    heirs: Sequence[str] = (),
) -> list[Record]:
    """Fit one detector and measure it on each of its set-ups; what is done is not done again.

    datasets: keeps the data set for the next job. heirs: names of jobs that begin with the same training, which is handed on to them.
    """
    done = finished(job, folder, device, progress=progress, datasets=datasets)
    if done:
        return done
    dataset = load_for(job, datasets, progress=progress)
    detector = _detector(job, folder, device, progress)
    setups = build_setups(job, dataset)
    first = setups[0]
    if isinstance(detector, Tend) and detector.settings.faithful.looks_at_test:
        detector.leak_test(first.X_test, first.y_test)  # asked for, to measure what the leak is worth
    with measured(detector.device) as cost_fit:
        detector.fit(first.X_train, first.X_calibration, X_threshold=first.X_threshold)
    hand_on(folder, job.name, heirs, cost_fit.megabytes)
    given = given_cost(folder, job.name)
    cost_fit.seconds += given.seconds
    cost_fit.megabytes = max(cost_fit.megabytes, given.megabytes)
    blanks = iter(_blank_records(job, dataset, detector))
    found: list[tuple] = []
    for changes in ({}, *(changes for _, changes in job.rescored)):
        scorer = detector.rescored(changes, first.X_calibration, first.X_threshold) if changes else detector  # type: ignore[attr-defined]
        found += [_measure(next(blanks), setup, scorer, cost_fit, *parts) for setup, parts in _assess(setups, scorer)]
    detector.save(folder / "detectors" / job.name)  # before the records, which say that the job is done
    records = [add_record(folder, record, scores, history=history, examples=panel) for record, scores, history, panel in found]
    remove(folder / "work" / job.name)
    return records


def _detector(job: Job, folder: Path, device: str, progress: bool) -> Detector:
    return make_detector(
        job.method, job.profile, changes=job.changes, seed=job.seed, device=device, progress=progress, workdir=folder / "work" / job.name
    )


def finished(job: Job, folder: Path, device: str, *, progress: bool, datasets: dict[Any, ImageDataset] | None = None) -> list[Record]:
    """The job's records, where every case has one of the same run, settings and data; else none."""
    existing = load_results(folder) if (folder / "results.json").exists() else []
    if not any((r.method, r.seed, r.variant) == (job.method, job.seed, job.variant) for r in existing):
        return []
    detector = _detector(job, folder, device, False)
    wanted = _blank_records(job, load_for(job, datasets, progress=progress), detector)
    defaults = replace(wanted[0], settings=asdict(type(detector.settings)())).settings
    stored = {_decided_by(record, defaults): record for record in existing}
    keys = [_decided_by(record, defaults) for record in wanted]
    return [stored[key] for key in keys] if all(key in stored for key in keys) else []


def _decided_by(record: Record, defaults: dict[str, Any]) -> tuple[str, str, str]:
    """What makes two records the same measurement. A setting that a record lacks came later: its default is what was done before."""
    return record.run, json.dumps(defaults | record.settings, sort_keys=True), record.data_fingerprint


def _blank_records(job: Job, dataset: ImageDataset, detector: Detector) -> list[Record]:
    """What is known of each case before anything is measured: every case as trained, then every case of each rescoring."""
    unmeasured: dict[str, Any] = dict.fromkeys(("auroc", "auroc_low", "auroc_high", "average_precision", "fpr95"), 0.5)
    unmeasured |= dict.fromkeys(("seconds_fit", "seconds_score", "peak_memory_mb"), 0.0) | {"n_train": 0, "n_test": 0}
    known: dict[str, Any] = {
        "method": job.method,
        "dataset": dataset.name,
        "normal": job.normal,
        "seed": job.seed,
        "profile": job.profile,
        "n_settings_tried": SETTINGS_TRIED.get(job.method, 1),
        "data_fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        **provenance(detector.device),
    }
    ways = [(job.variant, detector.settings), *((name, replace(detector.settings, **changes)) for name, changes in job.rescored)]
    rest = other_labels(dataset, job.normal)
    return [
        Record(
            setup=kind,
            novel=novel or (tuple(UNSEEN) if kind == "generated_ood" else rest),
            part_of_rest=kind == "one_vs_rest" and bool(novel) and not set(rest) <= set(novel),
            variant=variant,
            settings=asdict(settings),
            **unmeasured,
            **known,
        )
        for variant, settings in ways
        for kind, novel in job.cases
    ]


def _assess(setups: Sequence[Setup], detector: Detector) -> Iterator[tuple[Setup, tuple[dict[str, np.ndarray], np.ndarray | None, Cost]]]:
    """Score and map every test image of each set-up; images that several set-ups test are scored once."""
    known: dict[int, int] = {}  # row of the data set -> row of what is kept
    kept: tuple[dict[str, np.ndarray], np.ndarray | None] | None = None
    for setup in setups:
        if isinstance(detector, OracleStatistic):
            detector.choose_on_test(setup.X_test, setup.y_test)
        own = setup.kind == "generated_ood" or isinstance(detector, OracleStatistic)
        rows = setup.split.test
        new = rows if own else np.array([row for row in rows if row not in known], dtype=rows.dtype)
        with measured(detector.device) as cost:
            parts = detector.assess(setup._images(new)) if len(new) else None
        if own:
            assert parts is not None
            yield setup, (*parts, cost)
            continue
        if parts is not None:
            known |= {int(row): len(known) + number for number, row in enumerate(new)}
            kept = parts if kept is None else _joined(kept, parts)
        assert kept is not None
        at = np.array([known[int(row)] for row in rows])
        yield setup, ({name: values[at] for name, values in kept[0].items()}, None if kept[1] is None else kept[1][at], cost)


def _joined(
    a: tuple[dict[str, np.ndarray], np.ndarray | None], b: tuple[dict[str, np.ndarray], np.ndarray | None]
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    maps = None if a[1] is None or b[1] is None else np.concatenate([a[1], b[1]])
    return {name: np.concatenate([a[0][name], b[0][name]]) for name in a[0]}, maps


def _measure(
    blank: Record,
    setup: Setup,
    detector: Detector,
    cost_fit: Cost,
    components: dict[str, np.ndarray],
    maps: np.ndarray | None,
    cost: Cost,
) -> tuple[Record, Scores, list[dict[str, Any]] | None, dict[str, np.ndarray]]:
    """What is stored of one case: its metrics as a record, scores, training curves, examples."""
    y, table = setup.y_test, setup.test_table
    score = components.pop("score")
    metrics = image_metrics(y, score, table["group"].to_numpy(), seed=blank.seed)
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
        "n_test": len(y),
        "seconds_fit": cost_fit.seconds,
        "seconds_score": cost.seconds,
        "peak_memory_mb": max(cost_fit.megabytes, cost.megabytes),
        "images_seen": sum(epoch["images"] for epoch in history),
        "steps": sum(epoch["steps"] for epoch in history),
    }
    of_patches = {name: values for name, values in components.items() if values.ndim > 1}  # large: kept for the panel alone
    scores = Scores(
        id=table["id"].to_numpy(),
        group=_groups_of(setup, blank.seed),
        label=y,
        condition=table["label"].to_numpy(),
        score=score,
        components={name: values for name, values in components.items() if name not in of_patches},
        area=None if masks is None else masks.reshape(len(masks), -1).mean(axis=1),
    )
    return Record(**values), scores, history or None, _panel(setup, detector, score, maps, of_patches)


def _groups_of(setup: Setup, seed: int) -> np.ndarray:
    """Names of the test images' groups. Another seed draws other synthetic subjects: over several seeds they must not pass for the same."""
    names = setup.test_table["group"]
    return (f"{seed}/" + names if setup.dataset.synthetic else names).to_numpy()


def _panel(
    setup: Setup, detector: Detector, score: np.ndarray, maps: np.ndarray | None, of_patches: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A few images of each class, the first of the test set: never chosen by their score."""
    labels = setup.test_table["label"].to_numpy()
    rows = np.concatenate([np.flatnonzero(labels == name)[:PANEL] for name in sorted(set(labels), key=lambda n: (n in setup.novel, n))])
    X = setup._images(setup.split.test[rows])
    panel = {"images": X, "labels": labels[rows].astype(str), "scores": score[rows], "threshold": np.float64(detector.threshold_)}
    if maps is not None:
        panel["maps"] = maps[rows].astype(np.float16)
    if setup.test_masks is not None:
        panel["masks"] = setup.test_masks[rows]
    panel |= {name: values[rows].astype(np.float32) for name, values in of_patches.items()}
    if hasattr(detector, "reconstruct"):
        panel["reconstructions"] = np.rint(detector.reconstruct(X) * 255).astype(np.uint8)
    if hasattr(detector, "masked"):
        panel["masked"] = detector.masked(X)
    return panel
