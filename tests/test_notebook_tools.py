"""Helpers of the notebooks, and the script that builds them."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest

import novkit.notebooks
from notebooks import build
from novkit.errors import NovkitError, StoredFileError
from novkit.notebooks import copy_notebooks, exercise_check, reference_results, source_markdown
from novkit.tend.losses import squared_distance
from novkit.tend.settings import TendSettings

ROOT = Path(__file__).parent.parent

# ---- source ----------------------------------------------------------------------------------------------------------


def test_source_is_shown_under_its_path_in_the_project():
    lines = source_markdown(squared_distance).splitlines()
    assert lines[0] == "`novkit/tend/losses.py`"
    assert lines[2] == "```python"
    assert lines[-1] == "```"
    code = "\n".join(lines[3:-1])
    assert code in (ROOT / "novkit/tend/losses.py").read_text(encoding="utf-8")
    assert code.startswith("def squared_distance(")


@pytest.mark.parametrize("thing", [TendSettings, TendSettings.quick, exercise_check])
def test_shown_source_compiles_and_names_no_folder_of_this_machine(thing):
    text = source_markdown(thing)
    compile(text.split("```python\n")[1].removesuffix("```"), "shown", "exec")
    assert str(ROOT) not in text


@pytest.mark.parametrize("thing", [3, np.sum.__call__, len])
def test_what_has_no_source_is_refused_in_a_sentence(thing):
    with pytest.raises(NovkitError, match="no Python source"):
        source_markdown(thing)


# ---- exercises -------------------------------------------------------------------------------------------------------


def said(capsys, *arguments, **options) -> str:
    exercise_check("7", *arguments, **options)
    text = capsys.readouterr().out
    assert text.startswith("Exercise 7: ")
    assert text.count("\n") == 1
    return text.removeprefix("Exercise 7: ").strip()


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (0.5 + 1e-9, 0.5),
        (lambda: [1, 2], np.array([1.0, 2.0])),
        (np.float32(0.25), 0.25),
        ("test", "test"),
        (("a", "b"), ("a", "b")),
        (lambda: 3 > 2, True),
        (np.bool_(True), True),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_a_right_answer_is_correct(capsys, got, expected):
    assert said(capsys, got, expected) == "correct."


@pytest.mark.parametrize(
    ("got", "expected", "why"),
    [
        (..., 0.5, "empty"),
        (None, 0.5, "empty"),
        (lambda: ..., 0.5, "empty"),
        (0.51, 0.5, "0.51 is not it"),
        ([0.5, 0.5], 0.5, r"shape (2,), not ()"),
        (lambda: 1 / 0, 0.5, "ZeroDivisionError"),
        (lambda: 2 * ... > 1, True, "empty"),
        (lambda: (...).mean(), 0.5, "empty"),
        (lambda: len(...), 0.5, "empty"),
        ("half", 0.5, ""),
        (lambda: False, True, "yet."),
        ([..., ...], [False, True], "empty"),
        ((np.ones(3), ...), (np.ones(3), 2), "empty"),
        (float("nan"), 0.5, "nan"),
        ("train", "test", "train"),
        ("x" * 99, "test", ""),
    ],
)
def test_a_wrong_answer_is_told_and_never_raises(capsys, got, expected, why):
    answer = said(capsys, got, expected)
    assert answer.startswith("not solved yet")
    assert why in answer
    assert "0.5 " not in answer.replace("[0.5", "")  # the solution is not given away


def test_tolerance_is_the_callers(capsys):
    assert said(capsys, 0.52, 0.5, tolerance=0.05) == "correct."
    assert said(capsys, 0.52, 0.5, tolerance=0.01) != "correct."


# ---- a student's copy ------------------------------------------------------------------------------------------------


def text_of(*cells: str) -> str:
    """A notebook with these Markdown cells, as a file holds it."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id=f"c{n}") for n, text in enumerate(cells)])
    return nbformat.writes(made) + "\n"


RELATIVE = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)")


def links_of(path: Path) -> list[Path]:
    """Where the relative links of a notebook lead."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    return [path.parent / link for link in RELATIVE.findall(text)]


@pytest.fixture
def originals(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project" / "notebooks"
    (folder / "scripts").mkdir(parents=True)
    for name in ("00_a", "01_b"):
        (folder / f"{name}.ipynb").write_text(text_of(name, "[next](01_b.ipynb) and a [site](https://example.org/../x)"), encoding="utf-8")
    (folder / "build.py").write_text("not for students", encoding="utf-8")
    monkeypatch.setattr(novkit.notebooks, "_ROOT", folder.parent)
    return folder


def test_copy_writes_the_notebooks_and_nothing_else(originals, tmp_path):
    said: list[str] = []
    written = copy_notebooks(tmp_path / "mine" / "deep", said.append)
    assert [path.name for path in written] == ["00_a.ipynb", "01_b.ipynb"]
    assert sorted(path.name for path in (tmp_path / "mine" / "deep").iterdir()) == ["00_a.ipynb", "01_b.ipynb"]
    assert written[1].read_bytes() == (originals / "01_b.ipynb").read_bytes()
    assert said == [f"2 notebooks copied to {tmp_path / 'mine' / 'deep'}."]


def test_a_changed_copy_is_never_overwritten_and_is_named(originals, tmp_path):
    copy_notebooks(tmp_path / "mine", lambda text: None)
    mine = tmp_path / "mine" / "00_a.ipynb"
    mine.write_text("my work", encoding="utf-8")
    (originals / "02_c.ipynb").write_text(text_of("new"), encoding="utf-8")
    said: list[str] = []
    assert [path.name for path in copy_notebooks(tmp_path / "mine", said.append)] == ["02_c.ipynb"]
    assert mine.read_text(encoding="utf-8") == "my work"
    assert "1 were there already" in said[0]
    assert "00_a.ipynb" in said[1]
    assert "01_b" not in said[1]


@pytest.mark.parametrize("place", ["elsewhere/mine", "project/mine", "project/work/mine"])
def test_links_of_a_copy_lead_somewhere_or_name_the_file(originals, tmp_path, place):
    page = originals.parent / "docs" / "a.md"
    page.parent.mkdir()
    page.write_text("# A", encoding="utf-8")
    said = 'See [the "a" page](../docs/a.md#there), ![drawn](../docs/a.png) and [gone](../docs/gone.md).'
    (originals / "00_a.ipynb").write_text(text_of(said, "[next](01_b.ipynb)"), encoding="utf-8")
    copy, _ = copy_notebooks(tmp_path / place, lambda text: None)
    found = nbformat.read(copy, as_version=4).cells[0].source
    if place.startswith("project"):
        up = "../" * place.count("/")
        assert found.startswith(f'See [the "a" page]({up}docs/a.md#there), ![drawn]')
        assert links_of(copy)[0].samefile(page)
    else:
        assert found.startswith(f'See the "a" page (`{page}`), ![drawn]')
    assert found.endswith(f"and gone (`{Path('docs', 'gone.md')}`).")
    said_again: list[str] = []
    assert copy_notebooks(tmp_path / place, said_again.append) == []
    assert "2 were there already" in said_again[0]
    assert len(said_again) == 1


@pytest.mark.parametrize("inside", [True, False])
def test_every_relative_link_of_a_copy_leads_somewhere(tmp_path, monkeypatch, inside):
    """Of the real notebooks, whose pages are looked for from a folder within their project, and from one outside of it."""
    if inside:
        project = tmp_path / "project"
        for name in ("notebooks", "docs", "results"):
            project.mkdir(exist_ok=True)
            (project / name).symlink_to(ROOT / name, target_is_directory=True)
        monkeypatch.setattr(novkit.notebooks, "_ROOT", project)
    mine = tmp_path / "project" / "a" / "mine"
    written = copy_notebooks(mine, lambda text: None)
    links = [link for path in written for link in links_of(path)]
    assert len(links) > 40  # from one notebook to another
    assert [str(link) for link in links if not link.exists()] == []
    assert ("docs" in {link.parent.name for link in links}) == inside
    for path in written:
        copied, original = (nbformat.read(file, as_version=4) for file in (path, ROOT / "notebooks" / path.name))
        for cell, before in zip(copied.cells, original.cells, strict=True):
            assert cell == before or (cell.cell_type == "markdown" and "](../" in before.source)


def test_copy_says_what_is_wrong_with_the_destination_or_the_installation(originals, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoredFileError, match="give a folder"):
        copy_notebooks(tmp_path / "file")
    for notebook in originals.glob("*.ipynb"):
        notebook.unlink()
    with pytest.raises(NovkitError, match="without its notebooks"):
        copy_notebooks(tmp_path / "mine")
    with pytest.raises(NovkitError, match="without its results"):
        reference_results()


def test_command_line_copies(tmp_path):
    command = [sys.executable, "-m", "novkit", "notebooks", "copy", str(tmp_path / "mine")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    originals = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert [path.name for path in sorted((tmp_path / "mine").iterdir())] == [path.name for path in originals]
    unlinked = [path for path in originals if "](../" not in path.read_text(encoding="utf-8")]
    assert unlinked
    assert all((tmp_path / "mine" / path.name).read_bytes() == path.read_bytes() for path in unlinked)


# ---- building: outputs -----------------------------------------------------------------------------------------------


def figure(y=(0.2, 0.4, 0.9), **layout) -> dict:
    drawn = go.Figure(
        go.Scatter(x=[1, 2, 3], y=list(y)), layout={"width": 300, "height": 200, "meta": {"alt": "A rising line of three points."}}
    )
    return drawn.update_layout(**layout).to_plotly_json()


def with_outputs(*outputs, source: str = "run()") -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs), execution_count=1)
    return nbformat.v4.new_notebook(cells=[cell])


def shown(data: dict, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


def stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


BARS = "Brain:   0%|          | 0/10 [00:00<?, ?it/s]\rBrain: 100%|██████████| 10/10 [00:01<00:00,  9.1it/s]\n"


def test_tidying_drops_progress_bars_and_controls_and_keeps_the_rest():
    bar = shown({build.WIDGET: {"model_id": "a"}, "text/plain": "Brain:   0%|          | 0/10 [00:00<?, ?it/s]"})
    controls = shown({build.WIDGET: {"model_id": "b"}, "text/plain": "VBox(children=(IntSlider(value=1),))"})
    notebook = with_outputs(stream("kept\n"), stream(BARS, "stderr"), bar, controls)
    build.tidy(notebook)
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["stream", "display_data"]
    assert outputs[0].text == "kept\n"
    assert outputs[1].data == {"text/markdown": build.CONTROLS, "text/plain": build.CONTROLS.strip("*")}
    assert build.problems(notebook) == []


def test_what_is_left_of_stderr_is_a_problem():
    notebook = with_outputs(stream(BARS + "RuntimeWarning: overflow\n", "stderr"))
    build.tidy(notebook)
    assert notebook.cells[0].outputs[0].text == "RuntimeWarning: overflow"
    assert {"stderr", "a warning"} <= {word for line in build.problems(notebook) for word in ("stderr", "a warning") if word in line}


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (stream("see /home/ann/data/x.png\n"), "absolute path"),
        (stream(r"C:\Users\ann" + "\n"), "absolute path"),
        (shown({"text/html": "<a href='/tmp/report.html'>"}), "absolute path"),
        (shown({"text/plain": "<object object at 0x7f3a12bc>"}), "memory address"),
        (stream(BARS), "progress bar"),
        (stream("12 s, 31.2it/s]"), "progress bar"),
        (shown({"text/plain": "FutureWarning: soon"}), "a warning"),
        (nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[]), "error"),
        (shown({build.WIDGET: {"model_id": "a"}}), "widget"),
        (shown({build.PLOTLY: {"data": [], "layout": {}}}), "alternative text"),
        (shown({build.PLOTLY: figure()}), "no static picture"),
        (shown({build.PLOTLY: figure(), "image/png": "x"}, **{"image/png": {"alt": "Of another figure altogether."}}), "no static picture"),
        (shown({build.PLOTLY: figure(title_text="/home/ann/x")}), "absolute path"),
    ],
)
def test_every_kind_of_debris_is_found(output, problem):
    assert problem in "\n".join(build.problems(with_outputs(output)))


@pytest.mark.parametrize(
    "text", ["AUROC 0.71, 3/4 of them\n", "see novkit/tend/losses.py or https://x.org/home/a\n", "10 % | 20 %\n", "and/or\n", "a: b\n"]
)
def test_innocent_text_is_no_problem(text):
    assert build.problems(with_outputs(stream(text))) == []


def test_cells_must_have_been_run_and_checked_cells_must_print():
    notebook = with_outputs(source="# NBVAL_CHECK_OUTPUT\nx = 1")
    assert "prints nothing" in build.problems(notebook)[0]
    notebook.cells[0].execution_count = None
    assert "not run" in build.problems(notebook)[0]
    notebook = with_outputs(stream("1\n"))
    notebook.metadata["widgets"] = {}
    assert "state of its widgets" in build.problems(notebook)[0]


# ---- building: figures -----------------------------------------------------------------------------------------------


def test_arrays_are_stored_as_32_bits_with_the_same_values():
    y = np.random.default_rng(0).normal(size=200)
    for numbers in (y, list(y)):  # a typed array of plotly's, and text
        small = build.compact(go.Figure(go.Scatter(y=numbers)).to_plotly_json() | {"frames": []})["data"][0]["y"]
        assert small["dtype"] == "f4"
        assert np.allclose(np.frombuffer(base64.b64decode(small["bdata"]), "<f4"), y, rtol=1e-6)


def test_what_is_not_a_long_list_of_numbers_is_kept():
    value = {"x": [1, 2], "text": ["a"] * 30, "visible": [True] * 30, "z": [None, 1.0] * 20, "colorscale": [0.5] * 30, "big": [1, "b"] * 20}
    assert build.compact(value) == value


@pytest.fixture(scope="module")
def drawing():
    """Skips where no browser draws figures."""
    try:
        build.picture(figure())
    except Exception as error:
        pytest.skip(f"kaleido finds no browser: {error}")


def built(data: dict, old: nbformat.NotebookNode | None = None) -> nbformat.NotebookNode:
    notebook = with_outputs(shown({build.PLOTLY: data}))
    if old is not None:
        notebook.cells[0].id = old.cells[0].id
    build.add_pictures(notebook, old)
    return notebook


@pytest.mark.slow
def test_a_figure_gets_a_picture_and_keeps_its_bytes_until_it_looks_different(drawing):
    old = built(figure())
    output = old.cells[0].outputs[0]
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert output.metadata["image/png"]["alt"] == output.data["text/plain"] == "A rising line of three points."
    assert build.problems(old) == []
    as_before = built(figure(y=(0.2, 0.4 + 1e-7, 0.9)), old).cells[0].outputs[0]
    assert as_before == output
    for changed in (figure(y=(0.2, 0.5, 0.9)), figure(title_text="0.652"), figure(height=210)):
        assert built(changed, old).cells[0].outputs[0] != output


@pytest.mark.slow
def test_a_change_in_a_hidden_trace_or_in_a_frame_is_seen(drawing):
    def several(last: float) -> dict:
        drawn = go.Figure([go.Scatter(y=[0, 1]), go.Scatter(y=[1, last], visible=False)], layout={"width": 300, "height": 200})
        return drawn.to_plotly_json()

    def animated(last: float) -> dict:
        frames = [go.Frame(data=[go.Scatter(y=[0, value])]) for value in (1, last)]
        return go.Figure(
            [go.Scatter(y=[0, 1])], frames=frames, layout={"width": 300, "height": 200, "yaxis_range": [0, 2]}
        ).to_plotly_json()

    for make in (several, animated):
        assert build.looks_like(make(0.5), make(0.5 + 1e-7))
        assert not build.looks_like(make(0.5), make(0.8))


# ---- building: the whole ---------------------------------------------------------------------------------------------

SCRIPT = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tiny

# %%
# NBVAL_CHECK_OUTPUT
print({value})
"""


@pytest.fixture
def tiny(tmp_path) -> Path:
    script = tmp_path / "scripts" / "00_tiny.py"
    script.parent.mkdir()
    script.write_text(SCRIPT.format(value="6 * 7"), encoding="utf-8")
    return script


@pytest.mark.slow
def test_building_runs_stores_and_keeps_ids(tiny):
    path = tiny.parent.parent / "00_tiny.ipynb"
    assert "stored" in build.build(tiny)
    first = nbformat.read(path, as_version=4)
    nbformat.validate(first)
    assert first.cells[1].outputs[0].text == "42\n"
    assert first.cells[1].execution_count == 1
    assert "execution" not in first.cells[1].metadata  # timings of one machine
    assert "unchanged" in build.build(tiny)
    tiny.write_text(SCRIPT.format(value="6 * 8"), encoding="utf-8")
    build.build(tiny)
    second = nbformat.read(path, as_version=4)
    assert second.cells[1].outputs[0].text == "48\n"
    assert [cell.id for cell in second.cells] == [cell.id for cell in first.cells]


def test_cells_keep_their_ids_when_others_come_go_and_change(tiny):
    text = SCRIPT.format(value="42") + "".join(f"\n# %%\nprint({number})\n" for number in range(3))
    tiny.write_text(text, encoding="utf-8")
    old = build.with_source(tiny, None)
    tiny.write_text(text.replace("# Tiny", "# Tiny\n\n# %%\nimport new").replace("# %%\nprint(1)\n", ""), encoding="utf-8")
    new = build.with_source(tiny, old)
    ids = {cell.source: cell.id for cell in old.cells}
    assert [cell.id for cell in new.cells if cell.source in ids] == [ids[cell.source] for cell in new.cells if cell.source in ids]
    assert len({cell.id for cell in new.cells}) == len(new.cells) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        "1 / 0",
        "'/home/ann'",
        "__import__('warnings').warn('loud')",
        "'0123456789' * 9 + chr(10)) or print(('0123456789' * 9 + chr(10)) * 12_000",
    ],
)
def test_a_notebook_that_fails_or_is_unclean_is_not_stored(tiny, value):
    build.build(tiny)
    path = tiny.parent.parent / "00_tiny.ipynb"
    before = path.read_bytes()
    tiny.write_text(SCRIPT.format(value=value), encoding="utf-8")
    with pytest.raises(build.BuildError):
        build.build(tiny)
    assert path.read_bytes() == before
