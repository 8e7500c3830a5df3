"""What is to be run: one detector, its data, and the set-ups it is measured on."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from novkit.data import load
from novkit.data.dataset import ImageDataset
from novkit.data.setups import Setup, generated_ood, one_vs_rest, rest_vs_one
from novkit.errors import DataError, SettingsError
from novkit.methods import make_detector, method_class
from novkit.results import SETUPS


@dataclass(frozen=True, kw_only=True)
class Job:
    """One detector, trained once, and the set-ups it is measured on: they share their training images.

    dataset: a name or path for `load`, with its `options`. cases: (set-up, novel classes) pairs; generated_ood takes no classes.
    data_note: what sets these data apart from others of the same name, such as "modality=t1"; it becomes part of the name in records.
    changes: settings that differ from the profile's. variant: what to call them: without one, the run replaces that of other settings.
    rescored: (variant, changes) pairs, other ways to score what was trained once; for methods that have `rescored`.
    Raises SettingsError for a set-up that is not in SETUPS, an unknown method, and changes that its settings refuse.
    """

    method: str
    dataset: str
    normal: tuple[str, ...]
    cases: tuple[tuple[str, tuple[str, ...]], ...]
    seed: int
    profile: str = "quick"
    options: dict[str, Any] = field(default_factory=dict)
    data_note: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    variant: str = ""
    rescored: tuple[tuple[str, dict[str, Any]], ...] = ()

    def __post_init__(self) -> None:
        for kind, _ in self.cases:
            if kind not in SETUPS:
                raise SettingsError(f"There is no set-up {kind!r}: choose one of {', '.join(SETUPS)}.")
        if "seed" in self.options:
            raise SettingsError("The option seed of a data set is the run's own seed: leave it out.")
        method_class(self.method)
        if self.changes:
            make_detector(self.method, self.profile, changes=self.changes)

    @property
    def name(self) -> str:
        """Readable, and safe as a file name."""
        data = noted(Path(self.dataset).stem, self.data_note)
        name = "-".join(_safe(word) for word in (data, *self.normal, self.method, self.variant, f"seed{self.seed}") if word)
        letters = name.encode()
        return name if len(letters) <= 220 else f"{letters[:200].decode(errors='ignore')}-{_digest(name)}"

    @property
    def data_options(self) -> dict[str, Any]:
        """Options for `load`; embedded data is generated from the job's seed."""
        return {**self.options, **({"seed": self.seed} if self.dataset in ("brain", "skin") else {})}

    @property
    def data_key(self) -> tuple[str, str]:
        """Equal for jobs on the same images."""
        return self.dataset, repr(sorted(self.data_options.items())) + self.data_note


def settings_text(changes: dict[str, Any]) -> str:
    """Changed settings or options in words, as a job's variant or data_note: "epochs=3, lr=0.01"."""
    return ", ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sorted(changes.items()))


def noted(name: str, note: str) -> str:
    """A data set's name with its note: "brats2019 (modality=t1)"."""
    return f"{name} ({note})" if note else name


def _safe(word: str) -> str:
    """A part of a file name; changed settings, which may differ in a letter that is lost, carry a digest."""
    safe = "".join(c if c.isalnum() else "_" for c in word)[:24]
    return f"{safe}_{_digest(word)}" if re.search(r"(^|\()\w+=", word) else safe


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:6]


def load_for(job: Job, cache: dict[Any, ImageDataset] | None = None, *, progress: bool = True) -> ImageDataset:
    """The job's data set, its note in its name. `cache` keeps the last one."""
    if cache is not None and job.data_key in cache:
        return cache[job.data_key]
    dataset = load(job.dataset, **job.data_options, progress=progress)
    dataset = replace(dataset, name=noted(dataset.name, job.data_note))
    if cache is not None:
        cache.clear()
        cache[job.data_key] = dataset
    return dataset


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
            setups.append(one_vs_rest(dataset, job.normal, seed=job.seed, novel=novel or None))
    first = setups[0].X_train
    if any(len(s.split.train) != len(first) or not np.array_equal(s.X_train, first) for s in setups[1:]):
        raise DataError(f"The set-ups of {job.name} train on different images: give each a job of its own.")
    return setups
