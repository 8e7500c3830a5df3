"""Batches of images: what is accepted, and how they become float tensors."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from novkit.errors import DataError, TrainingError
from novkit.progress import say

S = TypeVar("S")
T = TypeVar("T")

DTYPES = (np.uint8, np.uint16, np.float32)
_MOST_PIECES = 512  # no batch is larger
_CHUNK = 1024  # images looked at together: memory maps are never read whole


def chunks(n: int, size: int = _CHUNK) -> Iterator[slice]:
    """Consecutive slices that cover range(n)."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def check_images(X: ArrayLike | Tensor, *, shape: tuple[int, int, int] | None = None, varied: bool = False, what: str = "X") -> np.ndarray:
    """Return `X` as an array (n, channels, height, width) of uint8, uint16 or float32 in [0, 1]; float64 is narrowed.

    shape: (channels, height, width) that the images must have. varied: refuse images of one single value.
    Raises DataError, naming the first offending image.

    >>> check_images(np.full((2, 1, 16, 16), 128.0))
    Traceback (most recent call last):
    novkit.errors.DataError: Image 0 of X leaves [0, 1]: divide by the largest possible value.
    """
    array = _as_array(X, what)
    if array.ndim != 4:
        raise DataError(f"{what} has shape {array.shape}: images must come as (n, channels, height, width).")
    if array.dtype == np.float64 or array.dtype == np.float16:
        with np.errstate(over="ignore"):  # becomes infinity, which is refused below
            array = array.astype(np.float32)
    if array.dtype not in DTYPES:
        raise DataError(f"{what} has dtype {array.dtype}: use uint8, uint16 or float32 in [0, 1].")
    if len(array) == 0:
        raise DataError(f"{what} holds no image: give at least one.")
    if array.size == 0:
        raise DataError(f"{what} has shape {array.shape}: its images have no pixels.")
    if shape is not None and tuple(array.shape[1:]) != tuple(shape):
        if array.shape[1] != shape[0]:
            raise DataError(
                f"{what} has {array.shape[1]} channels where the detector was fitted on {shape[0]}: convert the images or fit again."
            )
        raise DataError(
            f"{what} has images of {array.shape[2]}×{array.shape[3]} where the detector was fitted on "
            f"{shape[1]}×{shape[2]}: resize them or fit again."
        )
    for part in chunks(len(array)):
        flat = np.asarray(array[part]).reshape(part.stop - part.start, -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        if array.dtype == np.float32:
            bad = ~(np.isfinite(low) & np.isfinite(high))
            if bad.any():
                raise DataError(f"Image {part.start + int(bad.argmax())} of {what} holds NaN or infinity: remove or repair it.")
            bad = (low < 0) | (high > 1)
            if bad.any():
                raise DataError(f"Image {part.start + int(bad.argmax())} of {what} leaves [0, 1]: divide by the largest possible value.")
        if varied and (low == high).any():
            raise DataError(
                f"Image {part.start + int((low == high).argmax())} of {what} is constant: remove it, there is nothing to learn."
            )
    return array


def _as_array(X: ArrayLike | Tensor, what: str) -> np.ndarray:
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # NumPy has no bfloat16
    try:
        return np.asanyarray(X)
    except ValueError as error:  # NumPy's, for a list of arrays whose shapes differ
        raise DataError(f"{what} holds images of several sizes: resize them to one.") from error


def to_raw(images: np.ndarray) -> Tensor:
    """uint8, uint16 or float32 images -> a CPU tensor of the same values: uint8, int32 or float32."""
    array = np.ascontiguousarray(images)
    if array.dtype == np.uint16:
        array = array.astype(np.int32)  # torch does little with uint16
    if not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array)


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the CPU on `device`. A CUDA device is not waited for, as it would be by a copy from memory that can be paged out."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_unit(raw: Tensor) -> Tensor:
    """What `to_raw` gives, on any device -> float32 in [0, 1]; channels last where it is a batch of images."""
    scale = {torch.uint8: 255.0, torch.int32: 65535.0}.get(raw.dtype)
    if scale is not None:
        raw = raw.to(torch.float32).div_(scale)
    return raw.contiguous(memory_format=torch.channels_last) if raw.ndim == 4 else raw


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """uint8, uint16 or float32 images -> float32 in [0, 1] on `device`; (n, channels, height, width) -> the same.

    >>> to_tensor(np.array([[[[0, 51, 255]]]], np.uint8))
    tensor([[[[0.0000, 0.2000, 1.0000]]]])
    """
    return to_unit(send(to_raw(images), device))


def collected(parts: list[Tensor]) -> Tensor:
    """What was computed batch by batch, as one tensor of float64 on the CPU: a device is waited for once, at the end."""
    return torch.cat(parts).cpu().double()


def read_ahead(read: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """What `read` gives for each item, in order; a thread already reads the next one while one is used."""
    with ThreadPoolExecutor(1) as reader:
        coming: Future[T] | None = None
        for item in items:
            ready, coming = coming, reader.submit(read, item)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


_pieces = 1  # in which batches are scored, of each: as many as this process's device has asked for


def batches(images: np.ndarray, batch_size: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Consecutive float32 batches of `images`, in order, on `device`; smaller ones where images are larger than 256×256."""
    height, width = images.shape[-2:]
    for part in chunks(len(images), fitting(batch_size * 256**2 // max(256**2, height * width))):
        yield to_tensor(images[part], device)


def fitting(batch_size: int) -> int:
    """So many images of a batch at once as fit into the device's memory, as far as `retried` has found it out; at least one."""
    return max(1, batch_size // _pieces)


def retried(call: Callable[[], T]) -> T:
    """What `call` returns, which goes through `batches`: again, with half as many images at once, where the device's memory is full.

    No score depends on it, but TEND's held-out loss draws other transformations. Raises TrainingError where not even one image fits.
    """
    global _pieces
    while True:
        try:
            return call()
        except torch.OutOfMemoryError as error:
            ran_out = error.with_traceback(None)  # its frames hold what the attempt computed
        if _pieces >= _MOST_PIECES:
            raise TrainingError("Not even one image fits into the device's memory: choose smaller images or device='cpu'.") from ran_out
        _pieces *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say(f"The images to be scored do not fit into the device's memory: 1/{_pieces} as many are taken at once from now on.")
