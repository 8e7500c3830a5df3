"""The report: everything in it comes from the records, nothing from the network, and no text from the data is taken for markup."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from novkit.errors import StoredFileError
from novkit.evaluation import image_metrics, mean_auroc, paired_difference
from novkit.report import write_report
from novkit.report.findings import find
from novkit.results import Record, Scores, add_record, load_results, load_scores, save_results

SKILL = {"tend": 1.9, "autoencoder": 1.2, "pixel_zscore": 0.9, "statistic": 0.2, "statistic_oracle": 0.6}
CASES = {"brain": [("one_vs_rest", ["glioma"]), ("one_vs_rest", ["infarct"]), ("generated_ood", ["swirl", "ripple"])]}


def fabricate(
    folder: Path, *, skill=SKILL, cases=CASES, seeds=2, n=96, synthetic=True, normal="healthy", extras=True, **changes
) -> list[Record]:
    """Records with Gaussian scores of known skill; every method sees the same images."""
    stored = []
    for dataset, setups in cases.items():
        for seed in range(seeds):
            for setup, novel in setups:
                draw = np.random.default_rng([seed, len(novel), len(novel[0])])
                y = np.arange(n) % 2
                condition = np.where(y, np.array(novel)[np.arange(n) // 2 % len(novel)], normal)
                hard = draw.normal(size=n)
                for number, (method, shift) in enumerate(skill.items()):
                    own = np.random.default_rng([seed, number]).normal(size=n)
                    score = 10 ** (number - 1) * (0.7 * hard + 0.7 * own + shift * y)
                    groups = np.array([f"{seed}/patient {i // 4}" for i in range(n)])
                    ids = np.array([f"{seed}/{i}" for i in range(n)])
                    found = image_metrics(y, score, groups, n_resamples=100)
                    values = {
                        "method": method, "dataset": dataset, "setup": setup, "normal": (normal,), "novel": tuple(novel), "seed": seed,
                        "profile": "quick", **vars(found), "n_train": 300, "n_test": n, "seconds_fit": 3.5 * number + 1,
                        "seconds_score": 0.5, "peak_memory_mb": 700.0 + number, "data_fingerprint": "5f3a", "synthetic": synthetic,
                        "device": "CPU (made up)", "machine": "Linux x86_64, 2 CPU cores", "versions": {"numpy": "2.4", "torch": "2.15"},
                        "commit": "c0ffee", "images_seen": 9000, "n_settings_tried": 4,
                    } | changes  # fmt: skip
                    if method in ("tend", "autoencoder") and setup != "generated_ood":
                        values |= {"pixel_auroc": 0.8, "pixel_pro": 0.5}
                    with_extras = extras and method in ("tend", "autoencoder")
                    stored.append(
                        add_record(
                            folder,
                            Record(**values),
                            Scores(ids, groups, y, condition, score),
                            history=history(number) if with_extras else None,
                            examples=examples(condition, score, y) if with_extras else None,
                        )
                    )
    return stored


def history(number: int) -> list[dict]:
    epochs = []
    for epoch in range(12):
        phase = "warm-up" if epoch < 4 else "margin"
        loss = 2 / (1 + epoch) + 0.1 * number
        epochs.append({"epoch": epoch, "phase": phase, "loss": loss, "val_loss": loss * 1.2, "seconds": 1.0, "best": epoch in (1, 3, 9)})
    return epochs


def examples(condition: np.ndarray, score: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    rows = np.concatenate([np.flatnonzero(condition == name)[:4] for name in sorted(set(condition))])
    yy, xx = np.mgrid[:32, :32]
    images = np.stack([np.exp(-((xx - 16) ** 2 + (yy - 16 - i % 4) ** 2) / 90) for i in range(len(rows))])
    masks = np.zeros((len(rows), 32, 32), bool)
    masks[y[rows] == 1, 10:16, 12:20] = True
    shown = np.clip(images + 0.3 * masks, 0, 1)
    return {
        "images": (shown[:, None] * 255).astype(np.uint8),
        "reconstructions": (images[:, None] * 255).astype(np.uint8),
        "maps": (np.abs(shown - images) + 0.05 * draw.random(images.shape)).astype(np.float16),
        "masks": masks,
        "labels": condition[rows].astype(str),
        "scores": score[rows],
        "threshold": np.float64(1.0),
    }


class Reader(HTMLParser):
    """Collects what a page holds; complains about tags that do not close."""

    VOID = frozenset({"meta", "br", "img", "line", "circle", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def read(path: Path) -> tuple[Reader, str]:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader, " ".join("".join(reader.text).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "quick"
    fabricate(folder)
    return folder, write_report(folder, n_resamples=200)


def test_the_finding_is_computed(made):
    folder, path = made
    _, text = read(path)
    records = load_results(folder)
    ood = [r for r in records if r.setup == "generated_ood"]
    tend = [load_scores(folder, r) for r in ood if r.method == "tend"]
    baseline = [load_scores(folder, r) for r in ood if r.method == "autoencoder"]
    reached, other = (mean_auroc(runs, n_resamples=200) for runs in (tend, baseline))
    difference = paired_difference(tend, baseline, n_resamples=200)
    assert difference.above_zero
    assert (
        f"On generated out-of-distribution brain images, TEND reaches AUROC {reached.value:.3f} [{reached.low:.3f}, {reached.high:.3f}]; "
        f"the best baseline, Autoencoder, {other.value:.3f} [{other.low:.3f}, {other.high:.3f}]. "
        f"TEND is better: {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]."
    ) in text


def test_findings_are_fair(tmp_path):
    fabricate(tmp_path, skill={"tend": 0.5, "autoencoder": 1.5, "statistic_oracle": 3.0}, extras=False)
    records = load_results(tmp_path)
    findings = find(tmp_path, records, n_resamples=100)
    assert [(f.setup, f.baseline, f.verdict) for f in findings] == [
        ("generated_ood", "autoencoder", "worse"),
        ("one_vs_rest", "autoencoder", "worse"),
    ]
    assert findings[1].n_runs == 4
    # a baseline that was run on some of the cases only takes no part
    part = [r for r in records if not (r.method == "autoencoder" and r.novel == ("infarct",))]
    assert find(tmp_path, part, n_resamples=100)[1].baseline is None
    assert find(tmp_path, [r for r in records if r.method != "tend"]) == []
    same = {m: 1.0 for m in ("tend", "autoencoder")}
    fabricate(tmp_path / "even", skill=same, extras=False, seeds=1, n=40)
    assert {f.verdict for f in find(tmp_path / "even", load_results(tmp_path / "even"))} <= {"no clear difference", "better", "worse"}


def test_page_holds_what_it_should(made):
    folder, path = made
    assert path == folder / "report.html"
    reader, text = read(path)
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in reader.tags if tag == "a"]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert sum(tag == "h1" for tag, _ in reader.tags) == 1
    plots = [attrs for tag, attrs in reader.tags if "data-figure" in attrs]
    assert len(plots) == 1 + 2 * 2 + 2 + 4  # dots; ROC and scores of two set-ups; training and two sheets of two methods
    assert all(len(attrs["aria-label"]) > 30 for attrs in plots)
    for words in (
        "Synthetic data.",
        "upper bound chosen on the test",
        "c0ffee",
        "CPU (made up)",
        "torch 2.15",
        "novkit reproduce --profile quick",
    ):
        assert words in text
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)[1])
    assert set(figures) == {attrs["data-figure"] for attrs in plots}
    assert path.stat().st_size < 9_000_000


def test_page_is_one_file(made):
    reader, _ = read(made[1])
    for _, attrs in reader.tags:
        for name in ("src", "srcset", "action", "data"):
            assert name not in attrs
    policy = next(attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert not any(tag == "link" for tag, _ in reader.tags)


def test_summary_has_every_method_and_set_up(made):
    folder, path = made
    html = path.read_text(encoding="utf-8")
    section = html[html.index('<section id="results"') : html.index('<section id="data-0-brain"')]
    rows = re.findall(r"<tr(?: class=\"(\w+)\")?><td>(.*?)</tr>", section, re.S)
    assert len(rows) == 10
    for kind, row in rows:
        assert (kind == "bound") == ("upper bound" in row) == ("†" in row)
    for setup in ("one_vs_rest", "generated_ood"):
        runs = [load_scores(folder, r) for r in load_results(folder) if r.method == "pixel_zscore" and r.setup == setup]
        assert f"{mean_auroc(runs, n_resamples=200).value:.3f}" in section


def test_text_from_the_data_is_no_markup(tmp_path):
    bad = '</script><img src=x onerror="alert(1)">'
    fabricate(tmp_path, cases={bad: [("one_vs_rest", [bad])]}, seeds=1, n=40, normal="a & <b>", device=bad, commit=bad, versions={bad: bad})
    reader, text = read(write_report(tmp_path, n_resamples=20, command=bad))
    assert not any(tag == "img" or "onerror" in attrs for tag, attrs in reader.tags)
    assert bad in text
    assert sum(tag == "script" for tag, _ in reader.tags) == 3


def test_real_data_and_baselines_alone(tmp_path):
    fabricate(
        tmp_path, skill={"pixel_zscore": 1.0}, seeds=1, synthetic=False, extras=False, cases={"my images": [("rest_vs_one", ["rare"])]}
    )
    _, text = read(write_report(tmp_path, tmp_path / "out" / "page.html", n_resamples=20))
    assert "Synthetic" not in text
    assert "neither paper's method has been run" in text
    assert "my images real" in text
    assert "--data FOLDER --novel 'rare'" in text
    assert (tmp_path / "out" / "page.html").exists()


def test_refusals(tmp_path):
    with pytest.raises(StoredFileError, match="no results file"):
        write_report(tmp_path)
    save_results(tmp_path, [])
    with pytest.raises(StoredFileError, match="holds no run yet"):
        write_report(tmp_path)
    stored = fabricate(tmp_path, skill={"tend": 1.0}, seeds=1, n=40, extras=False)
    (tmp_path / stored[0].scores).write_bytes(b"")
    with pytest.raises(StoredFileError, match="cannot be read"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_page_opens_offline_in_a_browser_and_sorts_by_keyboard(made, browser):
    for scheme in ("light", "dark"):
        context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.set_default_timeout(120_000)
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on(
            "request",
            lambda request, said=said: None if request.url.startswith(("file:", "data:", "blob:")) else said.append(request.url),
        )
        page.goto(made[1].as_uri())
        page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=120_000)
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator(".plot svg.main-svg").count() >= page.locator(".plot").count()
        head = page.locator("#results th").nth(3)
        for order, up in (("descending", False), ("ascending", True)):
            head.locator("button").press("Enter")
            assert head.get_attribute("aria-sort") == order
            shown = [float(text[:5]) for text in page.locator("#results tbody td:nth-child(4)").all_inner_texts()]
            assert shown == sorted(shown, reverse=not up)
        context.close()
