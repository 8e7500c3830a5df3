"""Prepare the RSNA Pneumonia set: the same as `novkit data prepare rsna_pneumonia`.

Usage: python data_scripts/rsna_pneumonia.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "rsna_pneumonia"]
main()
