"""The default transformations and the sub-pixel warp by torch.compile: the same images in few kernels, for long trainings on a GPU [O].

What `distort` does in hundreds of operations, each of which reads and writes memory, is compiled into few. So that the
same code serves every batch, each pixel computes the maps of all kinds and keeps that of its own image's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from novkit.distortions.resampling import affine_points, check_batch, near_identity_matrices, resample
from novkit.distortions.training import DRAWS, MAPS, ZOOMS, Drawn, Maps, Plane, TrainingFamily, Windows, transformed
from novkit.errors import SettingsError
from novkit.images import send


def distort_compiled(images: Tensor, generator: torch.Generator, settings: TrainingFamily | None = None) -> tuple[Tensor, Tensor]:
    """What `novkit.distortions.distort` returns for the same generator, but for rounding.

    The first call compiles, which takes some seconds, a first batch of another size once more. Raises SettingsError where it fails.
    """
    settings = settings or TrainingFamily()
    check_batch(images)
    drawn = Drawn.of(images, generator, settings)
    if not len(images):
        return images, send(drawn.kinds, images.device)
    return _called(every_kind, images, send(_packed(drawn), images.device), settings), send(drawn.kinds, images.device)


def near_identity_compiled(images: Tensor, generator: torch.Generator) -> Tensor:
    """What `novkit.distortions.near_identity` returns for the same generator, but for rounding; compiled like `distort_compiled`."""
    check_batch(images)
    if not len(images):
        return images
    n, _, height, width = images.shape
    return _called(_warped, images, send(near_identity_matrices(n, height, width, generator), images.device))


def every_kind(images: Tensor, packed: Tensor, settings: TrainingFamily) -> Tensor:
    """The images transformed: what is compiled. packed: what is random of them, as one tensor is sent faster than eight."""
    n, _, height, width = images.shape
    matrices, amounts, u, centre, radius, scale, kinds = packed.split([6, 1, DRAWS, 2, 1, 1, 1], dim=1)
    middle = torch.tensor([width / 2, height / 2], device=images.device).view(1, 2, 1, 1)
    windows = Windows(centre.view(n, 2, 1, 1), radius.view(n, 1, 1, 1), scale.view(n, 1, 1, 1), middle)
    chosen = _Chosen(settings.kinds, kinds.view(n, 1, 1))
    return transformed(images, matrices.view(n, 2, 3), amounts.flatten(), u, windows, chosen, settings)


def _packed(drawn: Drawn) -> Tensor:
    """(n, 12 + DRAWS) float32."""
    windows = drawn.windows
    parts = drawn.matrices, drawn.amounts, drawn.u, windows.centre, windows.radius, windows.scale, drawn.kinds
    return torch.cat([part.reshape(len(drawn.kinds), -1).float() for part in parts], dim=1)


@dataclass(frozen=True)
class _Chosen(Maps):
    """Every pixel is mapped by every kind; `which` (n, 1, 1) chooses."""

    kinds: tuple[str, ...]
    which: Tensor

    def mapped(self, x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
        chosen_x, chosen_y = MAPS[self.kinds[0]](x, y, a, u)
        for number, kind in enumerate(self.kinds[1:], start=1):
            own_x, own_y = MAPS[kind](x, y, a, u)
            chosen_x, chosen_y = torch.where(self.which == number, own_x, chosen_x), torch.where(self.which == number, own_y, chosen_y)
        return chosen_x, chosen_y

    def zooms(self, a: Tensor) -> Tensor:
        zooms = torch.ones_like(a)
        for number, kind in enumerate(self.kinds):
            zooms = torch.where(self.which == number, ZOOMS.get(kind, 1.0), zooms)
        return zooms


def _warped(images: Tensor, matrices: Tensor) -> Tensor:
    return resample(images, affine_points(matrices, *images.shape[-2:]))


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, fullgraph=True)


def _called(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    with torch.no_grad():
        try:
            return _compiled(function)(*arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler that is missing or fails; what it raises differs with torch's version
            if type(error).__name__ != "FailOnRecompileLimitHit":
                reason = " ".join(str(error).split())[:200]
                raise SettingsError(f"torch.compile cannot make the transformations here ({reason}): choose compiled=False.") from error
        torch.compiler.reset()  # there were too many families and sizes in this process: those at hand are compiled again
        return _compiled(function)(*arguments)
