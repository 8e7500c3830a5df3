"""Prepare any folder with a labels.csv as a data set of its own name: the same as `novkit data prepare FOLDER --name NAME`.

Usage: python data_scripts/folder.py FOLDER --name NAME [--size N] [--option channels=1]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare"]
main()
