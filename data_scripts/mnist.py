"""Prepare MNIST: the same as `novkit data prepare mnist`.

Usage: python data_scripts/mnist.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "mnist"]
main()
