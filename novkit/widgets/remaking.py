"""Test images of the embedded data, made again from their ids alone: a dozen pictures need not wait for thousands."""

import hashlib
import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from novkit.data import brain, skin
from novkit.data.digits import load_digits
from novkit.experiments.plans import reproduction
from novkit.records import Record

Remade = tuple[np.ndarray, np.ndarray | None]  # image (channels, height, width), mask (height, width) or None


def can_remake(record: Record) -> bool:
    """Whether a record's test images are those of `novkit reproduce`, which its fingerprint confirms, and need no transformation."""
    return record.setup != "generated_ood" and record.data_fingerprint == _fingerprint(record.dataset, record.profile, record.seed)


def options_of(record: Record) -> dict[str, Any]:
    """What `load` takes to make the record's data set as `novkit reproduce` does; empty where it does not."""
    jobs = reproduction(record.profile, [record.seed], ["statistic"]) if record.profile in ("quick", "paper") else []
    return next((job.data_options for job in jobs if job.dataset == record.dataset), {})


def remake(record: Record, ids: Sequence[str]) -> list[Remade]:
    """The test images of a record for which `can_remake` holds, in the order of their ids."""
    options = options_of(record)
    if record.dataset == "digits":
        digits = _digits()
        rows = {name: row for row, name in enumerate(digits.table["id"])}
        return [(digits.images[rows[name]], None) for name in ids]
    found: list[Remade] = []
    for name in ids:
        label, *numbers = name.split("-")
        if record.dataset == "brain":
            images, masks = _subject(record.seed, label, int(numbers[0]), options["size"])
            found.append((images[int(numbers[1])][None], masks[int(numbers[1])]))
        else:
            found.append((_lesion(record.seed, label, int(numbers[0]), options["size"]), None))
    return found


@lru_cache(maxsize=64)
def _subject(seed: int, condition: str, index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    images, masks, *_ = brain.subject(seed, condition, index, size=size)
    return images, masks


@lru_cache(maxsize=256)
def _lesion(seed: int, label: str, index: int, size: int) -> np.ndarray:
    return skin.draw_skin(label, index, size=size, seed=seed)


_digits = lru_cache(maxsize=1)(load_digits)


@lru_cache(maxsize=32)
def _fingerprint(dataset: str, profile: str, seed: int) -> str:
    """The fingerprint of a data set of `novkit reproduce`, without making it; empty for other data."""
    jobs = reproduction(profile, [seed], ["statistic"]) if profile in ("quick", "paper") else []
    options = next((job.data_options for job in jobs if job.dataset == dataset), None)
    if dataset == "digits":
        return _digits().fingerprint
    if options is None:
        return ""
    bound = inspect.signature(brain.generate_brain if dataset == "brain" else skin.generate_skin).bind(**options)
    bound.apply_defaults()
    a = bound.arguments
    settings: tuple[Any, ...]
    if dataset == "brain":
        counts = {name: a["n_healthy"] if name == "healthy" else a["n_novel"] for name in a["conditions"]}
        settings = (brain.GENERATOR_VERSION, a["size"], a["seed"], a["contrast"], counts, a["slices_per_subject"])
    else:
        settings = (skin.FINGERPRINT, a["size"], a["seed"], {"benign": a["n_benign"], "atypical": a["n_atypical"]})
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
