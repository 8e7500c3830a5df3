"""Patch-GAN with targeted patch ranking (Chen et al. 2025, arXiv 2501.17906)."""

from novkit.patchgan.detector import PatchGan
from novkit.patchgan.settings import PatchGanSettings

__all__ = ["PatchGan", "PatchGanSettings"]
