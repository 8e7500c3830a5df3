"""The networks have the published shapes, and refuse sizes they cannot take."""

import pytest
import torch
from torch import nn

from novkit.errors import SettingsError
from novkit.tend.networks import MarginNetwork, autoencoder_for, depth_for


def convolutions(module: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_published_network_at_256():
    """[C] five 4×4 stride-2 convolutions, channels 16 … 256, mirrored; z in R^512."""
    autoencoder = autoencoder_for((1, 256, 256))
    assert convolutions(autoencoder.encoder) == [(1, 16), (16, 32), (32, 64), (64, 128), (128, 256)]
    assert convolutions(autoencoder.decoder) == [(256, 128), (128, 64), (64, 32), (32, 16), (16, 1)]
    assert isinstance(autoencoder.decoder[-1], nn.Sigmoid)
    assert autoencoder.features == (256, 8, 8)
    network = MarginNetwork(autoencoder, 512)
    assert convolutions(network.neck) == [(256, 512)]
    assert (network.to_embedding.in_features, network.to_embedding.out_features) == (512 * 4 * 4, 512)


def test_published_network_at_28():
    """[C] 784-256-128-64 and back, z = 32 after a ReLU."""
    autoencoder = autoencoder_for((1, 28, 28))
    sizes = [(m.in_features, m.out_features) for m in autoencoder.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(784, 256), (256, 128), (128, 64), (64, 32), (32, 64), (64, 128), (128, 256), (256, 784)]
    assert isinstance(autoencoder.encoder[-1], nn.ReLU)


def test_published_network_at_32_rgb():
    """[C] 3→12→24→48, 768 features flattened by stage 2, linear output."""
    autoencoder = autoencoder_for((3, 32, 32))
    assert convolutions(autoencoder.encoder) == [(3, 12), (12, 24), (24, 48)]
    assert isinstance(autoencoder.decoder[-1], nn.ConvTranspose2d)


@pytest.mark.parametrize(
    "shape", [(1, 16, 16), (1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32), (1, 64, 64), (3, 96, 64), (1, 224, 224)]
)
def test_shapes_in_and_out(shape):
    x = torch.rand(2, *shape)
    autoencoder = autoencoder_for(shape)
    assert autoencoder(x).shape == x.shape
    assert tuple(autoencoder.encode(x).shape[1:]) == autoencoder.features
    z, logit = MarginNetwork(autoencoder, 24)(x)
    assert z.shape == (2, 24)
    assert logit.shape == (2,)


@pytest.mark.parametrize("size", [4, 7, 30, 66, 100])
def test_sizes_that_cannot_be_halved_are_refused(size):
    with pytest.raises(SettingsError, match="resize them to multiples of"):
        depth_for(size, size)
