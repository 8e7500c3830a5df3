"""What all data sets share: tables as CSV, choosing rows, joining the groups of duplicate images, naming the normal class."""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from novkit.data.untrusted import is_file, reading
from novkit.errors import DataError

MAX_COLUMNS = 5000  # of a table: pandas takes long for a header of many more
MAX_CELLS = 20_000_000  # of a table, those counted that short lines leave out: pandas fills them in
# a cell as pandas takes it, quoted (also where the quote is never closed) or plain, and what ends it
_CELL = re.compile(r'(?:"[^"]*(?:""[^"]*)*"?)?[^,\r\n]*(,|\r\n?|\n|\Z)')
_PLAIN = re.compile(r"bool|object|str|string|(u?int|float)(8|16|32|64)")  # the types of columns that `write_table` meets
_OPERATIONS = (
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.List, ast.Tuple, ast.Load),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div),
)


def write_table(file: Path, table: pd.DataFrame) -> dict[str, str]:
    """Write a table as CSV; returns the types of its columns, which `read_table` needs."""
    table.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
    return {str(column): dtype.name for column, dtype in table.dtypes.items()}


def read_csv(file: Path, **options: Any) -> pd.DataFrame:
    """A CSV from elsewhere, every cell text and none missing; `options` are pandas'. DataError naming the file where it is none."""
    with reading(file, "a table", "save it as comma-separated UTF-8"):
        _check_size(file)
        return pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", **options)


def _check_size(file: Path, *, returns: bool = True) -> None:
    """pandas makes a cell for each column of each line, and as many columns as the header has, or the first line below it.

    returns: whether a lone \\r ends a line, and is no letter like others.
    """
    with open(file, encoding="utf-8-sig", newline="") as stream:
        text = stream.read() if returns else stream.read().replace("\r", " ")
    columns = _width(text)
    if columns > MAX_COLUMNS:
        raise DataError(f"{file} has {columns} columns: keep those that matter, {MAX_COLUMNS} in all at most.")
    if columns * (text.count("\n") + text.count("\r")) > MAX_CELLS:  # at a glance: a cell can hold lines of its own
        lines = sum(cell[1] not in (",", "") for cell in _CELL.finditer(text))
        if columns * lines > MAX_CELLS:
            raise DataError(f"{file} has {columns} columns in {lines} lines: keep it below {MAX_CELLS // 10**6} million cells.")


def _width(text: str) -> int:
    """Cells of the wider of the first two lines of a CSV that have more than one."""
    widths, width = [0], 0
    for cell in _CELL.finditer(text):
        width += 1
        if cell[1] != ",":
            widths += [width] if width > 1 else []
            width = 0
            if len(widths) > 2 or cell.end() == len(text):
                break
    return max(widths)


def read_table(file: Path, columns: dict[str, str]) -> pd.DataFrame:
    """The table with the types it was written with; only numbers can be missing, an empty text stays one.

    Raises DataError for a type that is none of a table's, and where no file is.
    """
    if not is_file(file):
        raise DataError(f"{file} is missing: make it again.")
    _check_size(file, returns=False)
    table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8", lineterminator="\n")  # a lone \r is part of a text
    for column, dtype in columns.items():
        if not _PLAIN.fullmatch(dtype):
            raise DataError(f"{file} is said to have a column of type {dtype!r}: make it again.")
        text = table[column].to_numpy(dtype=object)
        if dtype == "bool":
            table[column] = text == "True"
        elif dtype not in ("object", "str", "string"):
            table[column] = np.where(text == "", "nan", text).astype(dtype)  # Python reads back exactly what it wrote
    return table


def select_rows(table: pd.DataFrame, where: str | None) -> np.ndarray:
    """Indices of the rows for which `where` holds: comparisons, `and`, `or`, `not`, arithmetic, column names and constants only.

    Example: "0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)". Raises DataError for anything else.
    """
    if where is None:
        return np.arange(len(table))
    try:
        tree = ast.parse(where.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"where={where!r} cannot be read: write it like \"age > 40 and label == 'normal'\".") from error
    for node in ast.walk(tree):
        _check_node(node, table, where)
    try:
        chosen = table.query(where.strip(), engine="python")
    except Exception as error:  # pandas raises many kinds for, say, text compared with a number
        raise DataError(
            f"where={where!r} cannot be applied to the table ({error}): compare numbers with numbers, text with text."
        ) from error
    if not len(chosen):
        raise DataError(f"where={where!r} keeps none of the {len(table)} rows: loosen it.")
    return np.sort(table.index.get_indexer(chosen.index))


def _check_node(node: ast.AST, table: pd.DataFrame, where: str) -> None:
    if isinstance(node, ast.Name):
        if node.id not in table.columns:
            raise DataError(f"where={where!r} names {node.id!r}, which is no column: the columns are {', '.join(map(str, table.columns))}.")
    elif isinstance(node, ast.Constant):
        if not isinstance(node.value, (str, int, float)):
            raise DataError(f"where={where!r} holds {node.value!r}: use numbers and quoted text.")
    elif not isinstance(node, _OPERATIONS):
        raise DataError(
            f"where={where!r} uses {type(node).__name__}: only comparisons, and/or/not, arithmetic, columns and constants can be used."
        )
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            text = isinstance(side, ast.Constant) and isinstance(side.value, str)
            if text or (isinstance(side, ast.Name) and not pd.api.types.is_numeric_dtype(table[side.id])):
                raise DataError(f"where={where!r} calculates with text: arithmetic needs columns of numbers.")


def pixel_hashes(images: np.ndarray) -> np.ndarray:
    """(n,) text: equal exactly for equal images."""
    return np.array([hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=12).hexdigest() for image in images])


def join_duplicates(groups: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Groups that share an exact duplicate become one, named after the first of them in the alphabet -> (n,) names."""
    names, of_group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    _, of_hash = np.unique(hashes, return_inverse=True)
    n = len(names)
    links = coo_array((np.ones(len(hashes), bool), (of_group, n + of_hash)), shape=(n + of_hash.max() + 1,) * 2)
    component = connected_components(links, directed=False)[1][:n]
    _, first = np.unique(component, return_index=True)  # names are sorted, so the first index is the first name
    return names[first[np.unique(component, return_inverse=True)[1]]][of_group].astype(object)


def duplicate_report(groups: np.ndarray, joined: np.ndarray, hashes: np.ndarray) -> dict[str, int]:
    """How many images repeat an earlier one, and how many groups this made one."""
    merged = len(set(map(str, groups))) - len(set(joined))
    return {"duplicate_images": int(len(hashes) - len(np.unique(hashes))), "groups_joined": int(merged)}


def choose_normal(labels: np.ndarray, normal: str | None, name: str) -> str:
    """The label asked for; else "normal", "healthy" or "benign" where there is one; else the most frequent label.

    labels: (n,) text. name: the data set's, for the message. Raises DataError for a label that no image has.
    """
    counts = pd.Series(labels).value_counts()
    if normal is not None:
        if str(normal) not in counts.index:
            raise DataError(f"Data set {name} has no image of class {normal!r}: its classes are {', '.join(sorted(counts.index))}.")
        return str(normal)
    return next((label for label in ("normal", "healthy", "benign") if label in counts.index), min(counts.index[counts == counts.max()]))


def content_fingerprint(hashes: np.ndarray, table: pd.DataFrame) -> str:
    """A hash of the pixels and of every cell of the table."""
    digest = hashlib.sha256("".join(hashes).encode())
    digest.update(table.to_csv(index=False).encode())
    return digest.hexdigest()[:16]
