"""SIGKILL at random moments: nothing is lost or half-read after a restart, and the result is that of an undisturbed run, bit for bit.

Half of the moments are drawn from the time an undisturbed run takes, half from its file operations: a rename takes no time to be hit by
chance.
"""

import json
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from novkit.checkpoints import CheckpointFolder
from novkit.data.downloads import Download, fetch
from novkit.data.prepare import prepare
from novkit.data.store import verify_store
from novkit.detector import Detector
from novkit.errors import NovkitError
from novkit.experiments import Job, run_jobs
from novkit.methods import load_detector, make_detector
from novkit.results import load_history, load_results, load_scores
from novkit.training import LoopSettings
from tests.campaign import record
from tests.conftest import blobs
from tests.data.layouts import make_isic
from tests.data.test_prepare_downloads import Server, wanted
from tests.drawn import counts
from tests.test_properties import TINY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")

SMALL = {
    "tend": {**TINY["tend"], "epochs_autoencoder": 4, "epochs": 8, "warmup": 2},
    "patchgan": {**TINY["patchgan"], "epochs": 8},
    "deep_svdd": {**TINY["deep_svdd"], "epochs": 8, "epochs_autoencoder": 4},
    "autoencoder": {**TINY["autoencoder"], "epochs": 3},
    "patch_knn": {**TINY["patch_knn"], "epochs": 3},
}


# ---- what is killed: run in children of the server ------------------------------------------------------------------------


def fit(folder: str, method: str) -> None:
    """Train with a checkpoint an epoch, as if epochs took long, and save."""
    LoopSettings.__init__.__kwdefaults__["checkpoint_seconds"] = 0.0
    warnings.simplefilter("error", UserWarning)  # such as of a damaged checkpoint
    detector = make_detector(method, changes=SMALL[method], seed=3, device="cpu", progress=False, workdir=Path(folder) / "work")
    images = (blobs(n, size=16, seed=seed) for seed, n in enumerate((64, 16, 16)))
    detector.fit(next(images), next(images), X_threshold=next(images))
    detector.save(Path(folder) / "detector")


def save(folder: str) -> None:
    """Save two detectors by turns over each other."""
    pair = two_detectors()
    for turn in range(25):
        pair[turn % 2].save(Path(folder) / "detector")


def two_detectors() -> list[Detector]:
    return [make_detector("pixel_zscore", device="cpu").fit(blobs(40, seed=seed), blobs(10, seed=9)) for seed in (0, 1)]


def download(folder: str, url: str, digest: str) -> None:
    fetch(Download(url, digest, "data.bin"), Path(folder), progress=False)


def prepare_isic(folder: str, source: str) -> None:
    """Unpack and prepare; NOVKIT_DATA is `folder`."""
    prepare("isic2016", source=source, verified=False, progress=False, size=32)


def reproduce(folder: str) -> None:
    """A few small jobs, one after the other; the autoencoder's training is handed on to patch_knn."""
    LoopSettings.__init__.__kwdefaults__["checkpoint_seconds"] = 0.0
    warnings.simplefilter("error", UserWarning)
    cases = (("one_vs_rest", ("1",)), ("generated_ood", ()))
    common: dict[str, Any] = {"dataset": "digits", "normal": ("8",), "cases": cases, "seed": 0, "options": {"size": 16}}
    changes = {"tend": {**SMALL["tend"], "epochs": 3}, GIVER: SMALL[GIVER], HEIR: SMALL[HEIR], "statistic_oracle": {}}
    jobs = [Job(method=method, changes=each, **common) for method, each in changes.items()]
    run_jobs(jobs, folder, device="cpu", progress=False)


GIVER, HEIR = "autoencoder", "patch_knn"


def hang(folder: str) -> None:
    time.sleep(3600)


# ---- what is looked at ----------------------------------------------------------------------------------------------------

COST = ("seconds", "seconds_fit", "seconds_score", "peak_memory_mb", "digest", "commit")
"""What may differ between runs: what they cost, the hash over it, and the checkout's commit: somebody may be at work in it."""


def essence(folder: Path) -> dict[str, Any]:
    """The content of every file, left-overs included, but for what a run costs; locks are empty files that stay."""
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".run.lock", ".results.lock")
    }


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _without_cost(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes()) for name in arrays.files}
    return path.read_bytes()


def _without_cost(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_cost(part) for name, part in value.items() if name not in COST}
    return [_without_cost(part) for part in value] if isinstance(value, list) else value


def finished_epochs(folder: Path) -> list[str]:
    """Every epoch that a checkpoint holds, with the seconds it took: one that was trained again would have taken others."""
    found = []
    for run in sorted(folder.glob("work/*/")):
        states = sorted(run.glob("epoch_*/state.json"))
        for state in states:
            content = json.loads(state.read_text(encoding="utf-8"))
            assert CheckpointFolder(run, content["run"])._read(state.parent).epoch == content["epoch"]
        found += [f"{run.name}: {row}" for row in json.loads(states[-1].read_text(encoding="utf-8"))["history"]] if states else []
    if (folder / "detector").exists():
        load_detector(folder / "detector")
    return found


def one_of_the_two(folder: Path) -> list[str]:
    """All of one detector; neither the files of none, nor the weights of one beside the description of the other."""
    load_detector(folder / "detector")
    assert essence(folder / "detector") in the_two(), "the detector is neither of the two"
    return []


@cache
def the_two() -> list[dict[str, Any]]:
    found = []
    for detector in two_detectors():
        with tempfile.TemporaryDirectory() as folder:
            detector.save(Path(folder) / "detector")
            found.append(essence(Path(folder) / "detector"))
    assert all(found[0][name] != found[1][name] for name in ("detector.json", "weights.safetensors"))  # else a mixture would be none
    return found


def fetched(server: Server, folder: Path) -> list[str]:
    """What has come so far is the beginning of the file. Returned: with which byte each request began, and with which the next one must."""
    have = 0
    for name in ("data.bin", ".data.bin.part"):
        if (folder / name).exists():
            content = (folder / name).read_bytes()
            assert content == CONTENT[: len(content)]
            assert name != "data.bin" or len(content) == len(CONTENT)
            have = len(content)
    starts = [int(asked.removeprefix("bytes=").removesuffix("-") or 0) for asked in server.asked]
    starts += [] if (folder / "data.bin").exists() else [have]
    return [f"request {number} from byte {start}" for number, start in enumerate(starts)]


def prepared(folder: Path) -> list[str]:
    """Every archive that is unpacked and all that is prepared, with the moment: what was done again would have another."""
    stores = [manifest.parent for manifest in folder.glob("isic2016/[!.]*/manifest.json")]
    for store in stores:
        verify_store(store)
    return [f"{done.name}: {done.stat().st_mtime_ns}" for done in (*stores, *folder.glob("isic2016/unpacked/[!.]*"))]


def records(folder: Path) -> list[str]:
    """Every record, with its cost, and every epoch, with its seconds: one that was measured or trained again would have others.

    An epoch of the giver must come to be one of the heir's too.
    """
    found = load_results(folder) if (folder / "results.json").exists() else []
    done = Counter(one.method for one in found)
    kept = [f"{one.run} {one.seconds_fit}" for one in found if done[one.method] == 2]
    for one in found:
        load_scores(folder, one)
        load_detector(folder / "detectors" / _job(one.method))
        kept += [f"{_job(one.method)}: {row}" for row in load_history(folder, one) or []]
    trained = {one.method: load_history(folder, one) for one in found}
    assert trained.get(HEIR) in (None, trained.get(GIVER)), "the heir was trained by itself"
    for state in folder.glob("work/[!.]*/*/epoch_*/state.json"):
        job = state.relative_to(folder).parts[1]
        for row in json.loads(state.read_text(encoding="utf-8"))["history"]:
            kept += [f"{job}: {row}"] + [f"{_job(HEIR)}: {row}"] * (job == _job(GIVER))
    return kept


def _job(method: str) -> str:
    return f"digits-8-{method}-seed0"


CONTENT = np.random.default_rng(0).bytes(12_000_000)


@dataclass(frozen=True)
class Killed:
    """What is killed and how it is looked at. sound: raises where something is half-written; returns what is finished, which must stay."""

    what: str
    task: str
    sound: Callable[[Path], list[str]]
    arguments: dict[str, Any]
    variables: Callable[[Path], dict[str, str]] = lambda folder: {}
    before: Callable[[Path], None] = lambda folder: None


def _fit(method: str, name: str) -> Killed:
    return Killed(f"{name}: training, then saving", "fit", finished_epochs, {"method": method})


@pytest.fixture
def killed(request, tmp_path) -> Iterator[Killed]:
    """One of the things that are killed, with what it needs."""
    if request.param == "save":
        first = two_detectors()[0]
        yield Killed("saving detectors over each other", "save", one_of_the_two, {}, before=lambda folder: first.save(folder / "detector"))
    elif request.param == "download":
        with Server(CONTENT) as server:
            yield Killed("a download", "download", partial(fetched, server), {"url": server.url, "digest": wanted(server, CONTENT).hash})
    elif request.param == "prepare":
        make_isic(tmp_path / "isic", n_train=40, n_test=20)
        for images in [*(tmp_path / "isic").glob("*_Data")]:
            with zipfile.ZipFile(images.with_suffix(".zip"), "w") as archive:
                for file in sorted(images.iterdir()):
                    archive.write(file, f"{images.name}/{file.name}")
                    file.unlink()
        arguments = {"source": str(tmp_path / "isic")}
        yield Killed("unpacking and preparing a data set", "prepare_isic", prepared, arguments, lambda folder: {"NOVKIT_DATA": str(folder)})
    elif request.param == "reproduce":
        yield Killed("reproduce, with four small jobs, one of which begins with another's training", "reproduce", records, {})
    else:
        yield _fit(request.param, {"tend": "TEND", "patchgan": "Patch-GAN", "deep_svdd": "Deep SVDD"}[request.param])


@pytest.mark.slow
@counts(3, 50)
@pytest.mark.parametrize("killed", ["save", "download", "prepare", "tend", "patchgan", "deep_svdd", "reproduce"], indirect=True)
def test_killed_at_random_moments(killed, examples, tmp_path):
    from tests import forking

    def go(folder: Path, **kill: Any) -> forking.Ended:
        task = f"tests.test_faults:{killed.task}"
        return forking.run(task, folder=folder, variables=killed.variables(folder), **killed.arguments, **kill)

    def start(name: str) -> Path:
        (tmp_path / name).mkdir()
        killed.before(tmp_path / name)
        return tmp_path / name

    for name in ("whole", "again"):  # the first imports what the others then find imported
        undisturbed = go(start(name))
        assert undisturbed.code == 0, undisturbed.err
    expected, random = essence(tmp_path / "whole"), np.random.default_rng(examples)
    assert essence(tmp_path / "again") == expected
    killed.sound(tmp_path / "again")
    kills, outcomes, wrong = 0, Counter[str](), []
    for number in range(20 * examples):  # a run may end before its kill: kills are fewer than runs
        if kills >= examples:
            break
        folder, these, kept = start(f"killed{number}"), 0, []
        outcome = "the same result as undisturbed, bit for bit"
        while True:  # killed again and again until it comes through, at the latest when there is no kill left
            moment: dict[str, Any] = {}
            if kills + these < examples:
                after, at = float(random.uniform(0, undisturbed.seconds)), int(random.integers(undisturbed.events))
                moment = {"kill_after": after} if random.random() < 0.5 else {"kill_at": at}
            ended = go(folder, **moment)
            if not (moment and ended.killed):
                break
            these += 1
            try:
                kept += killed.sound(folder)
            except (NovkitError, AssertionError) as error:
                outcome = "something half-written was left"
                wrong.append(f"{moment}: {error}")
        result = {} if ended.code else essence(folder)
        if ended.hung:
            outcome = "the restart hung"
            wrong.append(f"{moment}: after {ended.seconds:.0f} s it had not ended. {ended.err}")
        elif ended.code:
            outcome = "the restart failed"
            wrong.append(ended.err)
        elif result != expected:
            outcome = "another result"
            names = {name for name in {*result, *expected} if result.get(name) != expected.get(name)}
            wrong.append(f"{moment}: {sorted(names)[:5]} differ")
        elif lost := set(kept) - set(killed.sound(folder)):
            outcome = "something was done again"
            wrong.append(f"{moment}: {sorted(lost)[:3]}")
        kills, outcomes = kills + these, outcomes + Counter({outcome: these})
        record("Faults", f"SIGKILL: {killed.what}", tried=kills, outcome=outcomes)  # as far as we have come
    assert not wrong, wrong[:3]
    assert kills >= examples


@pytest.mark.slow
def test_a_hang_is_no_kill(tmp_path):
    from tests import forking

    endless = partial(forking.run, "tests.test_faults:hang", folder=tmp_path)
    hung, killed = endless(longest=0.3), endless(kill_after=0.3)
    assert (hung.hung, hung.killed) == (True, False)
    assert (killed.hung, killed.killed) == (False, True)


def test_a_mixture_of_two_detectors_is_seen(tmp_path):
    for name, detector in zip("ab", two_detectors(), strict=True):
        detector.save(tmp_path / name / "detector")
        one_of_the_two(tmp_path / name)
    (tmp_path / "a/detector/weights.safetensors").replace(tmp_path / "b/detector/weights.safetensors")
    with pytest.raises(AssertionError, match="neither of the two"):
        one_of_the_two(tmp_path / "b")


def test_the_comparison_sees_what_it_must(tmp_path):
    """Costs may differ; a value, a left-over or a lost file may not."""
    (tmp_path / "a.json").write_text('{"auroc": 0.5, "seconds_fit": 1.0, "history": [{"seconds": 1, "loss": 2}]}')
    before = essence(tmp_path)
    (tmp_path / "a.json").write_text('{"auroc": 0.5, "seconds_fit": 2.0, "history": [{"seconds": 3, "loss": 2}]}')
    assert essence(tmp_path) == before
    (tmp_path / "a.json").write_text('{"auroc": 0.5, "seconds_fit": 2.0, "history": [{"seconds": 3, "loss": 3}]}')
    assert essence(tmp_path) != before
    (tmp_path / ".left.tmp").write_text("")
    assert ".left.tmp" in essence(tmp_path)
