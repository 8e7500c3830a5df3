"""Prepare ISIC 2016, task 3: the same as `novkit data prepare isic2016`.

Usage: python data_scripts/isic2016.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "isic2016"]
main()
