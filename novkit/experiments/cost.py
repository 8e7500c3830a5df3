"""What a block of code costs: seconds and peak memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from novkit.devices import pick_device


@dataclass
class Cost:
    """Seconds and peak memory in MiB (of the process, or of the GPU where one computes) of a `measured` block."""

    seconds: float = 0.0
    megabytes: float = 0.0


@contextmanager
def measured(device: str) -> Iterator[Cost]:
    """Measure the block; the process's memory is sampled twenty times a second."""
    cost = Cost()
    place = pick_device(device)
    cuda = place.type == "cuda"
    process, ended = psutil.Process(), threading.Event()
    if cuda:
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(place)

    def watch() -> None:
        while True:
            cost.megabytes = max(cost.megabytes, process.memory_info().rss / 2**20)
            if ended.wait(0.05):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.perf_counter()
    watcher.start()
    try:
        yield cost
        if cuda:
            torch.cuda.synchronize(place)
    finally:
        ended.set()
        watcher.join()
        cost.seconds = time.perf_counter() - start
        if cuda:
            cost.megabytes = torch.cuda.max_memory_allocated(place) / 2**20
