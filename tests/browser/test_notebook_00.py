"""Notebook 00 in JupyterLab: slices are marked with buttons and keys, and the reader's dot is where the marks put it."""

import numpy as np
import pytest

from novkit.data import load
from novkit.widgets.reader_study import draw_cases
from novkit.widgets.thumbnails import png_of
from tests.browser.lab import NOTEBOOKS, Notebook

PATH = NOTEBOOKS / "00_you_against_the_detector.ipynb"


@pytest.fixture(scope="module")
def notebook(page, lab) -> Notebook:
    found = Notebook(page, lab, PATH)
    found.run_all()
    return found


def test_marks_by_buttons_and_keys_become_the_reader_s_dot(notebook):
    data = load("brain", seed=7, n_healthy=240, n_novel=40, progress=False)
    cases = draw_cases(data.table, "healthy", n_normal=10, n_novel=10, seed=7)
    novel = (data.labels[cases] != "healthy").tolist()
    page = notebook.page
    panel = page.locator(".novkit-reader")
    status, picture = panel.locator("p[role=status]"), panel.locator("img")

    def shows(number: int) -> None:
        status.get_by_text(f"Slice {number} of 20: normal or novel?").wait_for()
        assert picture.get_attribute("src") == png_of(data.images[cases[number - 1]])

    panel.scroll_into_view_if_needed()
    shows(1)
    back = panel.get_by_role("button", name="Back")
    assert back.is_disabled()
    panel.get_by_role("button", name="Novel →" if novel[0] else "← Normal").click()
    shows(2)
    page.keyboard.press("ArrowLeft" if novel[1] else "ArrowRight")  # wrong, and taken back
    shows(3)
    page.keyboard.press("Backspace")
    shows(2)
    panel.get_by_role("button", name="Novel →").click()
    shows(3)
    back.click()
    shows(2)
    last = max(number for number, ill in enumerate(novel) if ill)  # the one that this reader misses
    marks = [ill and number != last for number, ill in enumerate(novel)]
    for number in range(1, 20):
        shows(number + 1)
        keys = ("ArrowRight", "v") if marks[number] else ("ArrowLeft", "n")
        page.keyboard.press(keys[number % 2])
    status.get_by_text("All 20 are marked. Now run the cells below.").wait_for()
    assert panel.get_by_role("button", name="← Normal").is_disabled()
    assert page.evaluate("document.querySelectorAll('.jp-Cell').length") > 20  # the keys did not reach JupyterLab's own shortcuts

    notebook.run_from("on_paper = ")
    said = notebook.cell("on_paper = ").locator(".jp-OutputArea").inner_text()
    assert f"Marks of you: {''.join('v' if mark else 'n' for mark in marks)}" in said
    dot = notebook.cell("readers_on_roc(curves, readers").locator(".js-plotly-plot")
    traces = dot.evaluate("plot => plot.data.map(t => [t.name, Array.from(t.x ?? []), Array.from(t.y ?? [])])")
    (mine,) = [(x, y) for name, x, y in traces if name == "you"]
    np.testing.assert_allclose(mine, [[0.0], [0.9]], atol=1e-6)
    assert page.errors == []
    assert page.left == []
