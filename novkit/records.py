"""What is known about one run of one method, and what methods and set-ups are called."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from novkit.errors import DataError

METHODS: dict[str, str] = {
    "tend": "TEND",
    "patchgan": "Patch-GAN",
    "autoencoder": "Autoencoder",
    "vae": "VAE",
    "alocc": "ALOCC",
    "ocsvm": "OC-SVM",
    "deep_svdd": "Deep SVDD",
    "patch_knn": "Patch k-NN",
    "pixel_zscore": "Pixel z-score",
    "statistic": "Fixed statistic",
    "statistic_oracle": "Oracle statistic",
}
"""Display name of every method, in the order of tables and legends."""

PAPERS = ("tend", "patchgan")
"""The methods of the two reproduced papers; all others are baselines."""

UPPER_BOUND = "statistic_oracle"
"""Chosen on the test labels: an upper bound for single statistics, not a method. Tables mark it so."""

UPPER_BOUND_NOTE = "upper bound chosen on the test"

SETUPS: dict[str, str] = {
    "one_vs_rest": "One-vs-rest",
    "rest_vs_one": "Rest-vs-one",
    "generated_ood": "Generated out-of-distribution",
}
"""Display name of every set-up."""

PROFILES = ("quick", "paper")

NOT_DRAWN = ("epoch", "seconds", "best", "steps", "images")
"""What an epoch of training records beside its values."""

_SHARES = ("auroc", "auroc_low", "auroc_high", "average_precision", "fpr95")
_PIXEL_SHARES = ("pixel_auroc", "pixel_average_precision", "pixel_dice", "pixel_pro")
_AMOUNTS = ("seconds_fit", "seconds_score", "peak_memory_mb")
_COUNTS = ("n_train", "n_test", "n_settings_tried", "images_seen", "steps")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run: what was fitted on what, how well it did, what it cost, where it was measured. Raises DataError for values that cannot be.

    novel, normal: class names; part_of_rest: whether the data set has further classes, which are neither.
    variant: what sets an ablation, or changed settings, apart ("" for the method as it is).
    All metrics lie in [0, 1]; pixel metrics are None where there is no map or no mask. peak_memory_mb: of the process, of the GPU if used.
    n_settings_tried: settings compared before this one was reported. scores: the file beside results.json, filled in by `add_record`.
    """

    method: str
    dataset: str
    setup: str
    normal: tuple[str, ...]
    novel: tuple[str, ...]
    seed: int
    profile: str
    auroc: float
    auroc_low: float
    auroc_high: float
    average_precision: float
    fpr95: float
    pixel_auroc: float | None = None
    pixel_average_precision: float | None = None
    pixel_dice: float | None = None
    pixel_pro: float | None = None
    n_train: int
    n_test: int
    seconds_fit: float
    seconds_score: float
    peak_memory_mb: float
    images_seen: int = 0
    steps: int = 0
    n_settings_tried: int = 1
    variant: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    data_fingerprint: str
    synthetic: bool
    part_of_rest: bool = False
    device: str
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = "unknown"
    scores: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
            elif isinstance(value, str):
                object.__setattr__(self, name, str(value))  # an enumeration's member would read back as another value
        for name in ("normal", "novel"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        problem = _problem(self)
        if problem:
            raise DataError(problem)
        try:  # as they will be read back: lists for tuples, text keys
            object.__setattr__(self, "settings", json.loads(json.dumps(self.settings, allow_nan=False)))
            json.dumps(self.settings, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"The field 'settings' of this record does not fit JSON ({error}): store plain numbers, text and lists."
            ) from error
        if _is_deeper(self.settings, _DEEPEST):
            raise DataError(f"The field 'settings' of this record is nested more than {_DEEPEST} deep: store plain numbers and text.")

    @property
    def case(self) -> str:
        """What tells this set-up from the others of its kind, for people: "novel: glioma", "normal: 3", "normal: 3, novel: 8 + 9"."""
        normal, novel = f"normal: {' + '.join(self.normal)}", f"novel: {self._novel}"
        several = len(self.normal) > 1
        if self.setup == "generated_ood":
            return f"{normal}, {novel}" if several else novel
        if self.part_of_rest and (several or len(self.novel) > 1):
            return f"{normal}, {novel}"
        return novel if self.setup == "rest_vs_one" or len(self.novel) == 1 or len(self.novel) < len(self.normal) else normal

    @property
    def _novel(self) -> str:
        return "generated" if self.setup == "generated_ood" else " + ".join(self.novel)

    @property
    def display_name(self) -> str:
        """The method's name for people, with its variant."""
        return METHODS[self.method] + (f" ({self.variant})" if self.variant else "")

    @property
    def run(self) -> str:
        """The name of this run's files: readable, safe on every system, and different for every different run."""
        key = (self.profile, self.dataset, self.setup, self.normal, self.novel, self.method, self.variant, self.seed)
        alone = self.setup != "one_vs_rest" or len(self.novel) == 1
        case = self._novel if alone else " + ".join(self.normal)
        words = [self.dataset, self.setup, case, self.method, self.variant, f"seed{self.seed}"]
        readable = "-".join(re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")[:24] for word in words if word)
        return f"{readable}-{hashlib.sha256(repr(key).encode()).hexdigest()[:6]}"


# ---- checking --------------------------------------------------------------------------------------------------------


_DEEPEST = 50  # tables and lists within each other: what writes a record calls itself for each
_MOST = 1e300  # of any number here: twice as much can still be added


def is_finite(value: Any) -> bool:
    """A number that can be computed with; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _is_share(value: Any) -> bool:
    return is_finite(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_names(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(is_text(name) and name for name in value)


def is_text(value: Any) -> bool:
    """Text that can be written; half of a surrogate pair, which JSON can hold, cannot."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value


def _problem(record: Record) -> str | None:
    """What is wrong with a record, as a sentence that names the field; None where nothing is."""
    wanted = {name: (_is_share, "a number in [0, 1]") for name in _SHARES}
    wanted |= {name: (lambda value: value is None or _is_share(value), "a number in [0, 1] or null") for name in _PIXEL_SHARES}
    wanted |= {name: (lambda value: is_finite(value) and value >= 0, "a number of at least 0") for name in _AMOUNTS}
    wanted |= {name: (_is_count, "a whole number of at least 0") for name in (*_COUNTS, "seed")}
    wanted |= {name: (_is_names, "a list of class names") for name in ("normal", "novel")}
    wanted |= {name: (lambda value: is_text(value) and bool(value), "text") for name in ("dataset", "device", "commit")}
    wanted |= {name: (is_text, "text") for name in ("data_fingerprint", "machine", "variant", "scores")}
    wanted["settings"] = (lambda value: isinstance(value, dict), "a table of names and values")
    wanted["versions"] = (lambda value: isinstance(value, dict) and all(map(is_text, [*value, *value.values()])), "a table of texts")
    wanted |= {name: (lambda value: isinstance(value, bool), "true or false") for name in ("synthetic", "part_of_rest")}
    wanted |= {
        "method": (lambda value: isinstance(value, str) and value in METHODS, f"one of {', '.join(METHODS)}"),
        "setup": (lambda value: isinstance(value, str) and value in SETUPS, f"one of {', '.join(SETUPS)}"),
        "profile": (lambda value: isinstance(value, str) and value in PROFILES, f"one of {', '.join(PROFILES)}"),
    }
    for name, (fits, what) in wanted.items():
        if not fits(getattr(record, name)):
            return f"The field {name!r} of this record is {_short(getattr(record, name))} and must be {what}."
    if record.auroc_low > record.auroc_high:
        return f"The field 'auroc_low' of this record is {record.auroc_low}, above its 'auroc_high' {record.auroc_high}: swap them."
    return None


def _is_deeper(value: Any, depth: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return parts is not None and (depth == 0 or any(_is_deeper(part, depth - 1) for part in parts))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
