"""Tables from elsewhere: how wide and how long they may be, and what the limits do not count."""

import time
import warnings
from pathlib import Path

import pytest
from PIL import Image

from novkit.data import tables
from novkit.data.folder import load_folder, read_labels
from novkit.data.prepare.isic2016 import read_truth
from novkit.data.tables import MAX_COLUMNS, read_csv, read_table
from novkit.errors import DataError


def labels(made: Path, columns: int, cells: int | None = None) -> Path:
    """labels.csv of one image, with so many columns beside path and label, and so many cells in them."""
    Image.new("L", (8, 8)).save(made / "a.png")
    head = "".join(f",c{k}" for k in range(columns))
    (made / "labels.csv").write_text(f"path,label{head}\na.png,normal{',1' * (columns if cells is None else cells)}\n")
    return made


def test_tables_at_the_limits_are_read(tmp_path, monkeypatch):
    """Lines count as they end, not where a cell has lines of its own; what a line leaves out counts."""
    file, head = tmp_path / "x.csv", ",".join(f"c{k}" for k in range(MAX_COLUMNS))
    file.write_text(f"{head}\n1\n")
    assert read_csv(file).shape == (1, MAX_COLUMNS)
    file.write_text(f"{head},more\n1\n")
    with pytest.raises(DataError, match=rf"x\.csv has {MAX_COLUMNS + 1} columns"):
        read_csv(file)
    monkeypatch.setattr(tables, "MAX_CELLS", 40)
    for end in ("\n", "\r\n", "\r"):
        file.write_bytes(f'a,b,c,d{end}1,2,3,"x{end}y""{end}z"{end}{f"1{end}" * 8}'.encode())
        assert read_csv(file).shape == (9, 4)
        file.write_bytes(file.read_bytes() + f"1{end}".encode())
        with pytest.raises(DataError, match=r"x\.csv has 4 columns in 11 lines"):
            read_csv(file)
    for start in ("a\r,b,c,d\n", "a,b\rx,y\rz,d\n"):  # where novkit writes tables, a lone \r is part of a cell
        file.write_bytes((start + "1\n" * 9).encode())
        assert read_table(file, {}).shape == (9, 4)
        file.write_bytes((start + "1\n" * 10).encode())
        with pytest.raises(DataError, match=r"x\.csv has 4 columns in 11 lines"):
            read_table(file, {})


@pytest.mark.parametrize("start", ["", '"' + "x" * 200_000 + '",', "\n\n", '"a""b,c",', "only\n"])
def test_no_cell_hides_how_many_there_are(tmp_path, start):
    """Such as one that Python's own reader finds too long."""
    (tmp_path / "x.csv").write_text(start + ",".join("a" * 300_000) + "\n1,2\n")
    for read in (read_csv, read_truth):
        with pytest.raises(DataError, match=r"has 30000\d columns"):
            read(tmp_path / "x.csv")


@pytest.mark.parametrize(("columns", "cells"), [(300_000, None), (0, 300_000)])
def test_a_table_of_very_many_columns_is_refused_at_once(tmp_path, columns, cells):
    started = time.process_time()
    with pytest.raises(DataError, match="has 300002 columns"):
        read_labels(labels(tmp_path, columns, cells) / "labels.csv")
    assert time.process_time() - started < 3


def test_a_wide_table_is_read_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = load_folder(labels(tmp_path, 1000), cache=False, progress=False).table
    assert table[[f"c{k}" for k in range(1000)]].to_numpy().tolist() == [[1] * 1000]


def test_a_cell_too_long_for_python_is_read(tmp_path):
    labels(tmp_path, 0)
    (tmp_path / "labels.csv").write_text("path,label,note\na.png,normal," + "x" * 200_000 + "\n")
    assert len(read_labels(tmp_path / "labels.csv")["note"][0]) == 200_000
