"""Prepare CIFAR-10: the same as `novkit data prepare cifar10`.

Usage: python data_scripts/cifar10.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "cifar10"]
main()
