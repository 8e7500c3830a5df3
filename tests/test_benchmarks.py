"""The benchmarks: what they count is right, what they compare is alike, and the page says what was measured."""

import json
import shutil
import time

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from benchmarks import against, cases, compiled, growth, machine, page
from benchmarks.__main__ import FOLDER, app
from benchmarks.cases import training
from benchmarks.machine import Ceilings
from benchmarks.timing import counted, timed
from novkit.patchgan.settings import PatchGanSettings
from novkit.tend.settings import TendSettings
from novkit.training import Step

CPU = torch.device("cpu")


def test_operations_and_bytes_of_a_product_are_counted():
    a, b = torch.ones(8, 16), torch.ones(16, 4)
    assert counted(lambda: a @ b) == (2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4))


def test_a_gradient_costs_twice_its_forward_pass():
    layer, x = nn.Linear(32, 8), torch.ones(4, 32, requires_grad=True)
    forward, _ = counted(lambda: layer(x))
    both, _ = counted(lambda: layer(x).sum().backward())
    assert both == 3 * forward == 3 * 2 * 4 * 32 * 8


def test_what_is_timed_is_called_and_the_median_is_the_middle_one():
    calls = []
    timing = timed(lambda: calls.append(0), repeats=5, warm=2)
    assert len(calls) == len(timing.seconds) + 2 >= 7
    assert timing.spread[0] <= timing.median <= timing.spread[1]


def test_the_limit_is_what_is_scarcer():
    ceilings = Ceilings(product=60.0, convolution=100.0, bytes=10.0, precision="float32")
    assert ceilings.least_seconds(200, 10) == 2
    assert ceilings.least_seconds(200, 50) == 5


def test_the_machines_rates_are_those_of_a_processor():
    found = machine.measure_ceilings(CPU)
    assert 1e9 < min(found.product, found.convolution) <= found.operations < 1e14
    assert 1e8 < found.bytes < 1e13


def test_a_training_step_is_timed_through_novkits_own_loop():
    settings = TendSettings.quick(warmup=0, epochs=cases.EPOCHS, width=4, embedding=8)
    measured = training(lambda: cases.tend_stage_2(settings, 16), CPU, 16, 4)
    assert measured.images == 4
    assert len(measured.timing.seconds) == cases.EPOCHS - cases.UNCOUNTED
    assert measured.operations > 0
    assert measured.bytes > 0


def test_what_a_large_batch_asks_for_is_counted_on_few_images(monkeypatch):
    settings = TendSettings.quick(warmup=0, epochs=2, width=4, embedding=8)
    monkeypatch.setattr(cases, "epochs", lambda *_: [1.0] * cases.EPOCHS)
    made, few_images = [], cases.some_images
    monkeypatch.setattr(cases, "some_images", lambda n, size: made.append(n) or few_images(n, size))
    few, many = (training(lambda: cases.tend_stage_2(settings, 16), CPU, 16, n) for n in (32, 512))
    assert made == [32, 32]
    assert many.operations == 16 * few.operations > 0
    networks = training(lambda: cases.tend_stage_2(settings, 16), CPU, 16, 32, lambda: cases.networks_alone(settings, 16))
    assert 0.95 * few.operations < networks.operations < few.operations  # the sub-pixel warp has a small product
    assert 0 < networks.bytes < few.bytes


def test_a_gpus_cases_are_there():
    """They are called on one alone."""
    assert set(page.GPU_GOALS) < set(cases.cases(torch.device("cuda")))
    assert {name + cases.COMPILED for name in page.GPU_GOALS if name.startswith("TEND")} < set(cases.cases(torch.device("cuda")))


def test_the_page_is_that_of_the_measurements(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "growth_figure", lambda *_: go.Figure())
    monkeypatch.setattr(go.Figure, "write_image", lambda *_, **__: None)
    found = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FOLDER.glob("*.json")}
    made = page.write_page(found, tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert made == (FOLDER.parent.parent / "BENCHMARKS.md").read_text(encoding="utf-8")


def test_the_commands_write_what_the_page_is_made_from(tmp_path, monkeypatch):
    runner = CliRunner()
    monkeypatch.setattr("benchmarks.__main__.FOLDER", tmp_path)
    tiny = lambda: cases.tend_stage_2(TendSettings.quick(warmup=0, epochs=cases.EPOCHS, width=4, embedding=8), 16)  # noqa: E731
    monkeypatch.setattr(cases, "steps_of_training", lambda device: {"tiny step": (tiny, 16, 4)})
    monkeypatch.setattr(compiled, "steps_of_training", cases.steps_of_training)
    monkeypatch.setattr(compiled, "compiled", lambda objective, mode: objective)
    for command in (["run", "--only", "tiny"], ["compiled"], ["growth", "--largest", "1000", "--only", "pixel_zscore images"]):
        result = runner.invoke(app, [*command, "--device", "cpu"])
        assert result.exit_code == 0, result.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["compiled_cpu.json", "growth_cpu.json", "speed_cpu.json"]
    monkeypatch.setattr(go.Figure, "write_image", lambda *_, **__: None)
    assert runner.invoke(app, ["page", "--out", str(tmp_path / "page.md")]).exit_code == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.count("\n| tiny step") == 2
    assert "| images | pixel_zscore | 1,000 … 1,000 |" in text


@pytest.mark.parametrize("method", ["tend", "patchgan"])
def test_scoring_is_timed_and_counted(method):
    measured = cases.scoring(CPU, method, 16, 128)
    assert measured.images == 128
    assert measured.operations > 1e6 * 128 / 16  # convolutions at the very least
    assert measured.bytes > 128 * 16 * 16


def test_the_published_step_learns_what_ours_learns():
    """One plain step's losses are those of our own objective: the comparison is of speed alone."""
    settings = TendSettings(warmup=0, epochs=2, width=4, embedding=8)
    objective = cases.tend_stage_2(settings, 256)
    network = objective.network.eval()
    network.centre.fill_(0.1)
    x, t = torch.rand(2, 3, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    ours = objective.losses(x, t, "margin")
    torch.testing.assert_close(ours["classification"], against._classification(network, x, t))
    torch.testing.assert_close(ours["margin"], against._margin(network, x, t, settings.radius))


def test_the_page_compares_from_bytes_to_bytes_and_the_map_alone(tmp_path):
    measured = {"imagemagick": 0.010, "novkit": 0.0002, "imagemagick_alone": 0.008, "novkit_alone": 0.0001, "median_difference": 1.0}
    slower = {**measured, "novkit": 0.0004, "median_difference": 0.0}
    ours = ("our step, published transformations, 256×256", "our step, default transformations, 256×256")
    rates = dict(zip((against.PLAIN, against.PLAIN_THREADS, *ours), (10.0, 12.0, 42.0, 36.0), strict=True))
    run = {
        "machine": machine.describe(CPU),
        "ceilings": {"product": 1e11, "convolution": 2e11, "bytes": 1e10, "precision": "float32"},
        "cases": {name: _case(rate) for name, rate in rates.items()},
        "transformations": {"a": measured, "b": slower},
        "imagemagick": "ImageMagick 6.9, Wand 0.7",
    }
    text = page.write_page(json.loads(json.dumps({"speed_cpu": run})), tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert "| a | 10.0 | 0.20 | 50 | 8.0 | 0.10 | 80 | 1 |" in text
    assert "| the eight together | 20.0 | 0.60 | 33 | 16.0 | 0.20 | 80 | 1 |" in text
    assert "ImageMagick 6.9, Wand 0.7" in text
    assert "4.2 times the images a second of a plain rendering of the published step (10.0)" in text
    assert "3.6 times with our default family" in text
    assert "(12.0 images a second) it is 3.5 and 3.0 times" in text


def _case(rate: float) -> dict:
    return {"images_per_second": rate, "images": 2, "seconds": [1.0], "operations": 0, "bytes": 0, "of_limit": None, "memory": None}


def test_a_case_that_fails_leaves_the_others_measured(tmp_path, monkeypatch):
    measured = cases.Measured(timed(lambda: None), 4)
    monkeypatch.setattr(cases, "cases", lambda device: {"fails": lambda: 1 / 0, "works": lambda: measured})
    out = tmp_path / "speed.json"
    monkeypatch.setattr(against, "transformations", lambda: {})
    monkeypatch.setattr(against, "steps", lambda device: {})
    result = CliRunner().invoke(app, ["run", "--device", "cpu", "--out", str(out)])
    found = json.loads(out.read_text(encoding="utf-8"))["cases"]
    assert found["fails"] == {"error": "ZeroDivisionError: division by zero"}
    assert found["works"]["images"] == 4
    assert found["works"]["memory"] > 100
    assert result.exit_code == 0


@pytest.mark.skipif(shutil.which("convert") is None, reason="ImageMagick is not installed")
def test_threads_are_as_before_after_the_comparison_on_one():
    limits = pytest.importorskip("wand.resource", reason="Wand or ImageMagick is not installed", exc_type=ImportError).limits
    before = torch.get_num_threads(), limits["thread"]
    with against.one_thread():
        assert (torch.get_num_threads(), limits["thread"]) == (1, 1)
    assert (torch.get_num_threads(), limits["thread"]) == before


def test_ours_goes_from_bytes_to_bytes():
    pictures = cases.some_images(3, 256)
    made = against.ours(pictures, "perspective_translation")
    assert (made.dtype, made.shape) == (np.uint8, pictures.shape)
    assert (made == np.roll(pictures, (-25, -56), axis=(2, 3))).mean() > 0.99  # in truth a translation, on tiles


@pytest.mark.parametrize("which", against.PUBLISHED)
def test_imagemagick_in_memory_draws_what_we_draw(which):
    pytest.importorskip("wand.image", reason="Wand or ImageMagick is not installed", exc_type=ImportError)
    rows, columns = np.mgrid[:256, :256]
    picture = (128 + 100 * np.sin(columns / 23) * np.cos(rows / 31)).astype(np.uint8)
    ours = against.published(torch.from_numpy(picture)[None, None].float() / 255, which)[0, 0].numpy() * 255
    assert np.median(np.abs(ours - against.magick(picture, which))) <= 2


def test_growth_measures_time_and_memory_of_its_own_process():
    found = growth.point("pixel_zscore", 200, 64, 4, "cpu")
    assert found["memory"] >= 0.8 * found["before"] > 0  # the system may take back what lies idle
    assert min(found["fit"], found["score"]) > 0
    assert {point["axis"] for point in growth.points(3_000)} == {"images", "side", "patches"}
    assert max(point["images"] for point in growth.points(3_000)) == 3_000


def test_growth_repeats_what_is_brief_and_measures_once_what_is_long(monkeypatch):
    calls = []
    for brief, times in ((10.0, 1 + 5), (0.0, 1)):
        monkeypatch.setattr(growth, "BRIEF", brief)
        calls.clear()
        last, cost, timed = growth._repeated(lambda: calls.append(time.sleep(0.05 if calls else 0.5)) or len(calls), "cpu")
        assert last == len(calls) == times
        assert timed == min(times, 5)
        assert cost.seconds == pytest.approx(0.05 if times > 1 else 0.5, rel=0.5)


def test_the_page_says_what_was_measured_and_what_was_not(tmp_path):
    case = {"images_per_second": 1234.0, "images": 2, "seconds": [1.0], "operations": 4e9, "bytes": 6e6, "of_limit": 0.25, "memory": 900.4}
    run = {
        "machine": machine.describe(CPU),
        "ceilings": {"product": 1e11, "convolution": 2e11, "bytes": 1e10, "precision": "float32"},
        "cases": {
            "a step": case,
            "drawing": {**case, "operations": 0, "bytes": 0, "of_limit": None, "memory": None},
            "TEND stage 2 step, published, 256×256, batch 32": {"error": "RuntimeError: no | room"},
        },
    }
    text = page.write_page(json.loads(json.dumps({"speed_cpu": run})), tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert "| a step | 1,234 | 2.000 | 3.0 | 25% | 900 |" in text
    assert "batch 32 | RuntimeError: no / room | – |" in text
    assert "100 GFLOP/s in a large matrix product, 200 in a large convolution" in text
    assert "| drawing | 1,234 | – | – | – | – |" in text
    assert f"commit {run['machine']['commit'][:10]}" in text
    assert ("with changes" in text) == run["machine"]["commit"].endswith("-modified")
    on_a_gpu = {**run, "cases": {"Patch-GAN step, quick, 64×64": case}}
    there = page.write_page(json.loads(json.dumps({"speed_cuda": on_a_gpu})), tmp_path / "GPU.md").read_text(encoding="utf-8")
    assert "| Patch-GAN step, quick, 64×64 | its limit | 1,234, 25% of it | – |" in there
    assert text.count("not measured |") == 2 * 2 + 1  # TEND's steps with compiled transformations and without, Patch-GAN's
    assert "Not measured. `" in text


def test_networks_are_compiled_in_training_alone_and_a_step_is_begun_once(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward, **_: lambda *inputs: "compiled")
    begun = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(0))
    objective = cases.patchgan(PatchGanSettings.quick(), 64)
    objective.loss = lambda optimizer, images, step: {}
    changed, x = compiled.compiled(objective), torch.rand(2, 1, 64, 64)
    network = changed.modules["discriminator"]
    assert network.train()(x) == "compiled"
    assert network.eval()(x)[0].shape == (2, 256)
    for number in (0, 0, 1, 1):  # both optimisers' losses in each step
        changed.loss("discriminator", x, Step(0, 0, number, CPU))
    assert len(begun) == 2


@pytest.mark.parametrize(("batch", "steps"), [(32, 400), (512, 40)])
def test_an_epoch_on_a_gpu_is_long_enough_to_be_timed(batch, steps):
    assert cases.steps_of(torch.device("cuda"), batch) == steps


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler for torch.compile")
def test_a_compiled_step_learns_what_ours_learns(compiles_here, monkeypatch):
    settings = TendSettings.quick(warmup=0, epochs=cases.EPOCHS, width=4, embedding=8)
    torch.manual_seed(0)
    plain = cases.tend_stage_2(settings, 16)
    changed = cases.tend_stage_2(settings, 16)
    changed.modules.load_state_dict(plain.modules.state_dict())
    x, t = torch.rand(2, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = (objective.losses(x, t, "margin") for objective in (plain, compiled.compiled(changed)))
    torch.testing.assert_close(theirs, ours)
    monkeypatch.setattr(compiled, "ROUNDS", 1)
    step = compiled._compared(lambda: cases.tend_stage_2(settings, 16), CPU, 16, 4, "default")
    assert len(step["plain"]) == len(step["compiled"]) == cases.EPOCHS - cases.UNCOUNTED
    assert step["first_compiled"] > step["first_plain"] + 0.5  # it was compiled, and anew


def test_a_step_that_cannot_be_compiled_is_told_on_the_page(tmp_path, monkeypatch):
    def fails(*args: object) -> list[float]:
        raise RuntimeError("no | graph\nfor it")

    monkeypatch.setattr(compiled, "epochs", fails)
    steps = dict(compiled.measure(torch.device("cuda")))
    assert len(steps) == 2 * len(cases.steps_of_training(torch.device("cuda")))
    steps |= {
        "gains": {"images": 10, "steps": 6, "plain": [2.0] * 5, "compiled": [1.5] * 5, "first_plain": 12.0, "first_compiled": 62.0},
        "noise": {"images": 10, "steps": 6, "plain": [1, 2, 2, 2, 3], "compiled": [1.5] * 5, "first_plain": 12, "first_compiled": 62},
    }
    run = {"compiled_cuda": {"machine": machine.describe(CPU), "steps": steps}}
    text = page.write_page(json.loads(json.dumps(run)), tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert text.count("| RuntimeError: no / graph for it |") == len(steps) - 2
    assert "| gains | 5 | 7 | 12.0 | 62.0 | 100 steps |" in text
    assert "| noise | 5 | 7 | 12.0 | 62.0 | never |" in text
    assert "CPU: not measured." in text


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_the_exponent_is_the_slope_on_logarithmic_axes(exponent):
    line = [{"at": n, "fit": 1e-3 * n**exponent} for n in (10, 1_000, 10_000)]
    assert float(page._exponent(line, "fit")) == pytest.approx(exponent, abs=0.01)


def test_points_measured_again_replace_the_old_ones():
    old = [{"axis": "side", "method": "tend", "images": 200, "size": size, "patch": 4, "fit": 1.0} for size in (64, 128)]
    new = [{**old[1], "fit": 2.0}]
    assert growth.with_others(new, old) == [old[0], new[0]]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None and shutil.which("google-chrome") is None, reason="no browser to draw with")
def test_growth_is_drawn(tmp_path):
    (tmp_path / "docs" / "images").mkdir(parents=True)
    points = [
        {"axis": "images", "method": "tend", "images": n, "size": 64, "patch": 4, "fit": n / 100, "score": n / 1000, "memory": 500.0}
        | {"commit": commit, "times_fit": 5 if n == 1_000 else 1}
        for n, commit in ((1_000, 40 * "a"), (3_000, 40 * "b"))
    ]
    text = page.write_page({"growth_cpu": {"machine": machine.describe(CPU), "points": points}}, tmp_path / "BENCHMARKS.md").read_text()
    assert "| images | tend | 1,000 … 3,000 | 1.00 | 1.00 | 500 … 500 |" in text
    assert "commit aaaaaaaaaa, bbbbbbbbbb;" in text
    assert "3 of the 4 times were measured once" in text
    assert (tmp_path / "docs" / "images" / "growth_images_cpu.png").stat().st_size > 5_000
