"""Patches of an image, and the masks that hide some of them: boxes on a grid of cells [P: black boxes; the rest O].

A patch is the smallest square that is judged; a cell is a box of b × b patches, hidden or visible as a whole. One random draw deals
all cells out to K = 1/r masks, so that every patch is hidden by exactly one of them: scoring uses all K, training one.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from novkit.errors import SettingsError
from novkit.seeding import whole_batch


def patch_size_for(height: int, width: int) -> int:
    """The divisor of both sides nearest to a sixteenth of the shorter one [O]: 4 for 64, 2 for 28. SettingsError if none is > 1."""
    common, aim = math.gcd(height, width), min(height, width) / 16
    sizes = [size for size in range(2, min(height, width) // 2 + 1) if common % size == 0]
    if not sizes:
        raise SettingsError(f"Images of {height}×{width} cannot be cut into square patches: resize them to multiples of 16.")
    return min(sizes, key=lambda size: (abs(size - aim), -size))


@dataclass(frozen=True)
class PatchGrid:
    """The patches of an image, numbered row by row."""

    patch: int
    rows: int
    columns: int

    @classmethod
    def of(cls, shape: tuple[int, int, int], patch: int | None = None) -> "PatchGrid":
        """The grid of images (channels, height, width); `patch` in pixels, None for about a sixteenth of the image.

        Raises SettingsError for images that cannot be cut into such patches, at least two side by side.
        """
        _, height, width = shape
        size = patch_size_for(height, width) if patch is None else patch
        if height % size or width % size or size > min(height, width) // 2:
            raise SettingsError(f"patch is {size}: choose a divisor of {height} and {width} of which at least two fit side by side.")
        return cls(size, height // size, width // size)

    @property
    def count(self) -> int:
        """P, patches an image."""
        return self.rows * self.columns

    def mean(self, pixels: Tensor) -> Tensor:
        """Mean over channels and each patch: (n, channels, height, width) -> (n, P)."""
        return F.avg_pool2d(pixels.mean(dim=1, keepdim=True), self.patch).flatten(1)

    def spread(self, patches: Tensor) -> Tensor:
        """Each patch's value on all its pixels: (n, P) -> (n, 1, height, width)."""
        grid = patches.reshape(-1, 1, self.rows, self.columns)
        return grid.repeat_interleave(self.patch, dim=2).repeat_interleave(self.patch, dim=3)


def check_boxes(grid: PatchGrid, boxes: tuple[int, ...], masks: int) -> None:
    """SettingsError unless cells of every size in `boxes` (in patches) are enough for `masks` masks."""
    for box in boxes:
        cells = math.ceil(grid.rows / box) * math.ceil(grid.columns / box)
        if cells < masks:
            raise SettingsError(
                f"boxes holds {box}: {grid.rows}×{grid.columns} patches make {cells} such cells, but mask_share wants "
                f"{masks} masks of them; choose smaller boxes or patches."
            )


def partitions(n: int, grid: PatchGrid, boxes: tuple[int, ...], masks: int, generator: torch.Generator) -> Tensor:
    """(n, P) int64 in [0, masks): which mask hides each patch. Every draw is a function of `generator`.

    Each of the n draws has one box size, and its grid of cells is shifted by whole patches; cells at the border may be cut.
    """
    whole, own = whole_batch(n, generator)
    label = torch.empty(whole, grid.rows, grid.columns, dtype=torch.long)
    kind = torch.randint(len(boxes), (whole,), generator=generator)
    for number, box in enumerate(boxes):
        chosen = torch.nonzero(kind == number).flatten()
        label[chosen] = _deal(len(chosen), grid, box, masks, generator)
    return label[own].flatten(1)


def _deal(n: int, grid: PatchGrid, box: int, masks: int, generator: torch.Generator) -> Tensor:
    """Shuffle the cells of each draw and deal them out in turn: (n, rows, columns)."""
    shift = torch.randint(box, (n, 2), generator=generator)
    row = (torch.arange(grid.rows) + shift[:, :1]) // box  # (n, rows): the row of cells of each row of patches
    column = (torch.arange(grid.columns) + shift[:, 1:]) // box
    high, wide = (grid.rows + box - 2) // box + 1, (grid.columns + box - 2) // box + 1
    key = torch.rand(n, high, wide, generator=generator)
    absent = (torch.arange(high) > row[:, -1:])[:, :, None] | (torch.arange(wide) > column[:, -1:])[:, None, :]
    turn = key.masked_fill(absent, 2.0).flatten(1).argsort(dim=1).argsort(dim=1)  # cells beyond the image come last
    first = torch.randint(masks, (n, 1), generator=generator)  # who gets one cell more is drawn too
    cell = row[:, :, None] * wide + column[:, None, :]
    return ((turn + first) % masks).gather(1, cell.flatten(1)).reshape(n, grid.rows, grid.columns)


def hidden_patches(n: int, grid: PatchGrid, boxes: tuple[int, ...], masks: int, generator: torch.Generator) -> Tensor:
    """(n, P) bool: the patches that one mask of a random partition hides, on average a share 1 / masks of them."""
    return partitions(n, grid, boxes, masks, generator) == 0
