"""Notebook 10 in JupyterLab: the real sliders are moved and points clicked; the numbers on the page are computed again here."""

import csv
import io

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.data.brain import subject
from novkit.data.digits import load_digits
from novkit.distortions.published import PUBLISHED, published
from novkit.images import to_tensor
from novkit.notebooks import reference_results
from novkit.results import load_results, load_scores
from novkit.widgets.patch_runs import PatchRuns
from novkit.widgets.thumbnails import png_of
from tests.browser.lab import ANSWER, NOTEBOOKS, Notebook, View, eventually

PATH = NOTEBOOKS / "10_score_explorer.ipynb"
THRESHOLD, PREVALENCE = "Threshold (share of images below)", "Prevalence"
WEIGHT = "λ of TEND (weight of the distance)"
SCORES, MARGIN, PATCHES, DISTORTIONS = range(4)


# anywidget waits two seconds for a model's script; here plotly, five megabytes, takes three, as on a slow laptop
_SLOW_PLOTLY = """
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => {
  const end = performance.now() + (blob.size > 4e6 ? 3000 : 0);
  while (performance.now() < end);
  return create.call(URL, blob);
};
"""


@pytest.fixture(scope="module")
def notebook(page, lab) -> Notebook:
    page.add_init_script(_SLOW_PLOTLY)
    found = Notebook(page, lab, PATH)
    found.run_all()
    return found


@pytest.fixture
def scores(notebook) -> View:
    return View(notebook.page, SCORES)


def stored(method: str, novel: str = "glioma"):
    """The stored scores of seed 100, read without the explorer."""
    for record in load_results(reference_results()):
        if (record.method, record.dataset, record.novel, record.seed) == (method, "brain", (novel,), 100):
            return load_scores(reference_results(), record)
    raise AssertionError(f"no run of {method} on {novel}")


def at_threshold(label: np.ndarray, score: np.ndarray, share: float, prevalence: float = 0.1) -> tuple[dict[str, str], float, float, float]:
    """The row of the table by hand, and threshold, sensitivity and specificity as numbers."""
    threshold = np.sort(score)[round(share * len(score)) - 1]
    tp, fp = int((score[label == 1] > threshold).sum()), int((score[label == 0] > threshold).sum())
    fn, tn = int((label == 1).sum()) - tp, int((label == 0).sum()) - fp
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    precision = prevalence * sensitivity / (prevalence * sensitivity + (1 - prevalence) * (1 - specificity))
    row = {
        "AUROC": f"{roc_auc_score(label, score):.3f}",
        "threshold": f"{threshold:.4g}",
        "sensitivity": f"{sensitivity:.3f}",
        "specificity": f"{specificity:.3f}",
        f"precision at {prevalence:.3g} prevalence": f"{precision:.3f}",
        "novel, called novel": str(tp),
        "normal, called novel": str(fp),
        "normal, called normal": str(tn),
        "novel, called normal": str(fn),
    }
    return row, float(threshold), sensitivity, specificity


# ---- ScoreExplorer ---------------------------------------------------------------------------------------------------


def test_threshold_moves_line_and_mark_and_the_table_follows(scores):
    given = {"TEND": stored("tend"), "Patch-GAN": stored("patchgan")}

    def expected(share: float) -> dict[str, dict[str, str]]:
        return {name: at_threshold(s.label, s.score, share)[0] for name, s in given.items()}

    eventually(scores.table, expected(0.9))
    scores.drag(THRESHOLD, 0.6)  # with the mouse
    share = float(scores.value(THRESHOLD).removesuffix("%")) / 100
    assert 0.5 < share < 0.7
    eventually(scores.table, expected(share))
    scores.press(THRESHOLD, "ArrowLeft", 3)  # with the keyboard: three steps of 0.005
    assert float(scores.value(THRESHOLD).removesuffix("%")) / 100 == pytest.approx(share - 0.015)
    share = round(share - 0.015, 3)
    eventually(scores.table, expected(share))
    scores.rest()
    marks = {name: at_threshold(s.label, s.score, share)[1:] for name, s in given.items()}
    for number, (name, (threshold, sensitivity, specificity)) in enumerate(marks.items()):
        trace = scores.figure(f"_fullData.findIndex(t => t.name === '{name} at the threshold')")
        lines = "layout.shapes.filter(s => s.type === 'line').map(s => [s.xref, s.x0])"
        axis, expected = f"x{number + 2}", pytest.approx([threshold, 1 - specificity, sensitivity])
        scores.eventually(
            lambda lines=lines, axis=axis, trace=trace, expected=expected: (
                [dict(scores.figure(lines))[axis], scores.numbers(trace, "x")[0], scores.numbers(trace, "y")[0]] == expected
            )
        )


def test_a_slider_never_says_a_bare_number(scores):
    said = scores.handle(THRESHOLD).evaluate(
        """async handle => {
          const said = [], readout = handle.closest(".widget-slider").querySelector(".widget-readout");
          for (const key of ["ArrowLeft", "ArrowRight"]) {
            handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            await Promise.resolve();  // nobody else comes to read before this
            said.push([handle.getAttribute("aria-valuetext"), readout.textContent]);
          }
          return said;
        }"""
    )
    assert all(text == shown and text.endswith("%") for text, shown in said)
    assert said[0] != said[1]
    scores.rest()


def _of(given) -> tuple[np.ndarray, np.ndarray]:
    return given.label, given.score


def test_prevalence_changes_precision_alone(scores):
    before = scores.table()["Patch-GAN"]
    scores.press(PREVALENCE, "Home")
    scores.until("root.querySelector('table').textContent.includes('precision at 0.001 prevalence')")
    after = scores.table()["Patch-GAN"]
    changed = {key for key in before if before[key] != after.get(key)}
    assert changed == {"precision at 0.1 prevalence"}
    sensitivity, specificity = float(after["sensitivity"]), float(after["specificity"])
    expected = 0.001 * sensitivity / (0.001 * sensitivity + 0.999 * (1 - specificity))
    assert float(after["precision at 0.001 prevalence"]) == pytest.approx(expected, abs=0.002)


def test_weight_of_the_distance_is_applied_live(scores):
    given = stored("tend")
    parts = given.components
    histogram = scores.numbers(0)
    for key, weight in (("End", 1.0), ("Home", 0.0)):
        scores.press(WEIGHT, key)
        score = (1 - weight) * parts["probability"] + weight * parts["distance_scaled"]
        scores.until("root.querySelector('table tr:nth-child(2) td').textContent === argument", f"{roc_auc_score(given.label, score):.3f}")
        scores.eventually(lambda: not np.array_equal(scores.numbers(0), histogram))
    assert scores.table()["Patch-GAN"]["AUROC"] == f"{roc_auc_score(*_of(stored('patchgan'))):.3f}"


def test_scale_bins_and_heights(scores):
    scores.press("Bins", "Home")
    scores.until("plot._fullData[0].x.length === 7")  # five bins, and a point beyond either end
    scores.choose("Heights", "counts")
    scores.until("plot.layout.yaxis2.title.text === 'images'")
    healthy = int((stored("tend").label == 0).sum())
    assert np.nansum(scores.numbers(0)) == healthy
    scores.root.get_by_label("Logarithmic heights").check()
    scores.until("plot._fullLayout.yaxis2.type === 'log'")
    scores.root.get_by_label("Logarithmic heights").uncheck()
    scores.press("Bins", "PageUp", 3)
    scores.rest()


def test_a_click_in_the_histogram_shows_those_images(scores):
    scores.choose("Selected by the score of", "Patch-GAN")
    scores.rest()  # a click on a figure that is just being drawn again is lost
    given = stored("patchgan")
    names = scores.figure("_fullData.map(t => t.name + t.xaxis)")
    trace = names.index("gliomax3")
    high = scores.numbers(trace)
    point = int(np.flatnonzero(high > high.max() / 5)[-1])  # well above the axis, whose ends plotly lets one edit with a click
    scores.click_point(trace, point)
    scores.until("!root.innerText.includes(argument)", "1360 images selected")
    scores.until("[...root.querySelectorAll('p[role=status]')].some(p => /[0-9]+ images? selected/.test(p.textContent))")
    edges = _bin(scores.numbers(trace, "x"), point)
    inside = (given.label == 1) & (given.score > edges[0]) & (given.score <= edges[1])
    rows = np.flatnonzero(inside)
    rows = rows[np.argsort(-given.score[rows], kind="stable")]
    options = scores.root.get_by_label("Images of the selection", exact=True).locator("option")
    eventually(lambda: [text.split()[1] for text in options.all_inner_texts()], given.id[rows].tolist())
    scores.rest()
    first = str(given.id[rows[0]])
    picture = scores.root.locator("figure img").first
    eventually(lambda: picture.get_attribute("alt"), f"glioma image {first}, score {given.score[rows[0]]:.4g}")
    _, number, slice_ = first.split("-")
    images, masks, *_ = subject(100, "glioma", int(number))
    assert picture.get_attribute("src") == png_of(images[int(slice_)][None], masks[int(slice_)])
    assert scores.root.get_by_alt_text(f"Novelty map of glioma image {first}").count() == 1


def _bin(centres: np.ndarray, point: int) -> tuple[float, float]:
    half = (centres[3] - centres[2]) / 2
    return float(centres[point] - half), float(centres[point] + half)


def test_view_and_selection_are_saved(scores, notebook):
    with notebook.page.expect_download() as download:
        scores.root.get_by_role("button", name="Save selection as CSV").click()
    assert download.value.suggested_filename == "scores.csv"
    rows = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    listed = scores.root.get_by_label("Images of the selection", exact=True).locator("option").count()
    assert len(rows) == 1 + listed
    score = dict(zip(stored("patchgan").id, stored("patchgan").score, strict=True))
    assert [float(row[5]) for row in rows[1:]] == [score[row[0]] for row in rows[1:]]
    with notebook.page.expect_download() as download:
        scores.root.get_by_role("button", name="Save view as PNG").click()
    assert download.value.suggested_filename == "scores.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_other_tests_and_an_empty_choice(scores):
    scores.choose("Test", "One-vs-rest, novel: ms")
    expected = f"{roc_auc_score(*_of(stored('patchgan', 'ms'))):.3f}"
    scores.until("root.querySelector('table tr:nth-child(3) td').textContent === argument", expected)
    scores.choose("Methods")
    scores.until("root.innerText.includes('Choose at least one method')")
    scores.choose("Methods", "Autoencoder")
    scores.until("root.querySelector('table th[scope=row]')?.textContent === 'Autoencoder'")
    eventually(lambda: scores.status, "")


# ---- the others ------------------------------------------------------------------------------------------------------


def test_margin_follows_its_slider_and_a_click(notebook):
    view = View(notebook.page, MARGIN)
    assert "After 0 epochs" in view.text
    view.drag("Snapshot", 1.0)
    view.until("/After 1[0-9] epochs/.test(root.innerText) && /after 1[0-9] epochs/.test(plot._fullLayout.title.text)")
    view.rest()
    x, y = view.numbers(0, "x"), view.numbers(0)
    distance = np.hypot(x, y)  # the embedding has two dimensions: what is drawn is the distance
    row = view.table()["ID"]
    assert row["images"] == str(len(x))
    assert float(row["median distance"]) == pytest.approx(np.median(distance), abs=0.001)
    assert float(row["inside the margin"]) == pytest.approx((distance**2 < 150).mean(), abs=0.001)
    circle = view.figure("layout.shapes.find(s => s.type === 'circle')")
    assert circle["x1"] == pytest.approx(np.sqrt(150))
    reach = view.figure("layout.xaxis.range[1]")
    novel = np.hypot(view.numbers(2, "x"), view.numbers(2))
    point = int(np.argmax(np.where(novel < 0.9 * reach, novel, -1)))  # on its own, away from the crowd
    image = int(view.figure(f"_fullData[2].customdata[{point}][0]"))
    view.click_point(2, point)
    view.until("root.querySelector('figure img') !== null")
    caption = view.root.locator("figcaption").inner_text()
    assert caption.startswith(f"image {image}, novel")
    assert f"distance {novel[point]:.3g}, " in caption
    shown = view.root.locator("figure img").get_attribute("src")
    digits = load_digits()
    label = caption.split("(")[1][0]
    assert shown in {png_of(each) for each in digits.images[digits.labels == label]}
    view.choose("Groups", "ID")
    view.until("plot._fullData[2].x.length === 0")


def test_patches_light_up_and_the_score_builds_up(notebook):
    view = View(notebook.page, PATCHES)
    runs = PatchRuns.load()
    first = runs.scores[(4, 0.125)].scores[0]
    lit = int(view.value("Patches lit"))
    view.press("Patches lit", "ArrowRight", 7)
    view.until("plot._fullData[1].z.flat().filter(v => Number.isFinite(v)).length === argument", lit + 7)
    view.press("τ of the ranking", "End")
    view.until("root.querySelector('table').textContent.includes('τ = 100')")
    assert float(view.table()["image score"][""]) == pytest.approx(_ranked(first, 100.0), abs=0.001)
    view.drag("τ of the ranking", 0.5)
    view.until("!root.querySelector('table').textContent.includes('τ = 100')")
    view.rest()
    tau = float(view.value("τ of the ranking"))
    assert 0.03 < tau < 0.3
    assert float(view.table()["image score"][""]) == pytest.approx(_ranked(first, tau), rel=0.02)
    view.choose("Precomputed run", "patches of 8 pixels, 0.5 hidden")
    view.until("plot._fullData[1].z.length === 8")
    view.choose("Image score", "maximum")
    scores = runs.scores[(8, 0.5)].scores[0]
    view.until("root.querySelector('table').textContent.includes(argument)", f"{scores.max():.3f}")
    patch = int(np.argsort(-scores, kind="stable")[9])
    view.click_at("xaxis", "yaxis", patch % 8 * 8 + 4, patch // 8 * 8 + 4)
    view.until("root.querySelector('.noUi-handle').getAttribute('aria-valuetext') === '10'")
    assert view.table()["patches lit"][""] == "10"


def _ranked(scores: np.ndarray, tau: float) -> float:
    """A(x) by its formula."""
    weights = np.exp(-np.arange(len(scores)) / (tau * len(scores)))
    return float((weights / weights.sum() * np.sort(scores)[::-1]).sum())


def test_distortions_are_the_library_s(notebook):
    view = View(notebook.page, DISTORTIONS)
    image = subject(7, "healthy", 0)[0][1][None]
    before = view.figure("data[0].source")
    view.drag("Strength", 0.0)
    view.until("plot.data[0].source !== argument", before)
    view.choose("Family", "Published eight")
    view.until("plot.layout.title.text.startsWith('Published eight')")
    view.handle("Strength").wait_for(state="hidden", timeout=1000 * ANSWER)
    for kind in ("affine_projection", "polar"):
        assert kind in PUBLISHED
        view.choose("Transformation", kind.replace("_", " "))
        view.until("plot.layout.title.text.endsWith(argument)", kind.replace("_", " "))
        changed = published(to_tensor(image[None]), kind).clamp(0, 1)[0].numpy()
        grey = np.rint(changed.mean(axis=0) * 255).astype(int)
        share = np.unique(grey, return_counts=True)[1].max() / grey.size
        view.until("root.querySelector('table').textContent.includes(argument)", f"{changed.mean():.3f}")
        assert view.table()["share of the commonest grey level"]["transformed"] == f"{share:.3f}"


def test_everything_has_a_name_and_nothing_broke(notebook):
    unnamed = notebook.page.evaluate(
        """() => [...document.querySelectorAll(".novkit-explorer")].flatMap(root =>
          [...root.querySelectorAll(".noUi-handle, select, input, button, [role=textbox], .js-plotly-plot, img")]
            .filter(node => node.offsetParent !== null && !node.closest(".modebar"))
            .filter(node => !(node.getAttribute("aria-label") || node.alt || node.title || node.textContent.trim()
              || [...(node.labels ?? [])].some(l => l.textContent.trim())))
            .map(node => node.outerHTML.slice(0, 120)))"""
    )
    assert unnamed == []
    for number in range(4):
        view = View(notebook.page, number)
        eventually(lambda view=view: view.status, "")
    assert notebook.page.errors == []
    assert notebook.page.left == []
