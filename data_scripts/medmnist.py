"""Prepare a two-dimensional set of MedMNIST, such as pneumoniamnist: the same as `novkit data prepare NAME`.

Usage: python data_scripts/medmnist.py NAME [--size 28|64|128|224] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare"]
main()
