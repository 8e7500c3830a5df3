"""TEND's networks: the autoencoder of stage 1, and what stage 2 puts on its encoder."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from novkit.errors import SettingsError

MOST_CONVOLUTIONS = 5


class Autoencoder(nn.Module):
    """x̂ = dec(enc(x)); `encode` gives features (n, …), `forward` the reconstruction, the shape of x, in [0, 1] unless linear."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, features: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.features = features  # shape of one image's features

    def encode(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) -> (n, *features)."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def depth_for(height: int, width: int) -> int:
    """How many stride-2 convolutions bring an image to about 4×4 to 8×8 [O]; five at 256×256 [C]. SettingsError if it does not divide."""
    depth = min(MOST_CONVOLUTIONS, int(math.log2(max(min(height, width), 1) / 4))) if min(height, width) >= 8 else 0
    if depth < 1 or height % 2**depth or width % 2**depth:
        step = 2 ** max(depth, 1)
        raise SettingsError(
            f"Images of {height}×{width} cannot pass {max(depth, 1)} halvings: resize them to multiples of {step}, at least 16×16."
        )
    return depth


def _block(before: int, after: int, batch_norm: bool) -> nn.Sequential:
    """Batch normalisation takes a bias away again [O]: it would get rounding errors for gradients, which Adam would scale up."""
    convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not batch_norm)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(after)] if batch_norm else []), nn.ReLU(inplace=True))


def convolutional_autoencoder(shape: tuple[int, int, int], width: int = 16, batch_norm: bool = False) -> Autoencoder:
    """4×4 stride-2 convolutions with ReLU, channels c, 2c, 4c, …, mirrored by transposed ones, sigmoid output [C at 256×256].

    batch_norm: after each convolution of the encoder [O].
    """
    channels, height, columns = shape
    depth = depth_for(height, columns)
    sizes = [channels] + [width * 2**level for level in range(depth)]
    encoder = nn.Sequential()
    for before, after in pairwise(sizes):
        encoder += _block(before, after, batch_norm)
    decoder = nn.Sequential()
    for before, after in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
        last = nn.Sigmoid() if after == channels and len(decoder) == 2 * (depth - 1) else nn.ReLU(inplace=True)
        decoder += nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), last)
    return Autoencoder(encoder, decoder, (sizes[-1], height // 2**depth, columns // 2**depth))


def mlp_autoencoder(shape: tuple[int, int, int]) -> Autoencoder:
    """28×28 [C]: 784-256-128-64 and back, z = 32 after a ReLU."""
    sizes = [math.prod(shape), 256, 128, 64, 32]
    encoder, decoder = nn.Sequential(nn.Flatten()), nn.Sequential()
    for before, after in pairwise(sizes):
        encoder += nn.Sequential(nn.Linear(before, after), nn.ReLU(inplace=True))
    for before, after in zip(sizes[:1:-1], sizes[-2:0:-1], strict=True):
        decoder += nn.Sequential(nn.Linear(before, after), nn.ReLU(inplace=True))
    decoder += nn.Sequential(nn.Linear(sizes[1], sizes[0]), nn.Sigmoid(), nn.Unflatten(1, shape))
    return Autoencoder(encoder, decoder, (32,))


def small_rgb_autoencoder() -> Autoencoder:
    """32×32 RGB [C]: convolutions 3→12→24→48, z = 48·4·4 flattened is what stage 2 reads; linear output."""
    sizes = [3, 12, 24, 48]
    encoder, decoder = nn.Sequential(), nn.Sequential()
    for before, after in pairwise(sizes):
        encoder += nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True))
    for before, after in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
        decoder.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        if after != 3:
            decoder.append(nn.ReLU(inplace=True))
    return Autoencoder(encoder, decoder, (48, 4, 4))


def autoencoder_for(shape: tuple[int, int, int], width: int = 16, batch_norm: bool = False) -> Autoencoder:
    """The published network where there is one for this size, else the convolutional one at the depth that fits.

    With batch normalisation, which no published network has, always the latter.
    """
    if batch_norm:
        return convolutional_autoencoder(shape, width, batch_norm)
    if tuple(shape) == (1, 28, 28):
        return mlp_autoencoder(shape)
    if tuple(shape) == (3, 32, 32):
        return small_rgb_autoencoder()
    return convolutional_autoencoder(shape, width)


class MarginNetwork(nn.Module):
    """Stage 2 [C]: the encoder (still trained), a 4×4 stride-2 convolution with ReLU, a linear layer to z, one from z to the logit of p.

    forward: (n, channels, height, width) -> z (n, embedding), logit (n,). One encoding serves both.
    """

    centre: Tensor

    def __init__(self, autoencoder: Autoencoder, embedding: int, batch_norm: bool = False) -> None:
        super().__init__()
        self.encoder = autoencoder.encoder
        features = autoencoder.features
        if len(features) == 3:
            channels, height, width = features
            self.neck = nn.Sequential(*_block(channels, 2 * channels, batch_norm), nn.Flatten())
            size = 2 * channels * (height // 2) * (width // 2)
        else:  # the features of the 28×28 network are a vector already [O]
            self.neck = nn.Sequential()
            size = math.prod(features)
        self.to_embedding = nn.Linear(size, embedding)
        self.to_logit = nn.Linear(embedding, 1)
        self.register_buffer("centre", torch.zeros(embedding))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.to_embedding(self.neck(self.encoder(x)))
        return z, self.to_logit(z).squeeze(1)
