"""Every method by its id, and how to make or load one."""

from pathlib import Path
from typing import Any

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
]


def method_class(method: str) -> type[Detector]:
    """The detector class of a method id; SettingsError names the ids there are."""
    if method not in REGISTRY:
        raise SettingsError(f"There is no method {method!r}: choose one of {', '.join(sorted(REGISTRY))}.")
    return REGISTRY[method]


def make_detector(method: str, profile: str = "quick", *, changes: dict[str, Any] | None = None, **arguments: Any) -> Detector:
    """An unfitted detector with the settings of a profile ("quick" or "paper"), some of them changed; `arguments` go to its constructor."""
    kind = method_class(method)
    if profile not in ("quick", "paper"):
        raise SettingsError(f"There is no profile {profile!r}: choose quick or paper.")
    try:
        settings = getattr(kind.Settings, profile)(**(changes or {}))
    except TypeError as error:
        raise SettingsError(f"The settings of {method} do not fit ({error}): see the fields of {kind.Settings.__name__}.") from error
    return kind(settings, **arguments)


def load_detector(folder: str | Path, *, device: str = "auto") -> Detector:
    """Read a saved detector of any method; StoredFileError if it is missing or damaged."""
    return Detector.load(folder, device=device)
