"""What torch.compile would gain: the same training steps with compiled networks, and how long their first epoch takes."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.cases import UNCOUNTED, epochs, steps_of, steps_of_training
from novkit.training import Objective, Step

ROUNDS = 3  # as they are and compiled, in turn
MODES = {"cuda": ("default", "reduce-overhead")}  # the latter records CUDA graphs


def measure(device: torch.device, only: str = "") -> Iterator[tuple[str, dict]]:
    """Of the steps whose name holds `only`: (step and compilation mode; {"images" a step, "plain" and "compiled": seconds of each step,
    "first_plain" and "first_compiled": seconds of the first epoch, "steps" of it}), or {"error"} where the step cannot be compiled."""
    for name, (make, size, batch) in steps_of_training(device).items():
        for mode in MODES.get(device.type, ("default",)):
            if only in f"{name}, {mode}":
                yield f"{name}, {mode}", _compared(make, device, size, batch, mode)


def _compared(make: Callable[[], Objective], device: torch.device, size: int, batch: int, mode: str) -> dict:
    steps = steps_of(device, batch)
    found: dict = {"images": batch, "steps": steps, "plain": [], "compiled": []}
    for _ in range(ROUNDS):
        for kind, maker in (("plain", make), ("compiled", lambda: compiled(make(), mode))):
            torch.compiler.reset()
            fresh = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # a compiler that failed may still write
            with fresh as empty, patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=empty):  # nothing is compiled yet
                try:
                    seconds = epochs(maker, device, size, batch)
                except Exception as error:  # whatever a compiler cannot do, the table says
                    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
            found.setdefault(f"first_{kind}", seconds[0] * steps)
            found[kind] += seconds[UNCOUNTED:]
    return found


def compiled(objective: Objective, mode: str = "default") -> Objective:
    """The objective with its networks compiled for the shapes that they get in training; in evaluation they stay as they are, as what one
    batch gave is kept there while the next is computed, and CUDA graphs would write over it."""
    for module in objective.modules.values():
        plain, fast = module.forward, torch.compile(module.forward, mode=mode, dynamic=False)
        module.forward = partial(_in_training, module, fast, plain)  # type: ignore[method-assign]
    objective.loss = partial(_marked, objective.loss, [])  # type: ignore[method-assign]
    return objective


def _in_training(module: nn.Module, fast: Callable, plain: Callable, *inputs: Tensor) -> Any:
    return (fast if module.training else plain)(*inputs)


def _marked(loss: Callable, begun: list[int], optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
    """CUDA graphs keep what they computed until the next step begins: not only until a network is called for the second time in one."""
    if begun[-1:] != [step.step]:
        torch.compiler.cudagraph_mark_step_begin()
        begun[:] = [step.step]
    return loss(optimizer, images, step)
