"""A download onto a disk that fills up, and into a folder that may not be written: one sentence, and it goes on where it stopped."""

import subprocess

import numpy as np
import pytest

from novkit.data.downloads import fetch
from novkit.errors import StoredFileError
from tests.campaign import record
from tests.data.test_prepare_downloads import Server, names, wanted
from tests.test_faults_disk import NOTHING_HALF, as_root

CONTENT = np.random.default_rng(0).bytes(600_000)
pytestmark = [pytest.mark.slow, as_root]


@pytest.fixture
def disk(tmp_path):
    """A disk of 16 pages of 4 KiB, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_download_onto_a_disk_that_fills_up_goes_on_when_there_is_room(disk):
    sizes, outcome = (64, 256, 400), NOTHING_HALF
    with Server(CONTENT) as server:
        for kilobytes in sizes:
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)
            with pytest.raises(StoredFileError, match=r"No space left on device.*free some space"):
                fetch(wanted(server, CONTENT), disk, progress=False)
            assert names(disk) == [".data.bin.part"]
            part = (disk / ".data.bin.part").read_bytes()
            assert len(part) > 0.8 * 1024 * kilobytes
            if part != CONTENT[: len(part)]:
                outcome = "another content"
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        fetch(wanted(server, CONTENT), disk, progress=False)
    record(
        "Faults", "a disk that fills up, at the first write or later", part="a download", tried=len(sizes), outcome={outcome: len(sizes)}
    )
    assert outcome == NOTHING_HALF
    assert (disk / "data.bin").read_bytes() == CONTENT
    assert names(disk) == ["data.bin"]
    assert server.asked[-1] == f"bytes={len(part)}-"  # what had come was not sent again


def test_a_download_into_a_folder_that_may_not_be_written(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with Server(CONTENT) as server, pytest.raises(StoredFileError, match=r"Read-only file system.*a folder you may write to"):
        fetch(wanted(server, CONTENT), disk, progress=False)
    record("Faults", "a disk that may only be read", part="a download", tried=1, outcome={NOTHING_HALF if not names(disk) else "a file": 1})
    assert names(disk) == []
