"""Memory that the C library keeps while networks compute, so that it need not be asked of the system again at every step."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # glibc's malloc.h
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20}  # where glibc's own adaptation ends
_lock, _inside = threading.Lock(), 0


def _chosen() -> bool:
    """Whether the user's environment has set the allocator up: then it stays so."""
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        f"MALLOC_{name}_" in os.environ for name in ("TRIM_THRESHOLD", "MMAP_THRESHOLD", "MMAP_MAX")
    )


def _c_library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None  # glibc alone has both


_LIBRARY = None if _chosen() else _c_library()


@contextmanager
def memory_kept() -> Iterator[None]:
    """Freed memory stays with the process inside the block, and goes back to the system behind it; also a decorator.

    By default glibc maps every large array anew and unmaps it when it is freed. A training step does that for each activation and
    gradient, and the kernel clears every page each time: 5 to 17 % of a step on a CPU. Blocks may be nested, and entered by several
    threads; the outermost counts, and leaves glibc's thresholds where their own adaptation would have ended. Nothing happens where the C
    library is another, or the environment sets its allocator up (MALLOC_…_, GLIBC_TUNABLES).
    """
    global _inside
    library = _LIBRARY
    with _lock:
        _inside += 1
        if _inside == 1 and library is not None:
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and library is not None:
                for option, value in _USUAL.items():
                    library.mallopt(option, value)
                library.malloc_trim(0)
