"""Seeded damage to files: bytes, truncation, extreme values, splices, hostile words, and JSON whose values are not what they should be."""

import json
import re
import struct
from collections.abc import Callable

import numpy as np

# ---- damage --------------------------------------------------------------------------------------------------------------

_SIZES = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q", "<f", ">f", "<d")
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 50_000, 100_000, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_WORDS = (
    b"../../outside.txt", b"/tmp/outside", b"..\\..\\outside", b"C:\\outside", b"\0", b"1e999", b"nan", b"-1", b"-0",
    b"9" * 25,     b"9" * 5000, b"0x7fffffff", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"=cmd|'/c calc'!A0", b"<script>", b'"', b'""',
    b"'", b",", b"\n", b"\r",     b"\t", b"{", b"[", b"]", b"}", b"null", b"true", b"a" * 300, b"/dev/zero", b".", b"", b" ",
    b"[" * 3000, b'{"a":' * 3000, b"\xf0\x9f\x98\x80",     b"|O", b"<U999999999", b"<f8", b"(99999999999,)", b"(-1, 4)", b"10000000000",
)  # fmt: skip


def _flip(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.choice((1, 1, 2, 4, 16)))):
        content[_place(content, rng)] = int(rng.integers(256))
    return content


def _place(content: bytearray, rng: np.random.Generator) -> int:
    """Half of all damage is done to the first bytes: headers lie there."""
    reach = min(len(content), int(rng.choice((64, 400, len(content), len(content)))))
    return int(rng.integers(max(reach, 1)))


def _cut(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def _extreme(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    kind, value, start = str(rng.choice(_SIZES)), int(_EXTREMES[rng.integers(len(_EXTREMES))]), _place(content, rng)
    size = struct.calcsize(kind)
    if kind[1] in "fd":
        packed = struct.pack(kind, rng.choice((np.nan, np.inf, -np.inf, 1e38, -1.0, 0.0)))
    else:
        packed = struct.pack(kind, value % 2 ** (8 * size))
    content[start : start + size] = packed
    return content


def _splice(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    other = others[rng.integers(len(others))]
    return content[: int(rng.integers(len(content)))] + other[int(rng.integers(len(other))) :]


def _move(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    start, size, to = int(rng.integers(len(content))), int(rng.choice((1, 4, 40, 400))), int(rng.integers(len(content)))
    piece = content[start : start + size]
    if rng.random() < 0.5:
        del content[start : start + size]
    content[to:to] = piece if rng.random() < 0.7 else b""
    return content


def _word(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    """A word of the text, or a number of it, becomes another; in binary files that is a name, a length or a type."""
    words = list(re.finditer(rb'"[^"\n]{0,40}"|-?\d+(\.\d+)?|[A-Za-z_./]{2,}', bytes(content)))
    word = _WORDS[rng.integers(len(_WORDS))]
    if not words:
        return content + word
    found = words[rng.integers(len(words))]
    quoted = found.group().startswith(b'"') and rng.random() < 0.5
    content[found.start() : found.end()] = b'"' + word.replace(b'"', b'\\"') + b'"' if quoted else word
    return content


def _garbage(content: bytearray, others: list[bytes], rng: np.random.Generator) -> bytearray:
    return bytearray(rng.integers(0, 256, int(rng.choice((0, 1, 10, 1000))), dtype=np.uint8).tobytes())


DAMAGE: tuple[tuple[float, Callable[[bytearray, list[bytes], np.random.Generator], bytearray]], ...] = (
    (0.25, _flip), (0.12, _cut), (0.25, _extreme), (0.1, _splice), (0.1, _move), (0.16, _word), (0.02, _garbage),
)  # fmt: skip


def damaged(valid: list[bytes], rng: np.random.Generator) -> bytes:
    """One of the valid files, damaged once, sometimes twice; one in a hundred is left whole."""
    content = bytearray(valid[rng.integers(len(valid))])
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.01, 0.69, 0.2, 0.1)))):
        if content:
            content = DAMAGE[rng.choice(len(DAMAGE), p=[share for share, _ in DAMAGE])][1](content, valid, rng)
    return bytes(content)


def hostile_json(value: object, rng: np.random.Generator) -> object:
    """A JSON value with one of its parts replaced, renamed or removed."""
    strange = (
        None,
        True,
        -1,
        0,
        1e308,
        10**400,
        "",
        "\ud800",
        "../../outside",
        "<script>",
        [],
        {},
        [[]],
        {"a": [1]},
        "x" * 5000,
        2.5,
        [0] * 50,
    )
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[rng.integers(len(keys))]
        copy = dict(value) if isinstance(value, dict) else list(value)
        how = rng.random()
        if how < 0.08:
            del copy[key]  # type: ignore[arg-type]
        elif how < 0.12 and isinstance(copy, dict):
            copy[f"{key}x"] = copy.pop(key)
        else:
            copy[key] = hostile_json(copy[key], rng)  # type: ignore[index]
        return copy
    return strange[rng.integers(len(strange))]


def hostile_text(value: object, rng: np.random.Generator) -> bytes:
    """JSON as bytes, damaged in its values or in its bytes."""
    text = json.dumps(hostile_json(value, rng) if rng.random() < 0.6 else value, ensure_ascii=bool(rng.random() < 0.5), allow_nan=True)
    content = text.encode("utf-8", "surrogatepass")
    return content if rng.random() < 0.6 else damaged([content], rng)
