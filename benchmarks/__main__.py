"""python -m benchmarks run | compiled | growth | page"""

import gc
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.machine import describe, measure_ceilings
from novkit.devices import pick_device
from novkit.experiments.cost import measured
from novkit.files import read_json, write_json
from novkit.memory import memory_kept

FOLDER = Path(__file__).parent / "results"
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Out = Annotated[Path | None, typer.Option(help="JSON file; by default in benchmarks/results/.")]


def _file(out: Path | None, kind: str, device: torch.device) -> Path:
    return out or FOLDER / f"{kind}_{device.type}.json"


@app.command()
def run(device: Device = "auto", only: Annotated[str, typer.Option(help="Cases whose name holds this.")] = "", out: Out = None) -> None:
    """Time every case and compare with ImageMagick and with the published step; takes under ten minutes on two cores."""
    from benchmarks import against
    from benchmarks.cases import Measured, cases

    place = pick_device(device)
    ceilings = measure_ceilings(place)
    file = _file(out, "speed", place)
    found: dict = {"machine": describe(place), "ceilings": vars(ceilings), "cases": {}}

    def keep(name: str, case: Measured, memory: float | None = None) -> None:
        seconds = case.timing.median
        found["cases"][name] = {
            "images_per_second": case.images / seconds,
            "images": case.images,
            "seconds": list(case.timing.seconds),
            "operations": case.operations,
            "bytes": case.bytes,
            "of_limit": ceilings.least_seconds(case.operations, case.bytes) / seconds if case.operations else None,
            "memory": memory,
        }
        write_json(file, found)
        print(f"{name:<60} {case.images / seconds:10.0f} images/s")

    for name, call in cases(place).items():
        if only not in name:
            continue
        with memory_kept():
            gc.collect()  # and what other cases left goes back to the system
        try:
            with measured(str(place)) as cost:
                case = call()
        except Exception as error:  # the others are measured all the same, and the page says what this one lacked
            found["cases"][name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
            write_json(file, found)
            print(f"{name:<60} {found['cases'][name]['error']}")
        else:
            keep(name, case, cost.megabytes)
    if place.type == "cpu" and only in "against the published way":
        try:
            found["imagemagick"] = against.imagemagick()
            found["transformations"] = against.transformations()
            for name, case in against.steps(place).items():
                keep(name, case)
        except ImportError as error:
            found["transformations"] = {}
            print(f"without ImageMagick ({error}): pip install novkit[benchmarks], and install the system's ImageMagick")
    write_json(file, found)
    print(f"written: {file}")


@app.command()
def compiled(
    device: Device = "auto", only: Annotated[str, typer.Option(help="Steps whose name holds this.")] = "", out: Out = None
) -> None:
    """Time the training steps with torch.compile and without; takes under ten minutes on two cores.

    On a GPU each step is compiled in two modes, three times each: choose some with --only where time is short.
    """
    from benchmarks.compiled import measure

    place = pick_device(device)
    file = _file(out, "compiled", place)
    found: dict = {"machine": describe(place), "steps": {}}
    for name, step in measure(place, only):
        found["steps"][name] = step
        write_json(file, found)
        print(name, flush=True)
    print(f"written: {file}")


@app.command()
def growth(
    device: Device = "auto",
    largest: Annotated[int, typer.Option(help="Most images of a point.")] = 100_000,
    only: Annotated[str, typer.Option(help="Method and axis, such as 'patchgan side': these alone again, the file's others stay.")] = "",
    out: Out = None,
) -> None:
    """Time and memory against the number of images, their size and the number of patches; takes an hour on two cores."""
    from benchmarks.growth import measure_growth, with_others

    place = pick_device(device)
    file, machine = _file(out, "growth", place), describe(place)
    points = [{**point, "commit": machine["commit"]} for point in measure_growth(place.type, largest, only)]
    write_json(file, {"machine": machine, "points": with_others(points, read_json(file)["points"] if only and file.exists() else [])})
    print(f"written: {file}")


@app.command()
def page(out: Annotated[Path, typer.Option(help="The page to write.")] = Path("BENCHMARKS.md")) -> None:
    """Write BENCHMARKS.md, and the pictures of growth, from the JSON files."""
    from benchmarks.page import write_page

    print(f"written: {write_page({file.stem: read_json(file) for file in sorted(FOLDER.glob('*.json'))}, out)}")


if __name__ == "__main__":
    app()
