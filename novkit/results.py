"""Measured results on disk: one record a run, with the scores it came from. docs/results.md describes the files."""

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from novkit.data.arrays import read_npz
from novkit.data.untrusted import is_file
from novkit.errors import DataError, StoredFileError
from novkit.evaluation import Scores, mean_auroc
from novkit.files import read_json, replacing, write_json
from novkit.images import check_images
from novkit.provenance import provenance
from novkit.records import METHODS, NOT_DRAWN, PAPERS, PROFILES, SETUPS, UPPER_BOUND, UPPER_BOUND_NOTE, Record, is_finite, is_text

__all__ = [
    "METHODS", "PAPERS", "PROFILES", "SETUPS", "UPPER_BOUND", "UPPER_BOUND_NOTE", "Record", "Scores", "add_record", "arrange_records",
    "auroc_intervals", "load_examples", "load_history", "load_results", "load_scores", "provenance", "save_results", "summary", "to_frame",
]  # fmt: skip

SCHEMA = 1


# ---- reading and writing ---------------------------------------------------------------------------------------------


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / "results.json"


def load_results(path: str | Path) -> list[Record]:
    """Read a results folder, or its results.json. StoredFileError, naming file and field, where it is not what `save_results` writes."""
    file = _file(path)
    content = read_json(file, "results file")
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or not isinstance(content.get("records"), list):
        raise StoredFileError(f"{file} is no results file of schema {SCHEMA}: measure it again with this novkit.")
    records = [_parse(values, f"Record {index} of {file}") for index, values in enumerate(content["records"])]
    for index, record in enumerate(records):
        if record.scores and not is_file(_inside(file.parent, record.scores, f"Record {index} of {file}")):
            raise StoredFileError(f"Record {index} of {file} names the scores {record.scores}, which are missing: measure it again.")
    return records


def save_results(folder: str | Path, records: Iterable[Record]) -> Path:
    """Write `records` as the folder's results.json, replacing what was there; returns its path."""
    file = _file(folder)
    write_json(file, {"schema": SCHEMA, "records": [dataclasses.asdict(record) for record in records]})
    return file


def add_record(
    folder: str | Path,
    record: Record,
    scores: Scores,
    *,
    history: Sequence[Mapping[str, Any]] | None = None,
    examples: Mapping[str, np.ndarray] | None = None,
) -> Record:
    """Add one run to a results folder, replacing an earlier record of the same run; several processes may add at once.

    scores: the test images' scores. history: the epochs of training, for curves.
    examples: arrays of a small fixed panel of test images, see docs/results.md; left out where they are too large for a page.
    Returns the record as stored, with the name of its scores. Raises DataError where record and scores are not of the same run,
    StoredFileError where the folder cannot be read or written.
    """
    if len(scores) != record.n_test:
        raise DataError(f"The record counts {record.n_test} test images but there are {len(scores)} scores: pass those of the same run.")
    folder = Path(folder)
    packed = _packed(_columns(scores))
    # the name holds a hash of the content: an old record never points at new scores, whenever a run is killed
    name = f"scores/{record.run}-{hashlib.sha256(packed).hexdigest()[:8]}.npz"
    _write_bytes(folder / name, packed)
    if history is not None:
        write_json(folder / "curves" / f"{record.run}.json", [dict(epoch) for epoch in history])
    if examples is not None:
        panel = folder / "examples" / f"{record.run}.npz"
        if _too_large(examples):
            panel.unlink(missing_ok=True)  # of an earlier measurement of this run
        else:
            _write_bytes(panel, _packed(examples))
    stored = dataclasses.replace(record, scores=name)
    with _locked(folder):
        records = load_results(folder) if _file(folder).exists() else []
        old = {other.scores for other in records if other.run == record.run} - {name, ""}
        save_results(folder, [other for other in records if other.run != record.run] + [stored])
        for outdated in old:
            if outdated.startswith("scores/"):  # a changed results.json could name anything
                (folder / outdated).unlink(missing_ok=True)
    return stored


def arrange_records(folder: str | Path, last: Iterable[Record]) -> None:
    """Put these runs last in the folder's results.json, in their order: that in which they were finished is no result."""
    place = {record.run: number for number, record in enumerate(last)}
    with _locked(Path(folder)):
        records = load_results(folder)
        arranged = sorted(records, key=lambda record: place.get(record.run, -1))
        if arranged != records:
            save_results(folder, arranged)


def load_scores(folder: str | Path, record: Record) -> Scores:
    """The test images and scores of a stored record. Raises StoredFileError where it has none, or they are missing or damaged."""
    if not record.scores:
        raise StoredFileError(f"The run {record.run} was stored without scores: measure it again.")
    path = _inside(Path(folder), record.scores, f"The run {record.run}")
    arrays = _unpacked(path)
    columns = {name: arrays.pop(name, None) for name in ("id", "group", "label", "condition", "score", "area")}
    for name, value in columns.items():
        if value is None and name != "area":
            raise StoredFileError(f"The scores {path} lack the column {name!r}: measure the run again.")
    try:
        return Scores(**columns, components=arrays)  # type: ignore[arg-type]
    except DataError as error:
        raise StoredFileError(f"The scores {path} are damaged ({error})") from error


def load_history(folder: str | Path, record: Record) -> list[dict[str, Any]] | None:
    """The epochs of a run's training, None where none were stored. Raises StoredFileError where they are damaged."""
    path = Path(folder) / "curves" / f"{record.run}.json"
    if not path.exists():
        return None
    epochs = read_json(path, "training history")
    if not isinstance(epochs, list) or not all(isinstance(epoch, dict) for epoch in epochs):
        raise StoredFileError(f"The training history {path} is no list of epochs: measure the run again.")
    problem = _history_problem(epochs)
    if problem:
        raise StoredFileError(f"The training history {path} {problem}: measure the run again.")
    return epochs


def load_examples(folder: str | Path, record: Record) -> dict[str, np.ndarray] | None:
    """The arrays of a run's fixed panel of test images, None where none were stored. Raises StoredFileError where they are damaged."""
    path = Path(folder) / "examples" / f"{record.run}.npz"
    if not path.exists():
        return None
    arrays = _unpacked(path, _PANEL_BYTES)
    problem = _too_large(arrays) or _examples_problem(arrays)
    if problem:
        raise StoredFileError(f"The examples {path} {problem}: measure the run again.")
    return arrays


_MOST_CURVES = 300  # values of an epoch, and stages of a training: each is drawn


def _history_problem(epochs: Sequence[Mapping[str, Any]]) -> str | None:
    """What keeps epochs from being drawn, as the end of a sentence; None where nothing does."""
    for number, epoch in enumerate(epochs):
        for key, value in epoch.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_text(key) or (is_number and not is_finite(value)):
                return f"holds a value that cannot be drawn, {key[:40]!a} of entry {number}"
        if not isinstance(epoch.get("epoch", number), int):
            return f"has no whole number as the epoch of entry {number}"
        if not is_text(epoch.get("phase", "")):
            return f"has no text as the phase of entry {number}"
    if epochs and not any(is_finite(value) for epoch in epochs for key, value in epoch.items() if key not in NOT_DRAWN):
        return "holds no numbers to draw"
    counts = [epoch.get("epoch", number) for number, epoch in enumerate(epochs)]
    stages = sum(b <= a or e.get("phase") != d.get("phase") for a, b, d, e in zip(counts, counts[1:], epochs, epochs[1:], strict=False))
    if max(len({key for epoch in epochs for key in epoch}), stages) > _MOST_CURVES:
        return f"holds more than {_MOST_CURVES} values an epoch or stages"
    return None


# Whoever opens a page of results waits for all its panels to be drawn: half a gigabyte of memory and a second or two each at most
_PANEL_BYTES = 2**28  # of all arrays of a panel
_PANEL_IMAGES = 1000
_PANEL_PIXELS = 2**22  # of all images of a panel together, such as 16 of 512 × 512


def _too_large(arrays: Mapping[str, Any]) -> str | None:
    """What keeps a panel out of a page, as the end of a sentence; None where nothing does."""
    shape = np.shape(arrays.get("images", ()))
    n, height, width = shape[0] if shape else 0, *([1, 1, *shape[1:]][-2:])
    if n > _PANEL_IMAGES or n * height * width > _PANEL_PIXELS:
        return f"hold {n} images of {width}×{height}, too many or too large for a page"
    size = sum(np.asarray(value).nbytes for value in arrays.values())
    return f"take {size >> 20} MiB, too much for a page" if size > _PANEL_BYTES else None


def _examples_problem(arrays: Mapping[str, np.ndarray]) -> str | None:
    """What keeps a panel from being shown, as the end of a sentence; None where nothing does."""
    for name in ("images", "labels", "scores"):
        if name not in arrays:
            return f"lack the array {name!r}"
    try:
        "".join(arrays["labels"].ravel().tolist()).encode()
    except (TypeError, ValueError):  # numbers, or half of a surrogate pair
        return "hold labels that are no text"
    try:
        for name in {"images", "reconstructions", "masked"} & arrays.keys():
            check_images(arrays[name], what=name)
    except DataError as error:
        return f"are damaged ({error})"
    n, _, height, width = shape = arrays["images"].shape
    fitting = {(n,): ("labels", "scores"), (n, height, width): ("maps", "masks"), shape: ("reconstructions", "masked")}
    for name, wanted in ((name, wanted) for wanted, names in fitting.items() for name in names):
        if name in arrays and arrays[name].shape != wanted:
            return f"hold {name} of shape {arrays[name].shape} beside images of {shape}"
    patches = arrays.get("patch_scores", np.zeros((n, 1)))
    if patches.ndim != 2 or len(patches) != n or not 1 <= patches.shape[1] <= height * width:
        return f"hold patch_scores of shape {patches.shape} beside images of {shape}"
    for name in ("scores", "maps", "masks", "patch_scores"):
        values = arrays.get(name, np.zeros(1))
        if values.dtype.kind not in "biuf" or np.isnan(values).any() or not (name == "maps" or np.isfinite(values).all()):
            return f"hold {name} that are no finite numbers"
    return None


def _parse(values: Any, where: str) -> Record:
    if not isinstance(values, dict):
        raise StoredFileError(f"{where} is not a table of names and values: measure it again.")
    known = {f.name: f for f in dataclasses.fields(Record)}
    for name in values:
        if name not in known:
            raise StoredFileError(f"{where} has an unknown field {name!r}: it was written by another novkit, measure it again.")
    for name, f in known.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise StoredFileError(f"{where} lacks the field {name!r}: measure it again.")
    try:
        return Record(**values)
    except DataError as error:
        raise StoredFileError(f"{where} cannot be used. {error}") from error


def _inside(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    try:
        inside = not Path(name).is_absolute() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # a name that no system has
        inside = False
    if not inside:
        raise StoredFileError(f"{where} names the scores {name}, outside its folder: move them beside results.json.")
    return path


def _columns(scores: Scores) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(getattr(scores, name)).astype(str) for name in ("id", "group", "condition")}
    columns |= {"label": np.asarray(scores.label, dtype=np.int8), "score": np.asarray(scores.score, dtype=np.float64)}
    if scores.area is not None:
        columns["area"] = np.asarray(scores.area, dtype=np.float64)
    return columns | {name: value for name, value in scores.components.items() if name not in columns}


def _packed(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    values = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in values.items():
        if value.dtype == object:
            values[name] = value.astype(str)
    np.savez_compressed(buffer, **values)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(path: Path, limit: int | None = None) -> dict[str, np.ndarray]:
    try:
        return read_npz(path, limit=limit)
    except (DataError, KeyError) as error:
        raise StoredFileError(f"The arrays {path} cannot be read ({error}): measure the run again.") from error


def _write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _locked(folder: Path) -> FileLock:
    return _Lock(folder / ".results.lock", timeout=60)


class _Lock(FileLock):
    def __enter__(self) -> "_Lock":
        try:
            Path(self.lock_file).parent.mkdir(parents=True, exist_ok=True)
            return super().__enter__()  # type: ignore[return-value]
        except Timeout as error:
            raise StoredFileError(f"{self.lock_file} is held by another run for over a minute: wait for it, then try again.") from error
        except (OSError, NotImplementedError) as error:  # a folder, a link, a file system without locks
            why = getattr(error, "strerror", None) or error
            raise StoredFileError(f"{self.lock_file} could not be locked ({why}): remove it or choose another folder.") from error


# ---- tables ----------------------------------------------------------------------------------------------------------


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record, all fields, with `case` and `display_name`; class names joined by " + "."""
    rows = []
    for record in records:
        row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
        row |= {"normal": " + ".join(record.normal), "novel": " + ".join(record.novel)}
        rows.append(row | {"case": record.case, "display_name": record.display_name})
    return pd.DataFrame(rows)


_METRICS = ("auroc", "average_precision", "fpr95", "pixel_auroc", "pixel_average_precision", "pixel_dice", "pixel_pro")
_MEASURED = (*_METRICS, "seconds_fit", "seconds_score", "peak_memory_mb")


def summary(records: Iterable[Record], *, by_case: bool = True) -> pd.DataFrame:
    """Mean (over seeds and, unless `by_case`, cases) and sd over seeds of each method on each data set and set-up.

    One row for each method, variant, data set, set-up and, `by_case`, case; columns `<metric>_mean` and `<metric>_sd` (n − 1; NaN for a
    single seed), n_runs, n_seeds, synthetic, note. Rows follow the order of METHODS; the oracle statistic carries UPPER_BOUND_NOTE.
    """
    frame = to_frame(records)
    keys = ["profile", "dataset", "setup", *(["case"] if by_case else []), "method", "variant"]
    columns = [*keys, "display_name", "n_runs", "n_seeds", "synthetic", "note", *(f"{m}_{s}" for m in _MEASURED for s in ("mean", "sd"))]
    rows = []
    for values, part in frame.groupby(keys, sort=False) if len(frame) else ():
        row = dict(zip(keys, values, strict=True))
        row |= {"display_name": part["display_name"].iloc[0], "n_runs": len(part), "n_seeds": part["seed"].nunique()}
        row |= {"synthetic": bool(part["synthetic"].any()), "note": UPPER_BOUND_NOTE if row["method"] == UPPER_BOUND else ""}
        for metric in _MEASURED:
            numbers = part[metric].astype(float)
            row |= {f"{metric}_mean": numbers.mean(), f"{metric}_sd": numbers.groupby(part["seed"]).mean().std(ddof=1)}
        rows.append(row)
    return _ordered(pd.DataFrame(rows, columns=columns), keys)


def auroc_intervals(folder: str | Path, records: Iterable[Record], *, by_case: bool = True, n_resamples: int = 2000) -> pd.DataFrame:
    """Each method's mean AUROC with its 95 % interval over the test images of all its seeds (and cases, unless `by_case`).

    One row for each method, variant, data set, set-up and, `by_case`, case; columns display_name, auroc, low, high,
    seeds (each run's AUROC), note. Reads the stored scores.
    """
    keys = ["dataset", "setup", *(["case"] if by_case else []), "method", "variant"]
    parts: dict[tuple, list[Record]] = {}
    for record in records:
        parts.setdefault(tuple(getattr(record, key) for key in keys), []).append(record)
    rows = []
    for values, part in parts.items():
        found = mean_auroc([load_scores(folder, record) for record in part], n_resamples=n_resamples)
        row = dict(zip(keys, values, strict=True)) | {"auroc": found.value, "low": found.low, "high": found.high}
        row |= {"display_name": part[0].display_name, "seeds": [record.auroc for record in part]}
        rows.append(row | {"note": UPPER_BOUND_NOTE if part[0].method == UPPER_BOUND else ""})
    return _ordered(pd.DataFrame(rows, columns=[*keys, "display_name", "auroc", "low", "high", "seeds", "note"]), keys)


def _ordered(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    order = {name: index for index, name in enumerate((*SETUPS, *METHODS))}
    ordered = table.sort_values(keys, key=lambda column: column.map(order) if column.name in ("setup", "method") else column)
    return ordered.reset_index(drop=True)
