"""report.html in a browser: nothing is fetched, the table sorts, it is read in the dark and on paper, and its numbers are the scores'."""

import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.report import write_report
from novkit.results import load_results, load_scores
from tests.browser.conftest import MS
from tests.report.test_report import fabricate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("results") / "quick"
    fabricate(found)
    write_report(found, n_resamples=100)
    return found


@pytest.fixture(scope="module")
def report(page, folder):
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=MS)
    return page


def column(report, number: int) -> list[str]:
    return report.locator(f"#results tbody td:nth-child({number})").all_inner_texts()


def head(report, text: str):
    found = report.locator("#results thead th", has_text=re.compile(rf"^{text}")).first
    return found, found.evaluate("node => node.cellIndex + 1")


def test_numbers_are_those_of_the_scores(report, folder):
    records = [r for r in load_results(folder) if r.method == "tend" and r.setup == "one_vs_rest"]
    scores = [load_scores(folder, record) for record in records]
    expected = np.mean([roc_auc_score(each.label, each.score) for each in scores])
    cells = " ".join(report.locator("#results tbody tr", has_text="TEND").all_inner_texts())
    assert f"{expected:.3f}" in cells
    text = report.locator("body").inner_text()
    for provenance in ("c0ffee", "torch 2.15", "CPU (made up)"):
        assert provenance in text


def test_table_sorts_by_mouse_and_by_keyboard(report):
    name, first = head(report, "Method")
    rows = len(column(report, first))
    name.get_by_role("button").click()
    assert name.get_attribute("aria-sort") == "ascending"
    up = column(report, first)
    name.get_by_role("button").click()
    assert name.get_attribute("aria-sort") == "descending"
    assert [text.split()[0] for text in column(report, first)] == sorted((text.split()[0] for text in up), reverse=True)
    number, second = head(report, "AUROC")
    number.get_by_role("button").focus()
    for order in ("descending", "ascending"):
        report.keyboard.press("Enter")
        assert number.get_attribute("aria-sort") == order
        shown = [float(text[:5]) for text in column(report, second)]
        assert shown == sorted(shown, reverse=order == "descending")
    assert name.get_attribute("aria-sort") is None
    assert len(shown) == rows


def test_it_is_read_in_the_dark(report):
    def look() -> tuple[float, float, str]:
        paper, ink = (
            report.evaluate("p => getComputedStyle(document.body)[p].match(/\\d+/g).slice(0, 3).map(Number)", p)
            for p in ("backgroundColor", "color")
        )
        return sum(paper), sum(ink), report.evaluate("document.querySelector('.plot').layout.font.color")

    seen = {}
    for scheme in ("light", "dark"):
        report.emulate_media(color_scheme=scheme)
        if seen:  # plotly draws anew a while after
            changed = "before => document.querySelector('.plot').layout.font.color !== before"
            report.wait_for_function(changed, arg=seen["light"][2], timeout=MS)  # the figures' ink follows
        seen[scheme] = look()
    report.emulate_media(color_scheme="light")
    assert seen["light"][0] > seen["light"][1] + 400
    assert seen["dark"][1] > seen["dark"][0] + 400


def test_it_prints(report):
    report.emulate_media(media="print")
    assert not report.locator("nav").is_visible()
    assert report.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = report.pdf(format="A4")
    report.emulate_media(media="screen")
    assert report.locator("nav").is_visible()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 1


def test_it_fits_a_telephone(report):
    report.set_viewport_size({"width": 390, "height": 844})
    report.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=MS)
    report.set_viewport_size({"width": 1280, "height": 900})


def test_every_figure_is_drawn_and_named(report):
    assert report.locator(".plot .main-svg").count() >= report.locator(".plot").count() > 5
    labels = report.locator(".plot").evaluate_all("nodes => nodes.map(node => node.getAttribute('aria-label'))")
    assert all(len(label) > 30 for label in labels)


def test_nothing_leaves_and_nothing_breaks(report):
    assert report.left == []
    assert report.errors == []
    answer = report.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert answer == "refused"  # the page's own policy forbids it
    report.left.clear()
