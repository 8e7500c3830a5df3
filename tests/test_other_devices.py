"""What a training step computes, it computes where the images are, and waits for nothing.

Torch's "meta" device stands for a GPU: tensors there have shapes but no numbers, so that none can be read, and few operations take them
together with the CPU's.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.cases import patchgan, tend_stage_1, tend_stage_2
from novkit.baselines.alocc import AdversarialReconstruction, AloccSettings, Discriminator
from novkit.baselines.autoencoder import bottleneck_autoencoder
from novkit.baselines.deep_svdd import OBJECTIVES, DeepSvddSettings, SphereLearning, SphereNetwork, biasless_autoencoder
from novkit.baselines.vae import EvidenceLowerBound, VaeSettings, VariationalAutoencoder
from novkit.batching import Step
from novkit.distortions.published import PUBLISHED, published
from novkit.distortions.resampling import near_identity
from novkit.distortions.training import TrainingFamily, distort
from novkit.distortions.unseen import UNSEEN
from novkit.patchgan.settings import PatchGanSettings
from novkit.tend.settings import TendSettings

SIDE, META = 32, torch.device("meta")
SHAPE = (1, SIDE, SIDE)


class _OneDevice(TorchDispatchMode):
    """Raises where the CPU's tensors are taken together with others, which a GPU refuses and meta does not always."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.dim() > 0]
        elsewhere = any(tensor.device.type != "cpu" for tensor in tensors)
        if on_cpu and elsewhere and name not in ("_to_copy", "copy_"):
            raise RuntimeError(f"{name} takes a tensor {tuple(on_cpu[0].shape)} on the CPU together with one on another device")
        return function(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def one_device(monkeypatch) -> Iterator[None]:
    plain = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, **more: nullcontext() if kind == "meta" else plain(kind, **more))
    with _OneDevice():
        yield


def images(channels: int = 1) -> torch.Tensor:
    return torch.rand(8, channels, SIDE, SIDE, device=META)


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


OF = {
    "autoencoder": lambda: tend_stage_1(TendSettings.quick(warmup=0), SIDE),
    "TEND, margin": lambda: tend_stage_2(TendSettings.quick(warmup=0), SIDE),
    "TEND, published transformations": lambda: tend_stage_2(TendSettings.quick(warmup=0, transformations="published"), SIDE),
    "Patch-GAN": lambda: patchgan(PatchGanSettings.quick(boxes=(1, 2)), SIDE),
    "Patch-GAN, no mask, no discriminator": lambda: patchgan(PatchGanSettings.quick(discriminator=False, masked=False), SIDE),
    "VAE": lambda: EvidenceLowerBound(VariationalAutoencoder(SHAPE, 8, 16), VaeSettings()),
    "ALOCC": lambda: AdversarialReconstruction(bottleneck_autoencoder(SHAPE, 8, 16), Discriminator(SHAPE, 8, True), AloccSettings()),
} | {
    f"Deep SVDD, {name}": lambda name=name: SphereLearning(
        SphereNetwork(biasless_autoencoder(SHAPE, 8, 16).encoder, 16), DeepSvddSettings(objective=name)
    )
    for name in OBJECTIVES
}


@pytest.mark.parametrize("objective", OF.values(), ids=OF)
def test_no_loss_mixes_devices_or_waits(objective):
    objective = objective()
    optimizers = list(objective.optimizers())
    objective.modules.to(META).train()
    for name in optimizers:
        assert objective.loss(name, images(), Step(0, 1, 0, META))["loss"].device == META


@pytest.mark.parametrize("channels", [1, 3])
def test_no_distortion_mixes_devices_or_waits(channels):
    x = images(channels)
    for local in (0.0, 1.0):
        changed, kinds = distort(x, draws(), TrainingFamily(local=local))
        assert (changed.device, changed.shape) == (META, x.shape)
        assert kinds.device == META
    assert near_identity(x, draws()).device == META
    for change in UNSEEN.values():
        assert change(x, draws()).device == META
    for kind in PUBLISHED:
        assert published(x, kind).device == META


@pytest.mark.parametrize("taken", [lambda: torch.ones(4)[images().argmax()[None]], lambda: images() + torch.ones(SIDE)])
def test_devices_that_are_mixed_are_seen(taken):
    with pytest.raises(RuntimeError, match="device"):
        taken()


def test_a_number_that_is_waited_for_is_seen():
    with pytest.raises(RuntimeError, match="meta"):
        images().mean().item()
