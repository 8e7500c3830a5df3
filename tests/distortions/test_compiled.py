"""The compiled transformations are the transformations: what torch.compile is given, and what it makes of it."""

import shutil

import pytest
import torch

from novkit.distortions import TrainingFamily, compiled, distort, near_identity
from novkit.distortions.compiled import distort_compiled, every_kind, near_identity_compiled
from novkit.distortions.training import KINDS, Drawn
from novkit.errors import SettingsError
from novkit.seeding import torch_generator
from novkit.tend import Tend
from novkit.tend.settings import TendSettings
from tests.conftest import blobs

COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler for torch.compile")


@pytest.fixture(autouse=True)
def anew(compiles_here):
    """What another test had compiled is forgotten."""
    compiled._compiled.cache_clear()
    yield
    compiled._compiled.cache_clear()


def smooth(n, channels=1, height=32, width=32):
    """Pictures without hard edges, in which a point that is read a little beside its place changes little."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch_generator(5))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True).clamp(0, 1)


@pytest.mark.parametrize(
    "family",
    [
        TrainingFamily(),
        TrainingFamily(local=0.0, strength=2.0),
        TrainingFamily(kinds=("similarity", "arc"), equal_detail=False),
        TrainingFamily(kinds=("translation",), local=1.0),
        TrainingFamily(strength=0.0),
    ],
    ids=["default", "whole images", "two kinds", "windows", "identity"],
)
@pytest.mark.parametrize(("n", "channels", "height", "width"), [(24, 1, 64, 64), (9, 3, 48, 80), (1, 1, 16, 40)])
def test_all_kinds_at_once_are_each_images_own(family, n, channels, height, width):
    images = smooth(n, channels, height, width)
    expected, _ = distort(images, torch_generator(3), family)
    found = every_kind(images, compiled._packed(Drawn.of(images, torch_generator(3), family)), family)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@COMPILER
def test_compiled_images_are_those_of_the_transformations():
    for n, autocast in ((8, False), (5, False), (8, True)):  # the last batch of an epoch is smaller; a GPU's steps are in bfloat16
        images = smooth(n)
        expected, kinds = distort(images, torch_generator(3))
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found, same = distort_compiled(images, torch_generator(3))
            warped = near_identity_compiled(images, torch_generator(4))
        assert torch.equal(kinds, same)
        assert (expected - images).abs().max() > 0.1
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(warped, near_identity(images, torch_generator(4)), rtol=0, atol=1e-4)


@pytest.mark.slow
@COMPILER
def test_training_with_compiled_transformations_learns_the_same():
    settings = {"epochs_autoencoder": 1, "epochs": 3, "warmup": 1, "width": 4, "embedding": 8, "least_steps": 1, "batch_size": 16}
    plain, fast = (
        Tend(TendSettings.quick(**settings, compiled=chosen), device="cpu", progress=False).fit(blobs(32), blobs(8, seed=1))
        for chosen in (False, True)
    )
    for expected, found in zip(plain.history_["margin"].epochs, fast.history_["margin"].epochs, strict=True):
        for key in ("loss", "val_loss"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3)


@pytest.mark.slow
def test_many_families_sizes_and_channels_follow_each_other(monkeypatch):
    """torch.compile keeps eight versions of a function and then gives up."""
    reset, real, resets = torch.compiler.reset, torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend="eager", **options))
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(reset()))
    for number in range(14):
        family = TrainingFamily(kinds=KINDS[number % 7 :], equal_detail=number < 7)
        images = smooth(3 + number % 3, channels=1 + 2 * (number % 2), height=16 + number)
        expected, _ = distort(images, torch_generator(number), family)
        with torch.inference_mode(number % 3 == 0):
            found, _ = distort_compiled(images, torch_generator(number), family)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert resets


def test_what_cannot_be_compiled_is_said_in_a_sentence(monkeypatch):
    def fails(*arguments):
        raise RuntimeError("no working\n compiler")

    monkeypatch.setattr(torch, "compile", lambda function, **options: fails)
    with pytest.raises(SettingsError, match=r"\(no working compiler\): choose compiled=False"):
        distort_compiled(smooth(2), torch_generator(0))


def test_a_full_memory_stays_one(monkeypatch):
    """The training loop takes smaller pieces then."""

    def full(*arguments):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch, "compile", lambda function, **options: full)
    with pytest.raises(torch.OutOfMemoryError):
        near_identity_compiled(smooth(2), torch_generator(0))


def test_only_the_default_transformations_are_compiled():
    with pytest.raises(SettingsError, match="compiled"):
        TendSettings(compiled=True, transformations="published")
