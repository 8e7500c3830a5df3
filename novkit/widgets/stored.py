"""What a results folder offers to an explorer: its tests, the runs of each, their scores, and pictures of the test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from novkit.data.dataset import ImageDataset
from novkit.data.setups import Setup, generated_ood, one_vs_rest, rest_vs_one
from novkit.detector import Detector
from novkit.errors import DataError, StoredFileError
from novkit.evaluation import Scores
from novkit.experiments import Job
from novkit.methods import load_detector
from novkit.records import METHODS, SETUPS, Record
from novkit.results import load_examples, load_results, load_scores
from novkit.widgets.remaking import can_remake, options_of, remake

Key = tuple[str, str, tuple[str, ...], tuple[str, ...]]  # profile, set-up, normal, novel


@dataclass(frozen=True)
class Run:
    """One method's record with its scores."""

    record: Record
    scores: Scores


@dataclass(frozen=True)
class Picture:
    """A test image with what is known of it."""

    image: np.ndarray  # (channels, height, width)
    mask: np.ndarray | None = None  # (height, width) bool
    map: np.ndarray | None = None  # (height, width)


class StoredResults:
    """A results folder to choose from: data set, then case, then seed, then methods.

    folder: a results folder or its results.json. datasets: the data sets themselves, by name, where pictures of all test images are wanted;
    without them the examples that the folder holds have pictures, and the embedded data's own images, which are made again.
    Raises StoredFileError where the folder holds no usable results.
    """

    def __init__(self, folder: str | Path, datasets: Mapping[str, ImageDataset] | None = None) -> None:
        path = Path(folder)
        self.folder = path.parent if path.suffix == ".json" else path
        self.records = load_results(path)
        if not self.records:
            raise StoredFileError(f"{self.folder} holds no run yet: run `novkit reproduce` first.")
        self.images = dict(datasets or {})
        self._scores: dict[str, Scores] = {}
        self._setups: dict[tuple[Key, int], Setup] = {}
        self._detectors: dict[Path, Detector] = {}
        self._maps: dict[tuple[str, str], np.ndarray] = {}
        self._panels: dict[str, dict[int, Picture]] = {}
        self._had: set[tuple[str, int]] = set()  # (run, row) whose picture was asked for before

    # ---- what there is to choose ---------------------------------------------------------------------------------

    def datasets(self) -> list[str]:
        """Names, in the order of the records."""
        return list(dict.fromkeys(record.dataset for record in self.records))

    def cases(self, dataset: str) -> dict[str, Key]:
        """What was tested on a data set, by a text that tells every case from the others."""
        order = list(SETUPS)
        of_set = sorted((r for r in self.records if r.dataset == dataset), key=lambda r: order.index(r.setup))
        keys = {_key(record): f"{SETUPS[record.setup]}, {record.case}" for record in of_set}
        texts = list(keys.values())
        return {(text if texts.count(text) == 1 else f"{text} ({key[0]}, normal: {' + '.join(key[2])})"): key for key, text in keys.items()}

    def seeds(self, dataset: str, case: str) -> list[int]:
        """Seeds with at least one run, rising."""
        return sorted({record.seed for record in self._of(dataset, case)})

    def methods(self, dataset: str, case: str, seed: int) -> list[str]:
        """Display names of the runs of one seed, in the order of METHODS."""
        found = [record for record in self._of(dataset, case) if record.seed == seed]
        return [record.display_name for record in sorted(found, key=lambda r: (list(METHODS).index(r.method), r.variant))]

    def run(self, dataset: str, case: str, seed: int, method: str) -> Run:
        """The run of a method's display name; its scores are read once. DataError where there is none."""
        for record in self._of(dataset, case):
            if record.seed == seed and record.display_name == method:
                if record.run not in self._scores:
                    self._scores[record.run] = load_scores(self.folder, record)
                return Run(record, self._scores[record.run])
        raise DataError(f"There is no run of {method} on {dataset}, {case}, seed {seed}: choose one of those listed.")

    def _of(self, dataset: str, case: str) -> list[Record]:
        key = self.cases(dataset).get(case)
        return [record for record in self.records if record.dataset == dataset and _key(record) == key]

    # ---- pictures ------------------------------------------------------------------------------------------------

    def pictures(self, run: Run, rows: Sequence[int]) -> dict[int, Picture]:
        """Pictures of the test images at `rows` of the run's scores, as far as there are any; maps where the method gives them.

        Examples stored with the run come first. Others need the data set, or are made again; their maps need the stored detector, which
        then runs.
        """
        wanted = set(rows)
        found = {row: picture for row, picture in self._examples(run).items() if row in wanted}
        missing = [row for row in rows if row not in found]
        if not missing or not self.has_every_picture(run):
            return found
        X, masks = self._images_of(run, missing)
        maps = self._computed_maps(run, missing, X)
        for number, row in enumerate(missing):
            found[row] = Picture(X[number], masks[number], None if maps is None else maps[number])
            self._had.add((run.record.run, row))
        return found

    def has_every_picture(self, run: Run) -> bool:
        """Whether all test images of a run can be shown, not its stored examples alone."""
        return run.record.dataset in self.images or can_remake(run.record)

    def takes_time(self, run: Run, rows: Sequence[int]) -> bool:
        """Whether `pictures` would make images again or run a detector: worth a word to the reader beforehand."""
        known = self._examples(run)
        return self.has_every_picture(run) and any(row not in known and (run.record.run, row) not in self._had for row in rows)

    def what_is_missing(self, run: Run) -> str:
        """How to see every test image of a run that has pictures of its stored examples only."""
        name, options = run.record.dataset, options_of(run.record)
        how = f"load({name!r}, {', '.join(f'{k}={v!r}' for k, v in options.items())})" if options else "the data set, loaded as it was"
        return (
            f"No stored example is among the selected images: widen the selection, or pass datasets={{{name!r}: {how}}} to see every image."
        )

    def _images_of(self, run: Run, rows: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        setup = self._setup(run)
        if setup is None:
            made = remake(run.record, [str(run.scores.id[row]) for row in rows])
            return np.stack([image for image, _ in made]), [mask for _, mask in made]
        masks = setup.test_masks
        X = np.asarray(setup.dataset.images[setup.split.test[list(rows)]])
        return X, [None if masks is None else masks[row] for row in rows]

    def _examples(self, run: Run) -> dict[int, Picture]:
        """Stored examples by their row: they are the first test images of each class, which their scores confirm."""
        if run.record.run in self._panels:
            return self._panels[run.record.run]
        stored = load_examples(self.folder, run.record)
        found: dict[int, Picture] = {}
        self._panels[run.record.run] = found
        if stored is None:
            return found
        seen: dict[str, int] = {}
        for number, (label, score) in enumerate(zip(stored["labels"], stored["scores"], strict=True)):
            rows = np.flatnonzero(run.scores.condition.astype(str) == label)
            place = seen.get(label, 0)
            seen[label] = place + 1
            if place < len(rows) and run.scores.score[rows[place]] == score:
                mask, values = (stored[name][number] if name in stored else None for name in ("masks", "maps"))
                found[int(rows[place])] = Picture(stored["images"][number], mask, values)
        return found

    def _setup(self, run: Run) -> Setup | None:
        """The run's set-up made again from its data set; None without it. DataError where the data set is another one."""
        record = run.record
        dataset = self.images.get(record.dataset)
        if dataset is None:
            return None
        if dataset.fingerprint != record.data_fingerprint:
            raise DataError(
                f"The data set {record.dataset} given for pictures is not the one that was tested (fingerprint {dataset.fingerprint}, "
                f"not {record.data_fingerprint}): load it with the run's seed and options."
            )
        key = (_key(record), record.seed)
        if key not in self._setups:
            setup = self._made(record, dataset)
            if list(setup.test_table["id"]) != list(run.scores.id.astype(str)):
                raise DataError(
                    f"The test images of {record.run} cannot be made again from its data set: they were split by another novkit."
                )
            self._setups = {key: setup}  # generated images are large: only the last are kept
        return self._setups[key]

    def _made(self, record: Record, dataset: ImageDataset) -> Setup:
        if record.setup == "generated_ood":
            same = [r for r in self.records if _job(r) == _job(record) and r.setup != "generated_ood"]
            beside = sorted({name for other in same for name in other.novel})
            return generated_ood(dataset, record.normal, seed=record.seed, beside=beside)
        if record.setup == "rest_vs_one":
            return rest_vs_one(dataset, record.novel[0], seed=record.seed)
        return one_vs_rest(dataset, record.normal, seed=record.seed, novel=record.novel)

    # ---- maps ----------------------------------------------------------------------------------------------------

    def _detector_folder(self, record: Record) -> Path | None:
        folder = self.folder / "detectors" / _job(record).name
        return folder if (folder / "detector.json").is_file() else None

    def _computed_maps(self, run: Run, rows: Sequence[int], X: np.ndarray) -> list[np.ndarray] | None:
        folder = self._detector_folder(run.record)
        if folder is None:
            return None
        if folder not in self._detectors:
            self._detectors[folder] = load_detector(folder)
        detector = self._detectors[folder]
        if not detector.has_map:
            return None
        name = run.record.run
        keys = [(name, str(run.scores.id[row])) for row in rows]
        new = [number for number, key in enumerate(keys) if key not in self._maps]
        if new:
            self._maps |= {keys[number]: values for number, values in zip(new, detector.novelty_map(X[new]), strict=True)}
        return [self._maps[key] for key in keys]


def _key(record: Record) -> Key:
    return record.profile, record.setup, record.normal, record.novel


def _job(record: Record) -> Job:
    """The job a record comes from, as far as its name and its companions need it."""
    return Job(
        method=record.method,
        dataset=record.dataset,
        normal=record.normal,
        cases=(),
        seed=record.seed,
        profile=record.profile,
        variant=record.variant,
    )
