"""Every method by its id, and how to make or load one.

>>> from novkit.data import load
>>> from novkit.data.setups import one_vs_rest
>>> setup = one_vs_rest(load("digits"), "0", seed=0)
>>> detector = make_detector("pixel_zscore").fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
>>> detector.novelty_score(setup.X_test).shape, detector.novelty_map(setup.X_test[:4]).shape
((1655,), (4, 32, 32))
>>> detector.predict(setup.X_test[:4])  # other digits: −1, novel
array([-1, -1, -1, -1])
"""

import json
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from novkit.baselines import Alocc, AutoencoderDetector, DeepSvdd, Ocsvm, OracleStatistic, PatchKnn, PixelZScore, Statistic, Vae
from novkit.detector import REGISTRY, Detector
from novkit.errors import SettingsError
from novkit.patchgan import PatchGan
from novkit.tend import Tend

__all__ = [
    "Alocc",
    "AutoencoderDetector",
    "DeepSvdd",
    "Ocsvm",
    "OracleStatistic",
    "PatchGan",
    "PatchKnn",
    "PixelZScore",
    "Statistic",
    "Tend",
    "Vae",
    "load_detector",
    "make_detector",
    "method_class",
    "read_settings",
]


def method_class(method: str) -> type[Detector]:
    """The detector class of a method id; SettingsError names the ids there are."""
    if method not in REGISTRY:
        raise SettingsError(f"There is no method {method!r}: choose one of {', '.join(sorted(REGISTRY))}.")
    return REGISTRY[method]


def make_detector(method: str, profile: str = "quick", *, changes: dict[str, Any] | None = None, **arguments: Any) -> Detector:
    """An unfitted detector with the settings of a profile ("quick" or "paper"), some of them changed; `arguments` go to its constructor.

    Raises SettingsError for an unknown method, profile or setting, and for values that the settings refuse.
    """
    kind = method_class(method)
    if profile not in ("quick", "paper"):
        raise SettingsError(f"There is no profile {profile!r}: choose quick or paper.")
    preset = getattr(kind.Settings, profile)
    _check_changes(method, preset(), changes or {})
    return kind(preset(**(changes or {})), **arguments)


def load_detector(folder: str | Path, *, device: str = "auto") -> Detector:
    """Read a saved detector of any method; StoredFileError if it is missing or damaged."""
    return Detector.load(folder, device=device)


def read_settings(words: list[str]) -> dict[str, Any]:
    """`name=value` words as settings or options, values read as JSON where they are. Raises SettingsError for other words.

    >>> read_settings(["epochs=3", "distance=margin"])
    {'epochs': 3, 'distance': 'margin'}
    """
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise SettingsError(f"{word!r} is not understood: write name=value.")
        try:
            changes[name] = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, thousands of digits, lists in lists without end
            changes[name] = value
    return changes


# ---- checking --------------------------------------------------------------------------------------------------------


def _check_changes(what: str, usual: Any, changes: dict[str, Any]) -> None:
    """SettingsError for a name that is no field of the settings `usual`, and for a value of another type than the field's."""
    names = [field.name for field in fields(usual)]
    types = get_type_hints(type(usual))
    for name, value in changes.items():
        if name not in names:
            raise SettingsError(f"{what} has no setting {str(name)[:60]!r}: choose from {', '.join(names)}.")
        before = getattr(usual, name)
        if is_dataclass(before) and isinstance(value, dict):  # a group of settings, such as TEND's family
            _check_changes(name, before, value)
        elif not _fits(value, types[name]):
            shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "…"
            wanted = ", such as " + json.dumps(before) if not is_dataclass(before) and before is not None else ""
            raise SettingsError(f"{name} of {what} cannot be {shown}: give {_called(types[name])}{wanted}.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a field's type; a list will do for a tuple, a whole number for any number."""
    parts = get_args(kind)
    if kind in (int, float):
        right = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return right and abs(value) < _MOST  # neither NaN nor infinite
    if not parts:
        return isinstance(value, kind)
    if NoneType in parts:
        return any(_fits(value, part) for part in parts)
    if not isinstance(value, list | tuple):
        return False
    each = [parts[0]] * len(value) if Ellipsis in parts else parts
    return len(value) == len(each) and all(_fits(item, part) for item, part in zip(value, each, strict=True))


_MOST = 1e300
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}


def _called(kind: Any) -> str:
    """What a field's type is called in a sentence."""
    parts = [part for part in get_args(kind) if part is not Ellipsis]
    if NoneType in parts:
        return " or ".join(_called(part) for part in parts)
    return "a list" if parts else _WORDS.get(kind, "a table of its own settings")
