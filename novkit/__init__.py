"""novkit: novelty detection in medical images, taught and reproduced."""

__version__ = "0.1.0"
