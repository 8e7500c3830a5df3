"""Transformations as coordinate maps, resampled in one call on the device: the published eight, the default family, unseen ones."""

from novkit.distortions.published import PUBLISHED, distort_published
from novkit.distortions.resampling import near_identity, resample
from novkit.distortions.training import KINDS, TrainingFamily, apply_kind, distort
from novkit.distortions.unseen import UNSEEN

__all__ = [
    "KINDS",
    "PUBLISHED",
    "UNSEEN",
    "TrainingFamily",
    "apply_kind",
    "distort",
    "distort_published",
    "near_identity",
    "resample",
]
