"""The machine and what it can do at most: arithmetic and memory traffic, measured in the same run as everything else."""

from dataclasses import dataclass

import psutil
import torch
from torch import nn

from benchmarks.timing import timed
from novkit.memory import memory_kept
from novkit.provenance import provenance

_MATRIX = {"cpu": 2048, "cuda": 8192}
_CONVOLVED = {"cpu": 32, "cuda": 512}  # images of 32×32, from 256 channels to 256, 3×3
_COPIED = {"cpu": 2**28, "cuda": 2**31}  # bytes: far more than any cache holds


@dataclass(frozen=True)
class Ceilings:
    """What the machine does a second: operations of a large matrix product and of a large convolution, and bytes of a large copy, read
    and written ones both counted.
    """

    product: float
    convolution: float  # by another library than the product's, on a CPU, which may use wider instructions
    bytes: float
    precision: str

    @property
    def operations(self) -> float:
        """A second, at most."""
        return max(self.product, self.convolution)

    def least_seconds(self, operations: float, moved: float) -> float:
        """No program with these operations, in this precision, and bytes can be faster on this machine."""
        return max(operations / self.operations, moved / self.bytes)


def measure_ceilings(device: torch.device) -> Ceilings:
    """Median of five each; on a GPU in bfloat16, as training is there."""
    kind = device.type if device.type in _MATRIX else "cpu"
    precision = torch.bfloat16 if kind == "cuda" else torch.float32
    n = _MATRIX[kind]
    a, b = (torch.randn(n, n, device=device).to(precision) for _ in range(2))  # a GPU is faster at constants
    product = timed(lambda: a @ b, device)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, precision, memory_format=torch.channels_last)
    images = torch.randn(_CONVOLVED[kind], 256, 32, 32, device=device).to(precision, memory_format=torch.channels_last)
    with torch.inference_mode(), memory_kept():
        convolution = timed(lambda: layer(images), device)
    source = torch.ones(_COPIED[kind] // 4, device=device)
    target = torch.empty_like(source)
    copy = timed(lambda: target.copy_(source), device)
    rates = 2 * n**3 / product.median, 2 * 9 * 256 * images.numel() / convolution.median, 2 * _COPIED[kind] / copy.median
    return Ceilings(*rates, str(precision).removeprefix("torch."))


def describe(device: torch.device) -> dict[str, object]:
    """What the numbers were measured on; `busy_before` is the share of the processor that others used just then."""
    return {
        **provenance(str(device)),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "busy_before": round(psutil.cpu_percent(1.0) / 100, 2),
    }
