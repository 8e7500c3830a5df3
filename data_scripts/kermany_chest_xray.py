"""Prepare Kermany's chest X-rays: the same as `novkit data prepare kermany_chest_xray`.

Usage: python data_scripts/kermany_chest_xray.py [--size N] [--from FOLDER] [--unverified]
"""

import sys

from novkit.cli import main

sys.argv[1:1] = ["data", "prepare", "kermany_chest_xray"]
main()
