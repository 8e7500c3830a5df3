"""Against the published way: the eight transformations by ImageMagick, and the published training step of TEND's stage 2.

ImageMagick is called through Wand, in memory; the JPEG that the published code writes is left out on both sides. Wand and ImageMagick are
needed for this comparison alone: `pip install novkit[benchmarks]`, and the system's ImageMagick 6 or 7.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cases import Measured, some_images, tend_stage_2, training
from benchmarks.timing import REPEATS, Timing, timed
from novkit.data import load
from novkit.distortions.published import PUBLISHED, published
from novkit.images import to_tensor
from novkit.memory import memory_kept
from novkit.seeding import numpy_generator
from novkit.tend.losses import centre_of
from novkit.tend.networks import MarginNetwork, autoencoder_for
from novkit.tend.settings import TendSettings

SIDE, BATCH = 256, 32
ROUNDS = 3  # the steps are timed in turn, so that a machine that is busier for a while favours none
_METHODS = {"AffineProjection": "affine_projection"}  # Wand's name where it is not ImageMagick's in small letters


def magick(picture: np.ndarray, which: str) -> np.ndarray:
    """One 256×256 grey image through ImageMagick in this process: (256, 256) uint8 twice."""
    from wand.image import Image

    with Image.from_array(picture) as image:
        _distorted(image, which)
        pixels = np.array(image)
        return pixels if pixels.ndim == 2 else pixels[..., 0]


def _distorted(image: Any, which: str) -> None:
    """Wand's image changed in place, its size as before."""
    method, numbers, virtual_pixel = PUBLISHED[which].imagemagick
    image.virtual_pixel = virtual_pixel
    image.distort(_METHODS.get(method, method.lower()), tuple(map(float, numbers.replace(",", " ").split())))
    if image.size != (SIDE, SIDE):  # the arc grows the canvas; the published code shrinks it back
        image.resize(SIDE, SIDE)


def ours(pictures: np.ndarray, which: str) -> np.ndarray:
    """What `magick` does, for a batch: (n, 1, 256, 256) uint8 twice."""
    return published(to_tensor(pictures), which).mul_(255).round_().to(torch.uint8).numpy()


def _alone(pictures: np.ndarray, which: str) -> Timing:
    """ImageMagick's time for images that are its own already."""
    from wand.image import Image

    seconds = []
    for _ in range(2 + REPEATS):
        with ExitStack() as open_images:
            images = [open_images.enter_context(Image.from_array(picture[0])) for picture in pictures]
            start = time.perf_counter()
            for image in images:
                _distorted(image, which)
            seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds[2:]))


@contextmanager
def magick_serial() -> Iterator[None]:
    """One thread for ImageMagick; afterwards as many as before."""
    from wand.resource import limits

    before = limits["thread"]
    limits["thread"] = 1
    try:
        yield
    finally:
        limits["thread"] = before


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for ImageMagick and one for torch; both as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with magick_serial():
            yield
    finally:
        torch.set_num_threads(before)


def transformations() -> dict[str, dict[str, float]]:
    """By transformation: seconds an image of each, on one thread, and the median difference of their pixels in grey levels.

    "imagemagick" and "novkit" go from bytes to bytes, "…_alone" from each one's own images to its own. What novkit computes once for a
    transformation and a size, the matrix, is there already.
    """
    pictures = load("brain", seed=0, size=SIDE, n_healthy=BATCH, conditions=("healthy",), progress=False).images
    x, few = to_tensor(pictures), pictures[:4]
    found = {}
    with one_thread(), memory_kept():
        for which in PUBLISHED:
            difference = np.abs(ours(pictures[:1], which)[0, 0] - magick(pictures[0, 0], which).astype(float))
            found[which] = {
                "imagemagick": timed(lambda which=which: [magick(picture[0], which) for picture in few]).median / len(few),
                "novkit": timed(lambda which=which: ours(pictures, which)).median / BATCH,
                "imagemagick_alone": _alone(few, which).median / len(few),
                "novkit_alone": timed(lambda which=which: published(x, which)).median / BATCH,
                "median_difference": float(np.median(difference)),
                "share_within_4": float((difference <= 4).mean()),
            }
    return found


def imagemagick() -> str:
    """The versions of ImageMagick and Wand; ImportError where one is missing."""
    from wand import version

    return f"{' '.join(version.MAGICK_VERSION.split()[:2])}, Wand {version.VERSION}"


PLAIN = "published step, plain rendering, 256×256"
PLAIN_THREADS = "published step, plain rendering, ImageMagick with several threads, 256×256"


def published_step(serial: bool = True) -> Measured:
    """A plain rendering of the published step after warm-up, at 256×256, batch 32, with the weights and losses of our own networks.

    As published [C]: each image transformed by ImageMagick, one after the other, by one of the eight; x and T(x) each encoded twice a step,
    once for the probability and once for the distance; PyTorch's default memory layout, float32, Adam. Without the JPEG.
    serial: ImageMagick has one thread; else as many as it chooses. torch has those of the process.
    """
    settings = TendSettings()
    network = MarginNetwork(autoencoder_for((1, SIDE, SIDE), settings.width), settings.embedding)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    pictures = some_images(BATCH, SIDE)
    names, draw = list(PUBLISHED), numpy_generator(0, "published step")
    with torch.no_grad():
        network.centre.copy_(centre_of(network(torch.from_numpy(pictures).float() / 255)[0], settings.centre_least))

    def step() -> None:
        transformed = np.stack([magick(picture[0], names[draw.integers(len(names))]) for picture in pictures])[:, None]
        x, t = (torch.from_numpy(images).float() / 255 for images in (pictures, transformed))
        loss = _classification(network, x, t) + _margin(network, x, t, settings.radius)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with magick_serial() if serial else nullcontext():
        return Measured(timed(step), BATCH)


def _classification(network: MarginNetwork, x: Tensor, t: Tensor) -> Tensor:
    p_x, p_t = torch.sigmoid(network(x)[1]), torch.sigmoid(network(t)[1])
    return 0.5 * (F.binary_cross_entropy(p_x, torch.zeros_like(p_x)) + F.binary_cross_entropy(p_t, torch.ones_like(p_t)))


def _margin(network: MarginNetwork, x: Tensor, t: Tensor, radius: float) -> Tensor:
    inside, outside = (((network(images)[0] - network.centre) ** 2).sum(dim=1) for images in (x, t))
    return inside.mean() + torch.clamp(radius - outside, min=0).mean()


def our_step(device: torch.device, transformations: str) -> Measured:
    """The same step as novkit makes it, its transformation included.

    transformations: "published", the same eight, x left as it is; or "default", our family, for which x is resampled as well.
    """
    settings = TendSettings(warmup=0, epochs=7, transformations=transformations, match_resampling=transformations == "default")
    return training(lambda: tend_stage_2(settings, SIDE), device, SIDE, BATCH)


def steps(device: torch.device) -> dict[str, Measured]:
    """The published step and ours, with the same eight transformations and with our default family, ROUNDS times in turn."""
    cases: dict[str, Callable[[], Measured]] = {
        PLAIN: published_step,
        PLAIN_THREADS: partial(published_step, serial=False),
        **{f"our step, {kind} transformations, 256×256": partial(our_step, device, kind) for kind in ("published", "default")},
    }
    rounds = [{name: case() for name, case in cases.items()} for _ in range(ROUNDS)]
    together = {name: tuple(second for found in rounds for second in found[name].timing.seconds) for name in cases}
    return {name: replace(rounds[0][name], timing=Timing(seconds)) for name, seconds in together.items()}
