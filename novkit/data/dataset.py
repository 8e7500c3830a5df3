"""The one type every data set is loaded as."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from novkit.errors import DataError


@dataclass(frozen=True)
class ImageDataset:
    """Images with a table that says what each is.

    images: (n, channels, height, width), uint8, uint16 or float32 in [0, 1]; may be a memory map.
    table: n rows with at least `id` (unique text), `label` (class name) and `group` (patient, lesion or subject).
    masks: (n, height, width) bool, where the abnormality is; None where nobody marked it.
    body: (n, height, width) bool, the region in which pixel metrics are taken; None for the whole image.
    normal: the label that is normal unless a call says otherwise.
    synthetic: True for generated images; figures and reports say so.
    source, licence: one sentence each.
    fingerprint: a hash that changes whenever the content may have changed.
    Raises DataError where images, table, masks and body do not fit each other, a column is missing, or an id occurs twice.
    """

    name: str
    images: np.ndarray
    table: pd.DataFrame
    masks: np.ndarray | None = None
    body: np.ndarray | None = None
    normal: str = "normal"
    synthetic: bool = False
    source: str = ""
    licence: str = ""
    fingerprint: str = ""
    extra: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 4:
            raise DataError(f"Data set {self.name}: images have shape {self.images.shape}, not (n, channels, height, width).")
        missing = {"id", "label", "group"} - set(self.table.columns)
        if missing:
            raise DataError(f"Data set {self.name}: its table lacks the column {sorted(missing)[0]!r}.")
        for what, value in (("table", self.table), ("masks", self.masks), ("body", self.body)):
            if value is not None and len(value) != n:
                raise DataError(f"Data set {self.name}: {n} images but {len(value)} rows in its {what}.")
        if self.table["id"].duplicated().any():
            twice = self.table["id"][self.table["id"].duplicated()].iloc[0]
            raise DataError(f"Data set {self.name}: the id {twice!r} occurs twice; every image needs its own.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> np.ndarray:
        """(n,) class names."""
        return self.table["label"].to_numpy()

    @property
    def groups(self) -> np.ndarray:
        """(n,) group names."""
        return self.table["group"].to_numpy()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return tuple(self.images.shape[1:])  # type: ignore[return-value]

    def subset(self, indices: np.ndarray) -> "ImageDataset":
        """The images at `indices` (integers or a boolean mask), in that order."""
        return replace(
            self,
            images=self.images[indices],
            table=self.table.iloc[np.arange(len(self))[indices]].reset_index(drop=True),
            masks=None if self.masks is None else self.masks[indices],
            body=None if self.body is None else self.body[indices],
        )
