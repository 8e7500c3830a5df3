"""Checkpoints: what goes in comes out to the bit, nothing is pickled, damage is noticed."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from novkit.checkpoints import Checkpoint, CheckpointFolder, fingerprint, restore_optimizer
from novkit.errors import SettingsError

RUN = {"seed": 0, "loop": {"epochs": 9, "betas": (0.9, 0.99)}}


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    return net.to(memory_format=torch.channels_last)


def stepped(make, net, steps=3, optimizer=None, first=0):
    optimizer = make(net.parameters()) if optimizer is None else optimizer
    for step in range(first, first + steps):
        x = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()
    return optimizer


def checkpoint(epoch, net=None, optimizers=None, *, best_epoch=0, best=None):
    net = network() if net is None else net
    states = {name: optimizer.state_dict() for name, optimizer in (optimizers or {}).items()}
    history = [{"epoch": e, "val_loss": 0.1 + e / 3} for e in range(epoch + 1)]
    weights = net.state_dict()
    return Checkpoint(epoch, best_epoch, 0.1, weights, weights if best is None else best, states, history)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=1e-6),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-3, amsgrad=True, betas=(0.5, 0.9)),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, centered=True),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_restored_optimiser_goes_on_to_the_bit(tmp_path, kind):
    make, net = OPTIMIZERS[kind], network()
    optimizer = stepped(make, net)
    folder = CheckpointFolder(tmp_path, RUN)
    folder.write(checkpoint(4, net, {"one": optimizer}))
    found = CheckpointFolder(tmp_path, RUN).read()

    other = network()
    other.load_state_dict(found.weights)
    restored = make(other.parameters())
    restore_optimizer(restored, found.optimizers["one"])
    assert restored.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert optimizer.state[a].keys() == restored.state[b].keys()
        for key, value in optimizer.state[a].items():
            if isinstance(value, torch.Tensor):
                assert value.stride() == restored.state[b][key].stride()
    stepped(make, net, optimizer=optimizer, first=3)
    stepped(make, other, optimizer=restored, first=3)
    for key, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_everything_comes_back(tmp_path):
    net, better = network(), network()
    with torch.no_grad():
        better[0].weight.add_(1)
    written = checkpoint(5, net, best_epoch=2, best=better.state_dict())
    CheckpointFolder(tmp_path, RUN).write(written)
    found = CheckpointFolder(tmp_path, RUN).read()
    assert (found.epoch, found.best_epoch, found.best_loss, found.history) == (5, 2, 0.1, written.history)
    for part in ("weights", "best"):
        for key, value in getattr(written, part).items():
            assert torch.equal(getattr(found, part)[key], value)
            assert getattr(found, part)[key].dtype == value.dtype


def test_tied_weights(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    CheckpointFolder(tmp_path, RUN).write(checkpoint(0, net))
    assert torch.equal(CheckpointFolder(tmp_path, RUN).read().weights["1.weight"], net[0].weight)


def test_nothing_is_pickled(tmp_path):
    """Every file is JSON, or safetensors: eight bytes of length, a JSON header, and numbers."""
    net = network()
    CheckpointFolder(tmp_path, RUN).write(checkpoint(3, net, {"adam": stepped(OPTIMIZERS["adam"], net)}))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"state.json", "weights.safetensors", "best.safetensors", "optimizers.safetensors"}
    for path in files:
        data = path.read_bytes()
        assert not data.startswith((b"PK", b"\x80"))  # torch.save's zip, a pickle
        if path.suffix == ".json":
            json.loads(data)
        else:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            assert header.keys() - {"__metadata__"} == safetensors.numpy.load(data).keys()


def test_the_last_two_are_kept_and_leftovers_go(tmp_path):
    for leftover in (".epoch_0001.abc.tmp", ".epoch_0000.xyz.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "weights.safetensors").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("the user's own")
    folder = CheckpointFolder(tmp_path, RUN)
    for epoch in (0, 3, 9, 10):
        folder.write(checkpoint(epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0009", "epoch_0010", "notes.txt"]


def test_reading_ends_the_cleaning_that_a_killed_run_began(tmp_path):
    """A finished run writes no more: what it was killed in front of removing would stay."""
    folder = CheckpointFolder(tmp_path, RUN)
    for epoch in (3, 4):
        folder.write(checkpoint(epoch))
    for name in ("epoch_0001", "epoch_0002", ".epoch_0000.abc.old"):  # to be discarded, and half discarded
        shutil.copytree(tmp_path / "epoch_0003", tmp_path / name)
    flip(tmp_path / "epoch_0004" / "weights.safetensors")
    with pytest.warns(UserWarning, match="epoch_0004"):
        assert CheckpointFolder(tmp_path, RUN).read().epoch == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0002", "epoch_0003", "epoch_0004"]  # the damaged one till the next


def test_another_runs_folder_is_left_as_it_is(tmp_path):
    CheckpointFolder(tmp_path, RUN).write(checkpoint(3))
    shutil.copytree(tmp_path / "epoch_0003", tmp_path / ".epoch_0000.abc.old")
    with pytest.raises(SettingsError):
        CheckpointFolder(tmp_path, {**RUN, "seed": 99}).read()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".epoch_0000.abc.old", "epoch_0003"]


def test_the_newest_is_read_by_number_not_by_name(tmp_path):
    folder = CheckpointFolder(tmp_path, RUN)
    folder.write(checkpoint(9999))
    folder.write(checkpoint(10000))
    assert CheckpointFolder(tmp_path, RUN).read().epoch == 10000


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert CheckpointFolder(tmp_path, RUN).read() is None
    assert CheckpointFolder(tmp_path / "nowhere", RUN).read() is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")], ids=["cut", "flip", "missing", "empty"])
@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "best.safetensors", "optimizers.safetensors"])
def test_a_damaged_newest_falls_back_with_a_warning(tmp_path, name, damage):
    net = network()
    optimizers = {"adam": stepped(OPTIMIZERS["adam"], net)}
    folder = CheckpointFolder(tmp_path, RUN)
    for epoch in (1, 2):
        folder.write(checkpoint(epoch, net, optimizers))
    damage(tmp_path / "epoch_0002" / name)
    again = CheckpointFolder(tmp_path, RUN)
    with pytest.warns(UserWarning, match="epoch_0002"):
        assert again.read().epoch == 1
    again.write(checkpoint(3))  # the damaged one is not what is kept to fall back to
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0001", "epoch_0003"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CheckpointFolder(tmp_path, RUN).read().epoch == 3


def test_a_changed_digit_is_noticed(tmp_path):
    CheckpointFolder(tmp_path, RUN).write(checkpoint(0))
    path = tmp_path / "epoch_0000" / "state.json"
    path.write_text(path.read_text().replace('"best_loss": 0.1', '"best_loss": 0.2'))
    with pytest.warns(UserWarning, match="damaged"):
        assert CheckpointFolder(tmp_path, RUN).read() is None


def test_all_damaged_starts_anew(tmp_path):
    CheckpointFolder(tmp_path, RUN).write(checkpoint(0))
    flip(tmp_path / "epoch_0000" / "weights.safetensors")
    with pytest.warns(UserWarning, match="damaged"):
        assert CheckpointFolder(tmp_path, RUN).read() is None


def test_another_run_is_named_by_its_difference(tmp_path):
    CheckpointFolder(tmp_path, RUN).write(checkpoint(0))
    with pytest.raises(SettingsError, match=r"loop\.epochs \(9, now 8\).*choose another folder"):
        CheckpointFolder(tmp_path, {**RUN, "loop": {**RUN["loop"], "epochs": 8}}).read()
    with pytest.raises(SettingsError, match=r"extra \(None, now 1\)"):
        CheckpointFolder(tmp_path, {**RUN, "extra": 1}).read()


def test_fingerprint():
    images = np.random.default_rng(0).integers(0, 255, (100, 1, 4, 4), dtype=np.uint8)
    first = fingerprint(images)
    assert fingerprint(images.copy()) == first
    assert fingerprint(np.asfortranarray(images)) == first
    changed = images.copy()
    changed[-1] += 1
    others = [changed, images[:-1], images[::-1], images.astype(np.uint16), images.reshape(100, 1, 2, 8)]
    assert len({first, *map(fingerprint, others)}) == 6
