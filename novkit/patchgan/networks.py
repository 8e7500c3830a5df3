"""Patch-GAN's networks: a reconstructor that fills what is hidden, and a discriminator that judges every patch [O]."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from novkit.patchgan.masking import PatchGrid
from novkit.tend.networks import depth_for


def _widths(width: int, depth: int) -> list[int]:
    return [width * min(2**level, 4) for level in range(depth)]


class Reconstructor(nn.Module):
    """x̂ = R(x·(1−M), M): an encoder–decoder with skips, down to about 4×4, where every place sees all others.

    forward: x (n, channels, height, width), mask (n, 1, height, width) float, 1 = hidden -> x̂ the shape of x, in [0, 1].
    Hidden pixels are zero before the first layer: x̂ there cannot depend on them.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, height, columns = shape
        widths = _widths(width, depth_for(height, columns))
        inputs = [channels + 1, *widths[:-1]]
        self.down = nn.ModuleList(_block(nn.Conv2d(i, o, 4, stride=2, padding=1)) for i, o in zip(inputs, widths, strict=True))
        self.middle = nn.Sequential(*(_block(nn.Conv2d(widths[-1], widths[-1], 3, padding=1)) for _ in range(2)))
        self.up = nn.ModuleList(  # each reads what is below it and the skip from its own height
            _block(nn.ConvTranspose2d(2 * i, o, 4, stride=2, padding=1)) for i, o in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Sequential(nn.Conv2d(2 * widths[0], 4 * channels, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = torch.cat([x * (1 - mask), mask.expand(len(x), -1, -1, -1)], dim=1)
        skips = []
        for down in self.down:
            h = down(h)
            skips.append(h)
        h = self.middle(h)
        for up in self.up:
            h = up(torch.cat([h, skips.pop()], dim=1))
        return torch.sigmoid(self.last(torch.cat([h, skips.pop()], dim=1)))


def _block(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.LeakyReLU(0.1, inplace=True))  # type: ignore[arg-type]


def _view(channels: int, widths: list[int]) -> nn.Sequential:
    """Features of the image at one scale, on a grid of their own."""
    layers: list[nn.Module] = []
    for i, o in zip([channels, *widths[:-1]], widths, strict=True):
        layers += [spectral_norm(nn.Conv2d(i, o, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, padding=1)), nn.LeakyReLU(0.2))


class Discriminator(nn.Module):
    """D: one logit for each patch, at one or two scales, and one for the whole image. Higher = more authentic.

    Spectral norm (Miyato et al. 2018) bounds how steep D's features can be, which keeps the game stable without a further weight; the
    last layers are free, or faint images could never reach the hinge. Images are standardised by `mean` and `deviation`, grey levels
    of the training images.
    forward: (n, channels, height, width) -> patch logits (n, P), the mean over scales; image logit (n,), or None without one.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, int, int], grid: PatchGrid, *, width: int, scales: int, global_logit: bool) -> None:
        super().__init__()
        channels = shape[0]
        halvings = max(1, min(grid.patch.bit_length() - 1, 4))  # the logits' grid is about that of the patches
        widths = _widths(width, halvings)
        inner = widths[-1]
        self.grid = (grid.rows, grid.columns)
        self.scales = nn.ModuleList(_view(channels, widths) for _ in range(scales))
        self.to_logit = nn.ModuleList(nn.Conv2d(inner, 1, 1) for _ in range(scales))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.to_global = (
            nn.Sequential(
                spectral_norm(nn.Conv2d(inner, inner, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(inner, 1),
            )
            if global_logit
            else None
        )

    def views(self, x: Tensor) -> list[Tensor]:
        """Features of the image at its own size, and at half of it where there are two scales."""
        x = (x - self.mean) / self.deviation
        return [scale(F.avg_pool2d(x, 2) if number else x) for number, scale in enumerate(self.scales)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        views = self.views(x)
        logits = [self._to_patches(logit(view)).flatten(1) for logit, view in zip(self.to_logit, views, strict=True)]
        patch_logit = torch.stack(logits).mean(dim=0)
        return patch_logit, None if self.to_global is None else self.to_global(views[-1]).squeeze(1)

    def feature_distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean |difference| of the features of two images in each patch, the mean over scales: (n, P)."""
        pairs = zip(self.views(x), self.views(y), strict=True)
        return torch.stack([self._to_patches((a - b).abs().mean(dim=1, keepdim=True)).flatten(1) for a, b in pairs]).mean(dim=0)

    def _to_patches(self, values: Tensor) -> Tensor:
        """Average (n, 1, height, width) over each patch's area, whether or not the grids fit each other: (n, 1, rows, columns)."""
        rows = _area_weights(values.shape[2], self.grid[0], values)
        columns = _area_weights(values.shape[3], self.grid[1], values)
        return rows @ values @ columns.T


def _area_weights(fine: int, coarse: int, like: Tensor) -> Tensor:
    """(coarse, fine): the share of each coarse cell that each fine cell covers. Exact for any pair of sizes, on every device."""
    edge = torch.arange(max(fine, coarse) + 1, device=like.device, dtype=torch.float32)
    start, stop = edge[:fine] / fine, edge[1 : fine + 1] / fine
    low, high = edge[:coarse, None] / coarse, edge[1 : coarse + 1, None] / coarse
    return ((torch.minimum(stop, high) - torch.maximum(start, low)).clamp(min=0) * coarse).to(like.dtype)
