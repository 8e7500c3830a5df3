"""The explorers as a Voilà page: no JupyterLab, no code, the same sliders."""

import sys
from collections.abc import Iterator

import nbformat
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.browser.conftest import MS, PROJECT, Server, free_port, private_jupyter, serve
from tests.browser.lab import View
from tests.widgets.small import results_folder, scores

SOURCE = """
from novkit.widgets import DistortionExplorer, MarginExplorer, ScoreExplorer
from tests.widgets.small import dataset, snapshots
{}
"""


@pytest.fixture(scope="module")
def voila(tmp_path_factory) -> Iterator[Server]:
    """Voilà over a notebook with three explorers."""
    folder, private = tmp_path_factory.mktemp("voila"), tmp_path_factory.mktemp("jupyter")
    results_folder(folder / "results")
    explorers = (f"ScoreExplorer({str(folder / 'results')!r})", "MarginExplorer(snapshots())", "DistortionExplorer(dataset(8))")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SOURCE.format(each)) for each in explorers],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, folder / "page.ipynb")
    port = free_port()
    command = [sys.executable, "-m", "voila", str(folder / "page.ipynb"), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    environment = private_jupyter(private) | {"PYTHONPATH": str(PROJECT)}
    address = f"http://127.0.0.1:{port}"
    for _ in serve(command, f"{address}/voila/static/none", environment, private):
        yield Server(address, "", folder)


def test_the_page_has_sliders_and_no_code(page, voila):
    page.goto(voila.address, timeout=MS)
    page.locator(".novkit-explorer").nth(2).wait_for(timeout=MS)
    view = View(page, 0)
    assert "ScoreExplorer(" not in page.locator("body").inner_text()
    given = scores(120, 0)
    weights = {"Home": 0.0, "End": 1.0}
    for key, weight in weights.items():
        view.press("λ of TEND (weight of the distance)", key)
        score = (1 - weight) * given.components["probability"] + weight * given.components["distance_scaled"]
        view.until("root.querySelector('table tr:nth-child(2) td').textContent === argument", f"{roc_auc_score(given.label, score):.3f}")
    view.press("Threshold (share of images below)", "Home")
    view.until("root.querySelector('table tr:nth-child(2)').children[3].textContent === '1.000'")  # all are called novel

    margin = View(page, 1)
    margin.drag("Snapshot", 1.0)
    margin.until("root.innerText.includes('After 3 epochs') && plot._fullLayout.title.text.includes('after 3 epochs')")
    margin.rest()
    drawn = np.hypot(margin.numbers(0, "x"), margin.numbers(0))
    assert float(margin.table()["ID"]["median distance"]) == pytest.approx(np.median(drawn), abs=0.001)
    margin.click_point(2, 0)
    margin.until("root.querySelector('figure img') !== null")

    distortions = View(page, 2)
    before = distortions.figure("data[0].source")
    distortions.press("Random draw", "ArrowRight", 2)
    distortions.until("plot.data[0].source !== argument", before)
    assert page.errors == []
    assert [
        url for url in page.left if "@fortawesome" not in url
    ] == []  # Voilà's own template asks for icons; without a network it goes on
