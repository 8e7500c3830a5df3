"""The contract every method keeps: fitted on normal images only, higher score = more novel."""

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save
from sklearn.base import BaseEstimator, OutlierMixin
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from novkit.data.untrusted import is_file
from novkit.devices import pick_device as pick_device
from novkit.errors import DataError, NotFittedError, NovkitError, StoredFileError, TrainingError
from novkit.files import read_json, remove, replacing_folder, write_json
from novkit.images import check_images, retried
from novkit.memory import memory_kept

FORMAT = 1  # of saved detectors

REGISTRY: dict[str, type["Detector"]] = {}
"""Every method by its id; filled as the methods' modules are imported."""


@contextmanager
def _no_larger_than(limit: int, folder: Path) -> Iterator[None]:
    """Stop where this thread builds a network of more than `limit` numbers: settings can claim what no memory holds."""
    built, thread = 0, threading.get_ident()

    def count(_: Any, __: str, parameter: Any) -> None:
        nonlocal built
        built += parameter.numel() if parameter is not None and threading.get_ident() == thread else 0
        if built > limit:
            raise StoredFileError(f"The saved detector {folder} claims to be larger than its weights: fit and save it again.")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _numbers(values: Any) -> Iterator[float]:
    """Every number in what JSON holds."""
    if isinstance(values, int | float):
        yield values
    elif isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _numbers(value)


class Presets:
    """Base of every method's settings: both presets are the defaults unless a method says otherwise."""

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Minutes on two CPU cores, at 64×64 [O]."""
        return cls(**changes)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """As published where it was, meant for a GPU."""
        return cls(**changes)


class Detector(OutlierMixin, BaseEstimator):
    """Base of all novelty detectors, in scikit-learn's manner, on images (n, channels, height, width).

    settings: the method's frozen dataclass, or None for its `quick()` preset.
    seed: every random draw follows from it.
    device: "auto" (a GPU where there is one), "cpu", "cuda", "mps".
    workdir: folder for training checkpoints; a run that was killed resumes from it. None keeps nothing.
    progress: show progress bars.
    false_positive_rate: share of held-out normal images above `threshold_`.

    Subclasses set `method` and `Settings` and write `_fit`, `_components`, `_tensors`, `_restore`, and `_map` where they have one.
    Fitted attributes: image_shape_, threshold_, and the method's own.
    """

    method: ClassVar[str]
    Settings: ClassVar[Any]
    has_map: ClassVar[bool] = False
    image_shape_: tuple[int, int, int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "method" in cls.__dict__:
            REGISTRY[cls.method] = cls

    def __init__(
        self,
        settings: Any = None,
        *,
        seed: int = 0,
        device: str = "auto",
        workdir: str | Path | None = None,
        progress: bool = True,
        false_positive_rate: float = 0.05,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.device = device
        self.workdir = workdir
        self.progress = progress
        self.false_positive_rate = false_positive_rate

    # ---- fitting -------------------------------------------------------------------------------------------------

    @memory_kept()
    def fit(
        self, X_normal: ArrayLike | Tensor, X_normal_val: ArrayLike | Tensor | None = None, *, X_threshold: ArrayLike | Tensor | None = None
    ) -> Self:
        """Learn from normal images alone.

        X_normal: (n, channels, height, width), uint8, uint16 or float32 in [0, 1].
        X_normal_val: held-out normal images: they choose the epoch and calibrate the score. None holds out a fifth of `X_normal`.
        X_threshold: further normal images that set `threshold_`. None takes every second image of `X_normal_val` for it.
        Raises DataError for images that cannot be learnt from and for a false_positive_rate outside (0, 1), SettingsError for settings that
        cannot work on images of this size (patches, convolutions), a device that is not there or a `workdir` of another training,
        TrainingError where training collapsed, StoredFileError for a checkpoint that cannot be written.
        """
        train = check_images(X_normal, varied=True, what="X_normal")
        channels, height, width = (int(side) for side in train.shape[1:])
        shape = (channels, height, width)
        if X_normal_val is None:
            if len(train) < 10:
                raise DataError(f"X_normal holds {len(train)} images: give at least 10, or pass X_normal_val.")
            held_out = np.arange(len(train)) % 5 == 4
            train, val = train[~held_out], train[held_out]
        else:
            val = check_images(X_normal_val, shape=shape, varied=True, what="X_normal_val")
        if X_threshold is None:
            if len(val) < 2:
                raise DataError("X_normal_val holds one image: give at least two, one calibrates and one sets the threshold.")
            val, threshold = val[::2], val[1::2]
        else:
            threshold = check_images(X_threshold, shape=shape, what="X_threshold")
        if not 0 < self.false_positive_rate < 1:
            raise DataError(f"false_positive_rate is {self.false_positive_rate}: choose a value between 0 and 1.")
        self.settings_ = self.Settings.quick() if self.settings is None else self.settings
        self.image_shape_ = shape
        try:
            self._fit(train, val)
            scores = retried(lambda: self._components(threshold))["score"]
            if not np.isfinite(scores).all():
                raise TrainingError(f"{self.method} gives NaN scores on held-out normal images: lower the learning rate and fit again.")
            if len(scores) > 1 and np.ptp(scores) == 0:
                raise TrainingError(f"{self.method} gives every held-out image the same score: it has collapsed, change settings or seed.")
        except BaseException:
            del self.image_shape_
            raise
        self.threshold_ = float(np.quantile(scores, 1 - self.false_positive_rate, method="higher"))
        return self

    # ---- scoring -------------------------------------------------------------------------------------------------

    @memory_kept()
    def components(self, X: ArrayLike | Tensor) -> dict[str, np.ndarray]:
        """The novelty score under "score" and what it is made of (probability, distance, …), each (n,) or (n, patches), float64.

        Raises NotFittedError before `fit`, DataError for images of another shape or range than those fitted on, TrainingError for scores
        that are not finite. What else takes X raises the first two as well.
        """
        images = self._checked(X)
        with np.errstate(all="ignore"):  # what is not finite is an error below, not a warning
            found = retried(lambda: self._components(images))
        if not np.isfinite(found["score"]).all():
            raise TrainingError(f"{self.method} gives scores that are NaN or infinite: fit it again.")
        return found

    def novelty_score(self, X: ArrayLike | Tensor) -> np.ndarray:
        """(n,) float64: higher = more novel. An image's score does not depend on the others in the batch."""
        return self.components(X)["score"]

    @memory_kept()
    def novelty_map(self, X: ArrayLike | Tensor) -> np.ndarray:
        """(n, height, width) float32: higher = more novel. Raises NovkitError where the method has none."""
        if not self.has_map:
            raise NovkitError(f"{self.method} gives no novelty map: use a method that does, such as autoencoder.")
        images = self._checked(X)
        return retried(lambda: self._map(images))

    @memory_kept()
    def assess(self, X: ArrayLike | Tensor) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """`components` and, where the method has one, `novelty_map` (else None) of the same images, measured once."""
        images = self._checked(X)
        return retried(lambda: self._assess(images))

    def score_samples(self, X: ArrayLike | Tensor) -> np.ndarray:
        """scikit-learn's sign: −novelty_score, higher = more normal."""
        return -self.novelty_score(X)

    def decision_function(self, X: ArrayLike | Tensor) -> np.ndarray:
        """threshold_ − novelty_score: negative = novel."""
        return self.threshold_ - self.novelty_score(X)

    def predict(self, X: ArrayLike | Tensor) -> np.ndarray:
        """(n,) int: +1 normal, −1 novel (score above `threshold_`)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X: ArrayLike | Tensor, y: None = None) -> np.ndarray:
        """Fit on normal images and label the same images."""
        return self.fit(X).predict(X)

    def _checked(self, X: ArrayLike | Tensor) -> np.ndarray:
        if not hasattr(self, "image_shape_"):
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet: call fit(X_normal) or load a saved one first.")
        return check_images(X, shape=self.image_shape_)

    # ---- storing -------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the fitted detector as `detector.json` and `weights.safetensors`: nothing is pickled, an older one is replaced whole."""
        self._checked(np.zeros((1, *getattr(self, "image_shape_", (1, 1, 1))), np.float32))
        tensors, extra = self._tensors()
        with replacing_folder(folder) as temporary:
            weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            (temporary / "weights.safetensors").write_bytes(save(weights))  # a full disk is then an OSError, not safetensors' own
            write_json(
                temporary / "detector.json",
                {
                    "format": FORMAT,
                    "method": self.method,
                    "settings": asdict(self.settings_),
                    "seed": self.seed,
                    "false_positive_rate": self.false_positive_rate,
                    "image_shape": list(self.image_shape_),
                    "threshold": self.threshold_,
                    "extra": extra,
                },
            )

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> Self:
        """Read a saved detector; `Detector.load` finds the method by itself. StoredFileError if it is missing or damaged."""
        folder = Path(folder)
        meta = read_json(folder / "detector.json", "saved detector")
        try:
            if meta["format"] != FORMAT:
                written = str(meta["format"])[:20]
                raise StoredFileError(f"{folder} was saved in format {written}, this novkit reads {FORMAT}: fit and save it again.")
            kind = REGISTRY[meta["method"]]
            if not issubclass(kind, cls):
                raise StoredFileError(f"{folder} holds a {meta['method']}, not a {cls.method}: load it with Detector.load.")
            lists = {name: tuple(value) if isinstance(value, list) else value for name, value in meta["settings"].items()}
            detector = kind(kind.Settings(**lists), seed=meta["seed"], device=device, false_positive_rate=meta["false_positive_rate"])
            detector.settings_ = detector.settings
            if not all(-(2**63) <= number < 2**63 for number in _numbers(meta["settings"])):  # nor NaN
                raise StoredFileError(f"The saved detector {folder} has settings beyond all measure: fit and save it again.")
            channels, height, width = (int(side) for side in meta["image_shape"])
            if min(channels, height, width) < 1:
                raise StoredFileError(f"The saved detector {folder} says it was fitted on images without pixels: fit and save it again.")
            detector.image_shape_ = (channels, height, width)
            if not is_file(folder / "weights.safetensors"):  # a pipe would be waited for
                raise StoredFileError(f"The saved detector {folder} lacks the file weights.safetensors: fit and save it again.")
            (folder / "weights.safetensors").open("rb").close()  # safetensors would call a file that may not be read missing
            tensors = load_file(folder / "weights.safetensors")
            detector.threshold_ = float(meta["threshold"])
            if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()) or not np.isfinite(detector.threshold_):
                raise StoredFileError(f"The saved detector {folder} holds NaN or infinity: fit and save it again.")
            with _no_larger_than(4 * sum(tensor.numel() for tensor in tensors.values()) + 10**6, folder):
                detector._restore(tensors, meta["extra"])
            if detector._tensors()[0].keys() != tensors.keys():
                raise StoredFileError(f"The saved detector {folder} lacks some of its numbers, or has others: fit and save it again.")
        except NovkitError:
            raise
        except Exception as error:  # safetensors, torch and JSON each have errors of their own for a damaged file
            words = " ".join(str(error).split())[:200]
            raise StoredFileError(f"The saved detector {folder} is damaged ({words}): fit and save it again.") from error
        return detector  # type: ignore[return-value]

    # ---- what a method writes ------------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, train: np.ndarray, val: np.ndarray) -> None:
        """Learn from `train`; `val` chooses the epoch and calibrates."""

    @abstractmethod
    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Score checked images; "score" is required, float64."""

    def _map(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _assess(self, images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Both of the above; a method whose measuring is dear writes its own."""
        return self._components(images), self._map(images) if self.has_map else None

    @abstractmethod
    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What to store: tensors, and a JSON-able dictionary."""

    @abstractmethod
    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """The inverse of `_tensors`; `settings_` and `image_shape_` are already set."""

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _checkpoints(self, phase: str) -> Path | None:
        return None if self.workdir is None else Path(self.workdir) / phase

    def discard_checkpoints(self) -> None:
        """Delete `workdir`, once it is no longer needed; nothing happens where there is none."""
        if self.workdir is not None:
            remove(Path(self.workdir))
