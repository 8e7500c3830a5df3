"""The same again: two runs give the same files but for what they cost, and short runs of both presets what they gave when recorded."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from novkit.experiments import Job, run_jobs
from novkit.files import read_json
from tests.campaign import record
from tests.recorded.make import FOLDER, RUNS, measure
from tests.test_faults import SMALL, essence
from tests.test_properties import TINY

PROJECT = Path(__file__).resolve().parents[1]


# ---- twice ----------------------------------------------------------------------------------------------------------------


def small_jobs() -> list[Job]:
    """Both papers' methods and two baselines, in seconds."""
    common: dict[str, Any] = {"dataset": "digits", "normal": ("8",), "seed": 0, "options": {"size": 16}}
    common["cases"] = (("one_vs_rest", ("1", "7")), ("generated_ood", ()))
    changes = {"tend": {**SMALL["tend"], "epochs": 3}, "patchgan": TINY["patchgan"], "ocsvm": TINY["ocsvm"], "statistic_oracle": {}}
    return [Job(method=method, changes=changed, **common) for method, changed in changes.items()]


@pytest.mark.slow
def test_two_processes_give_the_same_files(tmp_path):
    """Another process, another order of Python's sets and dictionaries of text, another state of the global generators."""
    run_jobs(small_jobs(), tmp_path / "here", device="cpu", progress=False)
    code = (
        "import sys, numpy, torch\nfrom tests.test_reproducible import run_jobs, small_jobs\n"
        "torch.set_num_threads(1); torch.manual_seed(99); numpy.random.seed(99)\n"
        "run_jobs(small_jobs(), sys.argv[1], device='cpu', progress=False)"
    )
    variables = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "99"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], env=variables, cwd=PROJECT, check=True, timeout=600)
    here, there = essence(tmp_path / "here"), essence(tmp_path / "there")
    different = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    outcome = "the same but for seconds and memory" if not different else f"{len(different)} files differ"
    record("Reproducible", "small jobs in two processes: results.json, scores, curves, examples, detectors", tried=2, outcome=outcome)
    assert "results.json" in here
    assert different == []


@pytest.mark.long
@pytest.mark.skipif(shutil.which("git") is None or not (PROJECT / ".git").exists(), reason="needs the project's repository")
def test_reproduce_in_two_fresh_clones(tmp_path):
    """`novkit reproduce`, what `make reproduce` calls, as it was committed last; half an hour on two cores."""
    found, minutes = [], []
    for name in "ab":
        clone = tmp_path / name
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
        variables = os.environ | {"PYTHONPATH": str(clone), "NOVKIT_CACHE": str(tmp_path / f"cache-{name}")}
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "novkit", "reproduce"], cwd=clone, env=variables, check=True)
        minutes.append(f"{(time.monotonic() - began) / 60:.1f}")
        stored = json.loads((clone / "results/quick/results.json").read_text(encoding="utf-8"))["records"]
        cost = ("seconds_fit", "seconds_score", "peak_memory_mb")
        found.append([{field: value for field, value in one.items() if field not in cost} for one in stored])
    same = found[0] == found[1]
    outcome = f"the same {len(found[0])} records but for seconds and memory" if same else "other records"
    record("Reproducible", "the quick profile of reproduce, in fresh clones", tried=2, outcome=outcome, note=f"{' and '.join(minutes)} min")
    assert same


# ---- against what was recorded ---------------------------------------------------------------------------------------------

RELATIVE = 0.05  # of a value: other processors and versions of torch round otherwise, and a few steps of training make more of it
AUROC = 0.03  # of 24 normal against 24 novel images: about 17 of 576 pairs


def drift(recorded: dict[str, float], found: dict[str, float]) -> list[str]:
    """What has moved further than it may."""
    if recorded.keys() != found.keys():
        return [f"{name} is in one of them only" for name in sorted(recorded.keys() ^ found.keys())]
    moved = []
    for name, before in recorded.items():
        allowed = AUROC if name == "auroc" else RELATIVE * abs(before)
        if not math.isclose(before, found[name], rel_tol=0, abs_tol=allowed + 1e-9):
            moved.append(f"{name} was {before:.6g}, is {found[name]:.6g}")
    return moved


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "method"), [(profile, method) for profile in RUNS for method in RUNS[profile]])
def test_no_preset_has_drifted(profile, method):
    """If a change of the numbers is meant: python -m tests.recorded.make, and say so in CHANGELOG.md."""
    stored = read_json(FOLDER / f"{profile}.json", "recorded run")
    found = measure(profile, method)
    moved = drift(stored["runs"][method], found)
    outcome = f"within {RELATIVE:.0%} and {AUROC} of AUROC" if not moved else "drifted"
    if found == stored["runs"][method]:
        outcome = "the same to the last digit"
    note = f"recorded {stored['date']} with torch {stored['versions']['torch']}"
    record(
        "Reproducible", f"{profile} preset, a few steps, against its recorded run", part=method, tried=1, outcome={outcome: 1}, note=note
    )
    assert moved == []


def test_drift_is_noticed():
    recorded = read_json(FOLDER / "quick.json", "recorded run")["runs"]["tend"]
    assert drift(recorded, recorded) == []
    for name in recorded:
        assert drift(recorded, {**recorded, name: recorded[name] * 1.05 + 1e-3}), name
        assert not drift(recorded, {**recorded, name: recorded[name] * 1.005}) or name == "auroc"
    assert drift(recorded, {"auroc": 1.0})
