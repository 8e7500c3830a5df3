"""python -m benchmarks run | compiled | growth | page"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.machine import describe, measure_ceilings
from novkit.devices import pick_device
from novkit.files import read_json, write_json

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

    def keep(name: str, measured: Measured) -> None:
        seconds = measured.timing.median
        found["cases"][name] = {
            "images_per_second": measured.images / seconds,
            "images": measured.images,
            "seconds": list(measured.timing.seconds),
            "operations": measured.operations,
            "bytes": measured.bytes,
            "of_limit": ceilings.least_seconds(measured.operations, measured.bytes) / seconds if measured.operations else None,
        }
        write_json(file, found)
        print(f"{name:<60} {measured.images / seconds:10.0f} images/s")

    for name, case in cases(place).items():
        if only in name:
            keep(name, case())
    if place.type == "cpu" and only in "against the published way":
        try:
            found["transformations"] = against.transformations()
            for name, measured in against.steps(place).items():
                keep(name, measured)
        except ImportError as error:
            found["transformations"] = {}
            print(f"without ImageMagick ({error}): pip install novkit[benchmarks], and install the system's ImageMagick")
    write_json(file, found)
    print(f"written: {file}")


@app.command()
def compiled(device: Device = "auto", out: Out = None) -> None:
    """Time the training steps with torch.compile and without; takes under ten minutes on two cores."""
    from benchmarks.compiled import measure

    place = pick_device(device)
    file = _file(out, "compiled", place)
    found: dict = {"machine": describe(place), "steps": {}}
    for name, step in measure(place):
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
