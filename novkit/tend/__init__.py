"""TEND: transformation-based embedding learning (Guo et al. 2022, J. Med. Imaging 9(1) 014004; arXiv 2108.00117)."""

from novkit.tend.detector import Tend
from novkit.tend.settings import Faithful, TendSettings

__all__ = ["Faithful", "Tend", "TendSettings"]
