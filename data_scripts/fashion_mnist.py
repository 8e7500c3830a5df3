"""Prepare Fashion-MNIST: the same as `novkit data prepare fashion_mnist`.

Usage: python data_scripts/fashion_mnist.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "fashion_mnist"]
main()
