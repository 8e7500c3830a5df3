"""Devices: which one a name stands for, an Accelerator for one run, and torch's global random state."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import InitProcessGroupKwargs, parse_flag_from_env, patch_environment
from torch import nn

from novkit.errors import SettingsError

_PATIENCE = timedelta(hours=12)  # of processes that wait for the first one, which validates; GPUs would give up after ten minutes


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device a name stands for; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises SettingsError for a device that this machine does not have.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device is {device!r}: choose auto, cpu, cuda or mps.") from error
    there = {"cpu": True, "cuda": cuda and (chosen.index or 0) < torch.cuda.device_count(), "mps": mps}
    if not there.get(chosen.type, False):
        raise SettingsError(f"device is {str(device)!r}, which this machine does not have: choose auto or cpu.")
    return chosen


@contextmanager
def own_accelerator(device: str | torch.device = "auto", precision: str = "auto") -> Iterator[Accelerator]:
    """An Accelerator for one training run alone.

    precision: "no" (float32), "bf16" (CUDA only; SettingsError elsewhere), "auto" (bf16 where the GPU computes in it, else float32).

    Accelerate keeps its state in process-wide dictionaries, in which device and precision cannot be changed: what is there is
    put aside and put back afterwards, so that runs with other settings, and a caller's own Accelerator, are not disturbed.
    """
    chosen = torch.device("cpu") if parse_flag_from_env("ACCELERATE_USE_CPU") else pick_device(device)
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" and _computes_in_bf16(chosen) else "no"
    if precision == "bf16" and chosen.type != "cuda":
        raise SettingsError(f"precision is bf16 but the device is {chosen.type}: choose auto, or train on a CUDA device.")
    shared = [cls._shared_state for cls in (AcceleratorState, PartialState, GradientState)]
    before = [dict(state) for state in shared]
    launched = int(os.environ.get("LOCAL_RANK", -1)) != -1  # then each process has its own device
    variables = {} if launched else {"ACCELERATE_TORCH_DEVICE": str(chosen)}
    try:
        for state in shared:
            state.clear()
        with patch_environment(**variables):
            patience = InitProcessGroupKwargs(timeout=_PATIENCE)
            accelerator = Accelerator(cpu=chosen.type == "cpu", mixed_precision=precision, kwargs_handlers=[patience])
        yield accelerator
    finally:
        for state, old in zip(shared, before, strict=True):
            state.clear()
            state.update(old)


def _computes_in_bf16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def is_main_process() -> bool:
    """Whether this process speaks and writes for all; of a run that `accelerate launch` or `torchrun` started, the first does."""
    return int(os.environ.get("RANK", 0)) == 0


IMPLEMENTATION = ("fused", "foreach")
"""Options of an optimiser that say how it computes, not what: a run may go on with others."""


def adam(parameters: Iterable[nn.Parameter], **options: Any) -> torch.optim.Adam:
    """torch.optim.Adam; in one kernel where all parameters are on a CPU or a CUDA device."""
    parameters = list(parameters)
    fused = bool(parameters) and all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    return torch.optim.Adam(parameters, fused=fused or None, **options)


@contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """Leave torch's global random state, on the CPU and on `device`, as it was."""
    others, kind = ([], "cuda") if device.type == "cpu" else ([device], device.type)  # torch 2.11 wants a kind, also of no device
    with torch.random.fork_rng(devices=others, device_type=kind):
        yield


def seed_global(device: torch.device, seed: int) -> None:
    """Seed torch's global random state on the CPU and on `device`.

    Not torch.manual_seed: while a GPU stands unused, that formats a stack trace at every call.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
