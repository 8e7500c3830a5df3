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
    """An unfitted detector with the settings of a profile ("quick" or "paper"), some of them changed; `arguments` go to its constructor.

    Raises SettingsError for an unknown method, profile or setting, and for values that the settings refuse.
    """
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
