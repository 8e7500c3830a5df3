"""BENCHMARKS.md, made from what was measured: nothing in it is typed."""

from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from novkit.figures.style import finish
from novkit.files import replacing

GPU_GOALS = {  # what is aimed at on an H100, images/s
    "TEND stage 2 step, published, 256×256, batch 512": 40_000,
    "TEND stage 2 step, published, 256×256, batch 32": 20_000,
}
_AXES = {"images": "images", "side": "side of an image in pixels", "patches": "patches of an image"}


def write_page(found: dict[str, dict], page: Path) -> Path:
    """found: the JSON files of benchmarks/results by their stem, `speed_cpu`, `speed_cuda`, `growth_cpu`, …"""
    parts = [
        "# Benchmarks",
        "How fast novkit is, and how far from what the machine can do at most. Made by `python -m benchmarks page` from the JSON files "
        "in `benchmarks/results`, which `python -m benchmarks run` and `python -m benchmarks growth` write; "
        "every time is the median of at least five, after at least one that is not counted.",
        *_speed("On the CPU", found.get("speed_cpu"), "python -m benchmarks run --device cpu"),
        *_against(found.get("speed_cpu")),
        *_speed("On a GPU", found.get("speed_cuda"), "python -m benchmarks run --device cuda"),
        *_goals(found.get("speed_cuda")),
    ]
    for device in ("cpu", "cuda"):
        if f"growth_{device}" in found:
            parts += _growth(found[f"growth_{device}"], device, page.parent)
    with replacing(page) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _machine(machine: dict) -> str:
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("python", "torch", "numpy") if name in machine["versions"])
    return (
        f"{machine['device']}, {machine['machine']}, {machine['threads']} threads, {machine['memory_gb']} GB; {versions}; commit "
        f"{machine['commit'][:10]}; {machine['busy_before']:.0%} of the processor was busy with something else when it began."
    )


def _speed(heading: str, run: dict | None, command: str) -> list[str]:
    if run is None:
        return [f"## {heading}", f"Not measured. `{command}` writes what this section is made from."]
    limit = run["ceilings"]
    rows = ["| | images/s | GFLOP an image | MB an image | of the limit |", "|---|---:|---:|---:|---:|"]
    for name, case in run["cases"].items():
        counted = case["of_limit"] is not None
        work = f"{case['operations'] / case['images'] / 1e9:.3f} | {case['bytes'] / case['images'] / 1e6:.1f}" if counted else "– | –"
        rows.append(f"| {name} | {case['images_per_second']:,.0f} | {work} | {_share(case)} |")
    return [
        f"## {heading}",
        _machine(run["machine"]),
        "\n".join(rows),
        f"The limit: {limit['operations'] / 1e9:,.0f} GFLOP/s in a large matrix product ({limit['precision']}) and "
        f"{limit['bytes'] / 1e9:,.0f} GB/s in a large copy, measured in the same run; a step cannot take less than its operations or its "
        "bytes ask for. Operations are those of products and convolutions, forwards and backwards; bytes those of every operation's "
        "arguments and results, as if nothing stayed in a cache in between, so that a fused operation may do better than this limit.",
    ]


def _share(case: dict) -> str:
    return "–" if case["of_limit"] is None else f"{case['of_limit']:.0%}"


def _rate(case: dict | None) -> str:
    return "not measured" if case is None else f"{case['images_per_second']:,.0f}"


def _against(run: dict | None) -> list[str]:
    if run is None or not run.get("transformations"):
        return []
    rows = [
        "| one thread, 256×256 | ImageMagick, ms | novkit, ms | times as fast | median difference, grey levels |",
        "|---|---:|---:|---:|---:|",
    ]
    table = run["transformations"]
    for name, case in table.items():
        ratio = case["imagemagick"] / case["novkit"]
        times = f"{case['imagemagick'] * 1e3:.1f} | {case['novkit'] * 1e3:.2f} | {ratio:.0f}"
        rows.append(f"| {name} | {times} | {case['median_difference']:.0f} |")
    together = sum(case["imagemagick"] for case in table.values()) / sum(case["novkit"] for case in table.values())
    cases = run["cases"]
    plain = cases["published step, plain rendering, 256×256"]["images_per_second"]
    same, default = (
        f"{cases[f'our step, {kind} transformations, 256×256']['images_per_second'] / plain:.1f}" for kind in ("published", "default")
    )
    return [
        "## Against the published way",
        "\n".join(rows),
        f"The eight together: {together:.0f} times as fast. Each is a fixed map, and so a sparse matrix from the pixels of an image to "
        "those of its result; ImageMagick works in this process, in memory, without a JPEG.",
        f"TEND's stage 2 at 256×256, batch 32, after warm-up, whole steps with their transformation: {same} times the images a second of "
        f"a plain rendering of the published step ({plain:.1f}) with the same eight transformations, {default} times with our default "
        "family, for which x is resampled as well; the three took turns. The plain rendering: each image through ImageMagick one after the "
        "other, x and T(x) each encoded twice a step, torch's default memory layout. "
        "[`benchmarks/against.py`](benchmarks/against.py) states both in full.",
    ]


def _goals(run: dict | None) -> list[str]:
    rows = ["| aimed at on an H100 | images/s | measured |", "|---|---:|---:|"]
    for name, goal in GPU_GOALS.items():
        case = None if run is None else run["cases"].get(name)
        rows.append(f"| {name} | {goal:,} | {_rate(case)} |")
    return ["\n".join(rows)]


# ---- growth ----------------------------------------------------------------------------------------------------------


def _growth(run: dict, device: str, folder: Path) -> list[str]:
    rows = ["| | method | measured from … to | exponent: fit | score | memory, MiB |", "|---|---|---|---:|---:|---:|"]
    pictures = []
    for axis, title in _AXES.items():
        here = [dict(point, at=_at(point, axis)) for point in run["points"] if point["axis"] == axis]
        for method in dict.fromkeys(point["method"] for point in here):
            line = sorted((point for point in here if point["method"] == method), key=lambda point: point["at"])
            ends = f"{line[0]['at']:,} … {line[-1]['at']:,}"
            memory = f"{line[0]['memory']:,.0f} … {line[-1]['memory']:,.0f}"
            rows.append(f"| {title} | {method} | {ends} | {_exponent(line, 'fit')} | {_exponent(line, 'score')} | {memory} |")
        picture = folder / "docs" / "images" / f"growth_{axis}_{device}.png"
        growth_figure(here, title).write_image(picture, width=900, height=380, scale=2)
        pictures.append(f"![Seconds against {title}, one line a method, on logarithmic axes]({picture.relative_to(folder).as_posix()})")
    return [
        f"## How it grows ({device.upper()})",
        _machine(run["machine"]),
        "\n".join(rows),
        "One epoch of each stage, and scoring as many images, each point in a process of its own. The exponent is the slope of seconds "
        "between the last two points on logarithmic axes: 1 is linear. Along the side of an image, 2 is linear in its pixels; patches "
        "are ranked by sorting and judged at once, so that their number costs little beside the convolutions. Memory grows with the "
        "images themselves, which lie in memory here; memory-mapped ones are read batch by batch.",
        *pictures,
    ]


def _at(point: dict, axis: str) -> int:
    return {"images": point["images"], "side": point["size"], "patches": (point["size"] // point["patch"]) ** 2}[axis]


def _exponent(line: list[dict], what: str) -> str:
    if len(line) < 2 or line[-1][what] < 0.05:
        return "–"
    (x0, y0), (x1, y1) = ((point["at"], point[what]) for point in line[-2:])
    return f"{np.log(y1 / y0) / np.log(x1 / x0):.2f}"


def growth_figure(points: list[dict], title: str) -> go.Figure:
    """Seconds of fitting (solid) and scoring (dashed), both axes logarithmic."""
    figure = go.Figure()
    for number, method in enumerate(dict.fromkeys(point["method"] for point in points)):
        line = sorted((point for point in points if point["method"] == method), key=lambda point: point["at"])
        for what, dash in (("fit", "solid"), ("score", "dash")):
            figure.add_scatter(
                x=[point["at"] for point in line],
                y=[point[what] for point in line],
                name=f"{method}, {what}",
                line={"dash": dash},
                marker={"symbol": number},
                mode="lines+markers",
            )
    figure.update_xaxes(type="log", title=title)
    figure.update_yaxes(type="log", title="seconds")
    return finish(figure, title="", alt=f"Seconds of fitting and scoring against {title}, one line a method")
