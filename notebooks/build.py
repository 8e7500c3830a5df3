"""Build the notebooks: take their cells from scripts/, run them, and store outputs that are small, clean and seen without JavaScript.

    python -m notebooks.build                 # all of them (`make notebooks`)
    python -m notebooks.build 00_you 03       # those whose names begin so

The percent script is the source; cells keep their ids. A notebook is run from top to bottom in a new kernel, then its outputs are tidied:

- every plotly figure gets a static picture and its alternative text beside it, for where JavaScript does not run; drawing it needs
  Chromium or Chrome, running a notebook does not;
- numbers of a figure are stored as 32-bit arrays, not as text;
- progress bars are dropped; controls (ipywidgets) leave a line that says so, because their state would be megabytes.

A figure that looks as before keeps its stored bytes, so that a rebuild on another machine changes only what changed. Nothing is written
where a cell fails, prints a warning or an absolute path, draws a figure without alternative text, or the notebook exceeds a megabyte.
"""

import argparse
import atexit
import base64
import copy
import functools
import io
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import kaleido
import nbformat
import numpy as np
import psutil
from jupytext.combine import combine_inputs_with_outputs
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

from novkit.errors import NovkitError
from novkit.files import replacing

HERE = Path(__file__).parent
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
CONTROLS = "*Controls appear here when this cell is run.*"
LARGEST = 1_000_000  # bytes of a stored notebook
WIDTH = 760  # pixels of a static picture
MINUTES, MEBIBYTES = 3, 1536  # what a notebook may take on two cores

ABSOLUTE_PATH = re.compile(r"(?<![\w./:<])/(?:home|root|tmp|Users|work|opt|usr|var|mnt|media|srv|private|content)/[\w.~-]+|\b[A-Z]:\\\\?\w")
PROGRESS = re.compile(r"\d+%\||\d(?:it|B|\w{1,12})/s\]|\?it/s")
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
WARNING = re.compile(r"\b\w*Warning\b")


class BuildError(NovkitError):
    """A notebook cannot be stored."""


# ---- building --------------------------------------------------------------------------------------------------------


def build(script: Path) -> str:
    """Run one notebook and store it if anything changed; returns a line that says what it took. BuildError names what is wrong."""
    path = script.parent.parent / f"{script.stem}.ipynb"
    old = nbformat.read(path, as_version=4) if path.exists() else None
    notebook = with_source(script, old)
    seconds, mebibytes = execute(notebook, path.parent)
    tidy(notebook)
    wrong = problems(notebook, pictures=False)
    if wrong:
        raise BuildError(f"{path.name} is not stored:\n  " + "\n  ".join(wrong))
    add_pictures(notebook, old)
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > LARGEST:
        raise BuildError(f"{path.name} would be {len(text.encode()) / 1e6:.2f} MB: keep it below {LARGEST / 1e6:.0f} MB.")
    changed = not path.exists() or path.read_text(encoding="utf-8") != text
    if changed:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    over = "  MORE THAN IT MAY TAKE" if seconds > 60 * MINUTES or mebibytes > MEBIBYTES else ""
    stored = f"{len(text.encode()) / 1e3:.0f} kB, {'stored' if changed else 'unchanged'}"
    return f"{script.stem}: {seconds:.0f} s, {mebibytes:.0f} MiB, {stored}{over}"


def with_source(script: Path, old: NotebookNode | None) -> NotebookNode:
    """The script's cells, with ids and notebook metadata of the stored notebook where there is one; no outputs."""
    source = jupytext.read(script)
    source.metadata.pop("jupytext", None)
    source.nbformat_minor = max(5, source.nbformat_minor)  # cell ids exist since 4.5
    notebook = source if old is None else combine_inputs_with_outputs(source, old, fmt={"extension": ".py", "format_name": "percent"})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> tuple[float, float]:
    """Run all cells in a new kernel whose working directory is `folder`; returns seconds and peak memory (MiB) of the kernel."""
    client = NotebookClient(
        notebook,
        timeout=1800,  # generous: the machine may be busy with other things
        startup_timeout=600,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # of the kernel itself: not what a cell says
    )
    peak, ended, start = [0.0], threading.Event(), time.perf_counter()

    def watch() -> None:
        while not ended.wait(0.2):
            try:
                kernel = psutil.Process(client.km.provisioner.pid)  # type: ignore[union-attr]
                peak[0] = max(peak[0], kernel.memory_info().rss / 2**20)
            except (AttributeError, psutil.Error):
                continue  # not started yet, or just ended

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        client.execute(env=os.environ | {"PLOTLY_RENDERER": "plotly_mimetype"})
    except CellExecutionError as error:
        raise BuildError(f"A cell fails:\n{error}") from error
    finally:
        ended.set()
        watcher.join()
    notebook.metadata.get("language_info", {}).pop("version", None)  # of this machine's Python
    return time.perf_counter() - start, peak[0]


# ---- tidying outputs -------------------------------------------------------------------------------------------------


def tidy(notebook: NotebookNode) -> None:
    """Drop progress bars and controls, and shrink figures, in place."""
    for cell in code_cells(notebook):
        cell.outputs = [output for output in map(_tidied, cell.outputs) if output is not None]


def _tidied(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream":
        if output.name == "stderr":
            lines = re.split(r"[\r\n]+", output.text)
            output.text = "\n".join(line for line in lines if line.strip(" \x1b[A") and not PROGRESS.search(line))
        return output if output.text else None
    data = output.get("data", {})
    if WIDGET in data:
        if PROGRESS.search(data.get("text/plain", "")):
            return None
        return nbformat.v4.new_output("display_data", {"text/markdown": CONTROLS, "text/plain": CONTROLS.strip("*")})
    if PLOTLY in data:
        data[PLOTLY] = compact(data[PLOTLY])
    return output


def compact(value: Any) -> Any:
    """A figure's JSON with its long lists of numbers and its 64-bit arrays as 32-bit ones: a screen shows no more."""
    if isinstance(value, dict):
        if value.keys() >= {"dtype", "bdata"} and value["dtype"] == "f8":
            numbers = np.frombuffer(base64.b64decode(value["bdata"]), "<f8")
            return {**value, **_array(numbers)} if np.abs(numbers[np.isfinite(numbers)]).max(initial=0) < 1e30 else value
        return {name: compact(item) if name != "colorscale" else item for name, item in value.items()}
    if isinstance(value, list):
        if len(value) > 16 and all(isinstance(item, float | int) and not isinstance(item, bool) for item in value):
            return _array(np.array(value, np.float64))
        return [compact(item) for item in value]
    return value


def _array(numbers: np.ndarray) -> dict[str, str]:
    return {"dtype": "f4", "bdata": base64.b64encode(numbers.astype("<f4").tobytes()).decode()}


# ---- static pictures -------------------------------------------------------------------------------------------------


def add_pictures(notebook: NotebookNode, old: NotebookNode | None) -> None:
    """Put a picture and the alternative text beside every plotly figure, in place; a figure that looks as stored keeps what is stored."""
    stored = {cell.id: list(figures(cell)) for cell in code_cells(old)} if old is not None else {}
    for cell in code_cells(notebook):
        for index, output in enumerate(figures(cell)):
            before = stored.get(cell.id, [])[index : index + 1]
            if before and "image/png" in before[0].data and looks_like(before[0].data[PLOTLY], output.data[PLOTLY]):
                output.data, output.metadata = before[0].data, before[0].metadata
                continue
            figure, alt = output.data[PLOTLY], alternative_text(output.data[PLOTLY])
            output.data["image/png"] = base64.b64encode(picture(figure)).decode()
            output.data["text/plain"] = alt
            output.metadata["image/png"] = {"alt": alt}


def alternative_text(figure: dict) -> str:
    """What the figure's maker says it shows, in one line."""
    return " ".join(((figure.get("layout") or {}).get("meta") or {}).get("alt", "").split())


@functools.cache
def _browser() -> None:
    """Start the browser that draws, once: starting takes longer than drawing."""
    kaleido.start_sync_server(mathjax=False, silence_warnings=True)  # MathJax would come from the network
    atexit.register(kaleido.stop_sync_server, silence_warnings=True)


def picture(figure: dict) -> bytes:
    """The figure as a PNG of at most about 800 pixels' width, in 256 colours where that is smaller."""
    _browser()
    layout = figure.get("layout", {})
    width, height = layout.get("width") or WIDTH, layout.get("height") or 450
    scale = min(1.0, 800 / width)
    drawn = {"data": figure["data"], "layout": layout}
    png = kaleido.calc_fig_sync(drawn, opts={"format": "png", "width": width, "height": height, "scale": scale})
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGBA").quantize(256, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return min(png, buffer.getvalue(), key=len)


def looks_like(old: dict, new: dict) -> bool:
    """Whether two figures show the same to the eye: the same words, and pictures that differ in hardly a pixel."""
    if old == new:
        return True
    if texts(old) != texts(new) or len(old["data"]) != len(new["data"]) or len(old.get("frames", [])) != len(new.get("frames", [])):
        return False
    return all(same_picture(picture(a), picture(b)) for a, b in zip(_states(old), _states(new), strict=True))


def texts(value: Any, key: str = "") -> list[str]:
    """Every word in a figure's JSON, embedded pictures and arrays left out, in order."""
    if isinstance(value, dict):
        return [text for name in sorted(value) for text in texts(value[name], name)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item, key)]
    return [value] if isinstance(value, str) and key != "bdata" and not value.startswith("data:") else []


def _states(figure: dict) -> Iterator[dict]:
    """What a figure can show: itself, its hidden traces too, and up to five of its frames."""
    yield figure
    if any(trace.get("visible", True) is not True for trace in figure["data"]):
        yield {**figure, "data": [{**trace, "visible": True} for trace in figure["data"]]}
    frames = figure.get("frames", [])
    for index in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(5, len(frames)))}):
        data = copy.deepcopy(figure["data"])
        for place, trace in zip(frames[index].get("traces", range(len(data))), frames[index]["data"], strict=False):
            data[place].update(trace)
        yield {**figure, "data": data}


def same_picture(first: bytes, second: bytes) -> bool:
    """Whether fewer than one pixel in 2000 differs clearly."""
    a, b = (np.asarray(_on_white(png), np.int16) for png in (first, second))
    return a.shape == b.shape and float((np.abs(a - b).max(axis=2) > 40).mean()) < 1 / 2000


def _on_white(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


# ---- what a stored notebook must not hold ----------------------------------------------------------------------------


def problems(notebook: NotebookNode, *, pictures: bool = True) -> list[str]:
    """What is wrong with the outputs of a notebook, one line each; `pictures`: every figure must have its static picture."""
    found = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        place = f"cell {number} ({cell.source.splitlines()[0][:50] if cell.source else 'empty'})"
        if cell.source.strip() and cell.execution_count is None:
            found.append(f"{place} was not run")
        if "NBVAL_CHECK_OUTPUT" in cell.source and not cell.outputs:
            found.append(f"{place} is to be checked and prints nothing")
        for output in cell.outputs:
            found += [f"{place} {what}" for what in _output_problems(output, pictures)]
    if "widgets" in notebook.metadata:
        found.append("the notebook stores the state of its widgets")
    return found


def _output_problems(output: NotebookNode, pictures: bool) -> Iterator[str]:
    text = "\n".join(_words(output))
    if output.output_type == "error":
        yield "raises an error"
    if output.get("name") == "stderr":
        yield f"writes to stderr: {output.text[:200]!r}"
    for what, pattern in (
        ("a warning", WARNING),
        ("an absolute path", ABSOLUTE_PATH),
        ("a progress bar", PROGRESS),
        ("a memory address", ADDRESS),
    ):
        if match := pattern.search(text):
            yield f"shows {what}: {match.group(0)!r}"
    data = output.get("data", {})
    if WIDGET in data:
        yield "stores a widget"
    if PLOTLY in data:
        alt = alternative_text(data[PLOTLY])
        if len(alt) < 20:
            yield 'draws a figure without alternative text: use a figure of novkit.figures, or figure.update_layout(meta={"alt": …})'
        if pictures and not ("image/png" in data and output.metadata.get("image/png", {}).get("alt") == alt):
            yield "draws a figure that has no static picture: run notebooks/build.py"


def _words(output: NotebookNode) -> Iterator[str]:
    """The readable text of an output."""
    yield output.get("text", "")
    for kind, value in output.get("data", {}).items():
        if kind == PLOTLY:
            yield from texts(value)
        elif isinstance(value, str) and not kind.startswith("image/"):
            yield value
        elif not isinstance(value, str):
            yield json.dumps(value)


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def figures(cell: NotebookNode) -> Iterator[NotebookNode]:
    """The cell's outputs that are plotly figures."""
    return (output for output in cell.outputs if PLOTLY in output.get("data", {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks to build, by the beginning of their names; none builds all")
    names = tuple(Path(name).stem for name in parser.parse_args().names)
    scripts = [script for script in sorted((HERE / "scripts").glob("*.py")) if not names or script.stem.startswith(names)]
    failed = not scripts
    for script in scripts:
        try:
            print(build(script), flush=True)
        except BuildError as error:
            failed = True
            print(f"{script.stem}: {error}", file=sys.stderr)
    if not scripts:
        print(f"There is no script in notebooks/scripts that begins with {' or '.join(names)}.", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
