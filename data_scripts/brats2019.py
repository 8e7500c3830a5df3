"""Prepare BraTS 2019: the same as `novkit data prepare brats2019`.

Usage: python data_scripts/brats2019.py [--size N] [--option modality=t1] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "brats2019"]
main()
