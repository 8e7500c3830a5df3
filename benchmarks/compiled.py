"""What torch.compile would gain: the same training steps with compiled networks, and how long their first epoch takes."""

import os
import tempfile
from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch

from benchmarks.cases import STEPS, UNCOUNTED, epochs, steps_of_training
from novkit.training import Objective

ROUNDS = 3  # as they are and compiled, in turn
MODES = {"cuda": ("default", "reduce-overhead")}  # the latter records CUDA graphs


def measure(device: torch.device) -> Iterator[tuple[str, dict]]:
    """(step and compilation mode; {"images" a step, "plain" and "compiled": seconds of each step, "first_plain" and "first_compiled":
    seconds of the first epoch, "steps" of it}), or {"error"} where the step cannot be compiled."""
    for name, (make, size, batch) in steps_of_training(device).items():
        for mode in MODES.get(device.type, ("default",)):
            yield f"{name}, {mode}", _compared(make, device, size, batch, mode)


def _compared(make: Callable[[], Objective], device: torch.device, size: int, batch: int, mode: str) -> dict:
    steps = STEPS.get(device.type, 6)
    found: dict = {"images": batch, "steps": steps, "plain": [], "compiled": []}
    for _ in range(ROUNDS):
        for kind, maker in (("plain", make), ("compiled", lambda: compiled(make(), mode))):
            torch.compiler.reset()
            with tempfile.TemporaryDirectory() as fresh, patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=fresh):  # nothing is compiled yet
                try:
                    seconds = epochs(maker, device, size, batch)
                except Exception as error:  # whatever a compiler cannot do, the table says
                    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
            found.setdefault(f"first_{kind}", seconds[0] * steps)
            found[kind] += seconds[UNCOUNTED:]
    return found


def compiled(objective: Objective, mode: str = "default") -> Objective:
    """The objective with its networks compiled for the shapes that they get."""
    for module in objective.modules.values():
        module.compile(mode=mode, dynamic=False)
    return objective
