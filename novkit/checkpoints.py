"""The state of a training run on disk: safetensors and JSON, nothing pickled, nothing half-written."""

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.optim import Optimizer

from novkit.data.untrusted import is_file
from novkit.devices import IMPLEMENTATION
from novkit.errors import NovkitError, SettingsError, StoredFileError
from novkit.files import discard, read_json, remove, replacing_folder, write_json, writer_lives

FORMAT = 1  # of checkpoints
KEPT = 2  # the newest, and one to fall back to

Tensors = dict[str, Tensor]


@dataclass
class Checkpoint:
    """Everything a run needs to go on after `epoch` (counted from 0) as if it had never stopped.

    weights: the modules' state_dict. best: the same at `best_epoch`, the epoch of lowest validation loss in its phase.
    optimizers: name -> state_dict. history: one JSON-able dictionary per epoch. processes: that trained together.
    There is no random state to keep: every draw is a function of (seed, epoch, step).
    """

    epoch: int
    best_epoch: int
    best_loss: float
    weights: Tensors
    best: Tensors
    optimizers: dict[str, dict[str, Any]]
    history: list[dict[str, Any]] = field(default_factory=list)
    processes: int = 1


class CheckpointFolder:
    """The checkpoints of one run, `epoch_0000/`, `epoch_0001/`, … in `folder`; the last two are kept.

    run: JSON-able description of the run (settings, seed, data, …); a checkpoint is only read by a run that is described alike.
    """

    def __init__(self, folder: str | Path, run: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.run = json.loads(json.dumps(run, default=str))  # as it will be read back: tuples become lists
        self.kept: list[str] = []

    def write(self, checkpoint: Checkpoint) -> None:
        """Write one checkpoint in one step, then drop all but the last two. StoredFileError where the system refuses."""
        name = f"epoch_{checkpoint.epoch:04d}"
        parts = {"weights": checkpoint.weights}
        if checkpoint.best_epoch != checkpoint.epoch:
            parts["best"] = checkpoint.best
        parts["optimizers"], optimizers = _flatten(checkpoint.optimizers)
        with replacing_folder(self.folder / name) as temporary:
            digests = {}
            for part, tensors in parts.items():
                # contiguous copies: safetensors stores neither strides nor memory that two names share
                data = safetensors.torch.save({key: _plain(value) for key, value in tensors.items()})
                (temporary / f"{part}.safetensors").write_bytes(data)  # an OSError here is one replacing_folder explains
                digests[part] = _digest(data)
            state = {
                "format": FORMAT,
                "run": self.run,
                "epoch": checkpoint.epoch,
                "best_epoch": checkpoint.best_epoch,
                "best_loss": checkpoint.best_loss,
                "processes": checkpoint.processes,
                "digests": digests,
                "optimizers": optimizers,
                "history": checkpoint.history,
            }
            write_json(temporary / "state.json", {**state, "digest": _digest(json.dumps(state).encode())})
        self.kept = [*(kept for kept in self.kept if kept != name), name][-KEPT:]
        self._clean()

    def read(self) -> Checkpoint | None:
        """The newest sound checkpoint of this run; None where there is none.

        A damaged one is passed over with a warning. Raises SettingsError if the folder belongs to another run.
        """
        names = sorted(path.name for path in self.folder.glob("epoch_*") if re.fullmatch(r"epoch_\d{4,}", path.name))
        names.sort(key=lambda name: int(name[6:]))
        damaged: list[str] = []
        while names:
            name = names[-1]
            try:
                checkpoint = self._read(self.folder / name)
            except StoredFileError as error:
                warnings.warn(f"{error} Going on from the one before it.", stacklevel=3)
                damaged.append(names.pop())
                continue
            self.kept = names[-KEPT:]
            self._clean(but=damaged)  # a finished run writes no more, and may have been killed before it cleaned up
            return checkpoint
        return None

    def _read(self, path: Path) -> Checkpoint:
        state = read_json(path / "state.json", "checkpoint")
        try:
            if state.pop("digest") != _digest(json.dumps(state).encode()):
                raise StoredFileError(f"The checkpoint {path} is damaged (its content has changed).")
            if state["format"] != FORMAT:
                raise SettingsError(f"{path} was written by another version of novkit: choose another folder, or delete this one.")
            self._check_same_run(state["run"])
            processes = state.get("processes", 1)  # checkpoints of old do not tell
            if not all(isinstance(n, int) for n in (state["epoch"], state["best_epoch"], processes)) or not isinstance(
                state["history"], list
            ):
                raise StoredFileError(f"The checkpoint {path} is damaged (its epochs are no numbers).")
            parts = {part: _read_tensors(path / f"{part}.safetensors", digest) for part, digest in state["digests"].items()}
            return Checkpoint(
                epoch=state["epoch"],
                best_epoch=state["best_epoch"],
                best_loss=state["best_loss"],
                weights=parts["weights"],
                best=parts.get("best", parts["weights"]),
                optimizers=_unflatten(parts["optimizers"], state["optimizers"]),
                history=state["history"],
                processes=processes,
            )
        except (LookupError, TypeError, ValueError, AttributeError, OSError, RecursionError, safetensors.SafetensorError) as error:
            if isinstance(error, NovkitError):
                raise
            raise StoredFileError(f"The checkpoint {path} is damaged ({' '.join(repr(error).split())[:200]}).") from error

    def _check_same_run(self, stored: dict[str, Any]) -> None:
        if stored != self.run:
            different = ", ".join(_differences(stored, self.run)[:4])
            raise SettingsError(f"{self.folder} holds a training run with other {different}: choose another folder, or delete this one.")

    def _clean(self, but: Sequence[str] = ()) -> None:
        """Remove checkpoints that are not kept, and what killed writers left behind."""
        for path in self.folder.glob("epoch_*"):
            if path.name not in (*self.kept, *but):
                discard(path)
        for path in self.folder.glob(".epoch_*"):
            if path.suffix in (".tmp", ".old") and not writer_lives(path):
                remove(path)


def fingerprint(images: np.ndarray) -> str:
    """A cheap hash of an array of images: its shape, its dtype and up to 16 images spread over it."""
    digest = hashlib.blake2b(repr((images.shape, images.dtype.name)).encode(), digest_size=16)
    for index in np.unique(np.linspace(0, len(images) - 1, 16).astype(int)):
        digest.update(np.ascontiguousarray(images[index]).tobytes())
    return digest.hexdigest()


def restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """`optimizer.load_state_dict(state)`, with the memory layout an undisturbed run would have.

    A state tensor that is laid out otherwise than its parameter takes another path through the optimiser's kernels, and
    may round otherwise. How the optimiser computes stays as it was made for its device.
    """
    own = [{name: group[name] for name in IMPLEMENTATION if name in group} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, implementation in zip(optimizer.param_groups, own, strict=True):
        group.update(implementation)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _flatten(optimizers: dict[str, dict[str, Any]]) -> tuple[Tensors, dict[str, Any]]:
    """Optimiser state_dicts -> tensors by "name/parameter/key", and the JSON-able rest."""
    tensors: Tensors = {}
    rest: dict[str, Any] = {}
    for name, state in optimizers.items():
        scalars: dict[str, dict[str, Any]] = {}
        for index, values in state["state"].items():
            scalars[str(index)] = {key: value for key, value in values.items() if not isinstance(value, Tensor)}
            tensors.update({f"{name}/{index}/{key}": value for key, value in values.items() if isinstance(value, Tensor)})
        rest[name] = {"groups": state["param_groups"], "scalars": scalars}
    return tensors, rest


def _unflatten(tensors: Tensors, rest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    optimizers: dict[str, dict[str, Any]] = {}
    for name, stored in rest.items():
        groups = [{key: _betas(key, value) for key, value in group.items()} for group in stored["groups"]]
        state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in stored["scalars"].items()}
        optimizers[name] = {"state": state, "param_groups": groups}
    for path, tensor in tensors.items():
        name, index, key = path.rsplit("/", 2)
        optimizers[name]["state"][int(index)][key] = tensor
    return optimizers


def _betas(key: str, value: Any) -> Any:
    """JSON has no tuples; optimisers' pairs such as betas are."""
    return tuple(value) if isinstance(value, list) and key != "params" else value


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _read_tensors(path: Path, digest: str) -> Tensors:
    if not is_file(path):  # a pipe would be waited for, a device never ends
        raise StoredFileError(f"The checkpoint {path.parent} is damaged ({path.name} is missing or no file).")
    data = path.read_bytes()
    if _digest(data) != digest:
        raise StoredFileError(f"The checkpoint {path.parent} is damaged (its content has changed).")
    return {key: value.clone() for key, value in safetensors.torch.load(data).items()}  # clones: `data` is not ours to write to


def _differences(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, with both values: "settings.lr (0.1, now 0.2)"."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return [
            line
            for key in [*stored, *(key for key in wanted if key not in stored)]
            for line in _differences(stored.get(key), wanted.get(key), f"{path}.{key}" if path else key)
        ]
    if stored == wanted:
        return []
    long = len(str(stored)) > 40 or len(str(wanted)) > 40
    return [path if long else f"{path} ({stored}, now {wanted})"]
