"""Conditions that are in no data set: soft foci drawn into healthy slices, so that a class can be tested on what it has not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from novkit.errors import DataError, SettingsError
from novkit.seeding import numpy_generator, seed_for

SLICES = 4  # of one head, in the training images
MOST = 100  # foci in an image


@dataclass(frozen=True)
class Condition:
    """Foci in the brain that are darker or brighter than it should be [O]; each pair is the range that an image's values are drawn from.

    foci: how many. radius: in image sides. contrast: grey levels added, −1 to 1. softness: width of the edge, as a share of the radius.
    Raises SettingsError for values that cannot be drawn, naming the ranges.
    """

    foci: tuple[int, int] = (1, 3)
    radius: tuple[float, float] = (0.04, 0.10)
    contrast: tuple[float, float] = (-0.25, -0.10)
    softness: float = 0.4

    def __post_init__(self) -> None:
        for name in ("foci", "radius", "contrast"):
            value = getattr(self, name)
            if len(value) != 2 or not value[0] <= value[1]:
                raise SettingsError(f"{name} is {value!r}: give the least and the most.")
            object.__setattr__(self, name, tuple(value))  # JSON knows lists only
        fine = all(1 <= number <= MOST and number == int(number) for number in self.foci) and self.radius[0] > 0 and self.radius[1] <= 1
        if not (fine and 0 < self.softness <= 1 and max(map(abs, self.contrast)) <= 1):
            raise SettingsError(
                f"{self} cannot be drawn: give 1 to {MOST} foci, a radius above 0 and up to 1, softness in (0, 1], contrast in −1 … 1."
            )

    def apply(self, images: np.ndarray, body: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw it into images uint8 (n, 1, height, width), inside `body` (n, height, width); returns images, and masks like `body`.

        Raises DataError for images or bodies of another type or shape, and for an empty body.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or body.shape != (len(images), *images.shape[2:]):
            raise DataError(
                f"images have shape {images.shape} and type {images.dtype}, body {body.shape}: give uint8 images and their body."
            )
        height, width = images.shape[2:]
        y, x = np.mgrid[:height, :width]
        drawn, masks = images.astype(np.float64), np.zeros(body.shape, bool)
        for number, inside in enumerate(body):
            places = np.argwhere(inside)
            if not len(places):
                raise DataError(f"Image {number} has an empty body: there is nowhere to draw a focus.")
            weight = np.zeros((height, width))
            for _ in range(generator.integers(self.foci[0], self.foci[1] + 1)):
                row, column = places[generator.integers(len(places))]
                radius = generator.uniform(*self.radius) * width
                stretch, angle = generator.uniform(0.75, 1.0), generator.uniform(0, np.pi)
                u, v = x - column, y - row
                along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
                distance = np.hypot(along, across / stretch) / radius
                weight = np.maximum(weight, np.clip((1 + self.softness / 2 - distance) / self.softness, 0, 1))
            weight *= inside
            drawn[number, 0] += 255 * generator.uniform(*self.contrast) * weight
            masks[number] = weight > 0.5
        return np.rint(np.clip(drawn, 0, 255)).astype(np.uint8), masks


@dataclass(frozen=True)
class ProjectData:
    """Healthy slices to train on and to hold out, and a test set of healthy slices and slices with a condition.

    X_train, X_val, X_test: uint8 (n, 1, 64, 64). y_test: 0 healthy, 1 novel. groups_test: the subject of each, all different.
    masks_test: bool (n, 64, 64). No subject is in two of the three.
    """

    X_train: np.ndarray
    X_val: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    groups_test: np.ndarray
    masks_test: np.ndarray


def practice_project(
    condition: Condition | None = None, seed: int = 0, *, n_train: int = 400, n_val: int = 100, n_test: int = 200
) -> ProjectData:
    """Synthetic brain slices for the project, with a condition (default: dark foci) drawn into every second test image.

    Test images are one slice of each subject, training images four. SettingsError for too few images.
    """
    from novkit.data import load

    if min(n_train, n_val) < 1 or n_test < 2:
        raise SettingsError(f"n_train is {n_train}, n_val {n_val}, n_test {n_test}: at least one, one and two are needed.")
    first_val = -(-n_train // SLICES) * SLICES  # a subject's slices stay together
    healthy: dict[str, Any] = {"conditions": ("healthy",), "progress": False}
    learnt = load("brain", seed=_brain_seed(seed, "training"), n_healthy=first_val + n_val, slices_per_subject=SLICES, **healthy)
    tested = load("brain", seed=_brain_seed(seed, "test"), n_healthy=n_test, slices_per_subject=1, **healthy)
    assert tested.body is not None
    y = np.arange(n_test) % 2
    images, masks = np.array(tested.images), np.zeros((n_test, *tested.images.shape[2:]), bool)
    generator = numpy_generator(seed, "project", "condition")
    images[y == 1], masks[y == 1] = (condition or Condition()).apply(images[y == 1], np.asarray(tested.body)[y == 1], generator)
    groups = tested.table["group"].astype(str).to_numpy()
    X = np.asarray(learnt.images)
    return ProjectData(X[:n_train].copy(), X[first_val : first_val + n_val].copy(), images, y, groups, masks)


def _brain_seed(seed: int, purpose: str) -> int:
    """Far from the development and reserved seeds, whose slices students know."""
    return 1000 + seed_for(seed, "project", purpose) % 10**9
