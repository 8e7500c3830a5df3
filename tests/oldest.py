"""The short tests with the oldest torch and torchvision that pyproject.toml allows, in an environment of their own, build/oldest.

Usage: python -m tests.oldest [pytest's arguments]

What comes out stands in RELIABILITY.md once `python -m tests.reliability` has written it anew.
"""

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "build" / "oldest"
RECORDS = PROJECT / "build" / "reliability"


def oldest() -> list[str]:
    """torch and torchvision, each pinned at its floor."""
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [text.replace(">=", "==") + ".0" for text in wanted if re.match(r"torch(vision)?>=", text)]


def others() -> str:
    """constraints.txt without torch, torchvision and what they bring along."""
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not re.match(r"torch|triton|nvidia|cuda", line)) + "\n"


def main(words: list[str]) -> int:
    FOLDER.parent.mkdir(exist_ok=True)
    venv.create(FOLDER, with_pip=True)
    pins = FOLDER / "constraints.txt"
    pins.write_text(others(), encoding="utf-8")
    python = [str(FOLDER / ("Scripts" if os.name == "nt" else "bin") / "python"), "-m"]
    install = [*python, "pip", "install", "--disable-pip-version-check", "--constraint", str(pins)]
    # Python 3.11's venv brings a setuptools that is too old to build novkit, which a test does
    subprocess.run([*install, "--upgrade", "setuptools", "--editable", f"{PROJECT}[notebooks,teach,benchmarks,dev]", *oldest()], check=True)
    test = [*python, "pytest", "-p", "tests.campaign", "-m", "not long", *words]
    return subprocess.run(test, cwd=PROJECT, env=os.environ | {"NOVKIT_RELIABILITY": str(RECORDS)}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
