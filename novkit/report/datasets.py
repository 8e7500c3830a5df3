"""The report's section on one data set: AUROC by method, curves, distributions, training and examples."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from novkit.errors import StoredFileError
from novkit.evaluation import Scores
from novkit.figures import (
    auroc_dots,
    novelty_maps,
    patch_story,
    reconstructions,
    roc_curves,
    score_distributions,
    tertile_dots,
    training_curves,
)
from novkit.report.page import Page
from novkit.report.parts import case_table, tag_html
from novkit.report.tertiles import tertile_table
from novkit.results import (
    METHODS,
    SETUPS,
    UPPER_BOUND,
    UPPER_BOUND_NOTE,
    Record,
    auroc_intervals,
    load_examples,
    load_history,
    load_scores,
)

_PANEL = 8  # examples of one method
_SIZED = ("patchgan", "autoencoder", "tend")  # methods whose tertiles are drawn


def dataset_section(
    page: Page, folder: Path, records: Sequence[Record], setups: Sequence[str], anchor: str, *, n_resamples: int = 2000
) -> str:
    """HTML of one data set's section. records: its runs; setups: in the order to show; anchor: the section's id."""
    name = records[0].dataset
    table = auroc_intervals(folder, records, n_resamples=n_resamples)
    mark = tag_html(any(r.synthetic for r in records))
    parts = [f'<section id="{anchor}" aria-labelledby="h-{anchor}"><h2 id="h-{anchor}">Data: {escape(name)} {mark}</h2>']
    caption = "Symbols: mean over seeds, bars: 95 % intervals over test groups, small dots: single seeds. The vertical line is chance."
    parts.append(page.figure(auroc_dots(table, title=f"AUROC on {name}"), caption))
    for setup in setups:
        parts.append(f"<h3>{SETUPS[setup]}</h3>" + case_table(table[table["setup"] == setup]))
        plain = [r for r in records if r.setup == setup and not r.variant]
        parts += _curves_and_scores(page, folder, plain, n_resamples)
        parts += _sizes(page, folder, plain)
    parts += _training(page, folder, records)
    parts += _examples(page, folder, records)
    return "\n".join([*parts, "</section>"])


def _curves_and_scores(page: Page, folder: Path, records: Sequence[Record], n_resamples: int) -> list[str]:
    runs = {m: [load_scores(folder, r) for r in records if r.method == m] for m in METHODS}
    runs = {m: scores for m, scores in runs.items() if scores}
    if not runs:
        return []
    first = records[0]
    place = f"{first.dataset}, {SETUPS[first.setup].lower()}"
    curves = roc_curves(runs, title=f"ROC curves: {place}", n_resamples=n_resamples)
    scores = score_distributions(merged_scores(folder, records), title=f"Novelty scores: {place}")
    most = max(len(each) for each in runs.values())
    averaged = f"Averaged over up to {most} runs at equal false-positive rates." if most > 1 else "One run of each method."
    bound = f" {METHODS[UPPER_BOUND]}: {UPPER_BOUND_NOTE}." if UPPER_BOUND in runs else ""
    return [
        page.figure(curves, f"{averaged}{bound}"),
        page.figure(scores, f"Seed {first.seed}, normal: {', '.join(first.normal)}. Each method has its own scale.{bound}"),
    ]


def merged_scores(folder: Path, records: Sequence[Record]) -> dict[str, Scores]:
    """Each method's cases of the first record's seed and normal class as one: their normal images are the same and are kept once."""
    first, merged = records[0], {}
    for method in METHODS:
        runs = [load_scores(folder, r) for r in records if r.method == method and (r.normal, r.seed) == (first.normal, first.seed)]
        if runs:
            columns = ("id", "group", "label", "condition", "score")
            frame = pd.concat([pd.DataFrame({name: getattr(run, name) for name in columns}) for run in runs]).drop_duplicates("id")
            id, group, label, condition, score = (frame[name].to_numpy() for name in columns)
            merged[method] = Scores(id, group, label, condition, score)
    return merged


def _sizes(page: Page, folder: Path, records: Sequence[Record]) -> list[str]:
    """AUROC by size of the abnormality, case by case, where Patch-GAN was run: the size is what its ranking is about."""
    parts = []
    for case in dict.fromkeys(r.case for r in records if r.method == "patchgan"):
        table = tertile_table(folder, [r for r in records if r.case == case and r.method in _SIZED])
        if not table.empty:
            figure = tertile_dots(table, title=f"AUROC by size of the abnormality: {case}")
            parts.append(
                page.figure(figure, "Each third of the abnormalities, by area, against all normal images. Mean and sd over seeds.")
            )
    return parts


def _training(page: Page, folder: Path, records: Sequence[Record]) -> list[str]:
    parts: list[str] = []
    for method in METHODS:
        for record in (r for r in records if r.method == method and not r.variant):
            epochs = load_history(folder, record)
            if epochs:
                figure = training_curves(epochs, title=f"Training of {METHODS[method]} on {record.dataset}")
                parts.append(page.figure(figure, f"Seed {record.seed}, normal: {', '.join(record.normal)}."))
                break
    return ["<h3>Training</h3>", *parts] if parts else []


def _examples(page: Page, folder: Path, records: Sequence[Record]) -> list[str]:
    parts: list[str] = []
    for method in METHODS:
        own = [r for r in records if r.method == method and not r.variant and r.setup != "generated_ood"]
        panel = _panel(folder, [(r, load_examples(folder, r)) for r in own if r.seed == own[0].seed and r.normal == own[0].normal])
        if panel is None:
            continue
        captions = [f"{label}\n{score:.3g}".replace("\n-", "\n−") for label, score in zip(panel["labels"], panel["scores"], strict=True)]
        note = "First images of each class in the test set, not chosen by score; below each name its novelty score."
        outline = " Blue: the outline of the truth." if "masks" in panel else ""
        maps = np.clip(panel["maps"], -65504.0, 65504.0).astype(np.float32) if "maps" in panel else None  # float16's: beyond is infinity
        if maps is not None and {"masked", "patch_scores", "reconstructions"} <= panel.keys():
            parts.append(page.figure(_story(METHODS[method], panel, maps, captions), note + outline))
            continue
        if "reconstructions" in panel:
            figure = reconstructions(panel["images"], panel["reconstructions"], captions, title=f"{METHODS[method]}: reconstructions")
            parts.append(page.figure(figure, note))
        if maps is not None:
            figure = novelty_maps(panel["images"], maps, captions, masks=panel.get("masks"), title=f"{METHODS[method]}: novelty maps")
            parts.append(page.figure(figure, note + outline))
    return [f"<h3>Examples from {escape(records[0].dataset)}</h3>", *parts] if parts else []


def _story(name: str, panel: dict[str, np.ndarray], maps: np.ndarray, captions: Sequence[str]):
    images, restored, scores = panel["images"], panel["reconstructions"], panel["patch_scores"]
    height, width = images.shape[2:]
    side = round((height * width / scores.shape[1]) ** 0.5)
    residual = np.abs(images.astype(np.float32) - restored).mean(axis=1) / 255
    grid = (height // side, width // side, side)
    title = f"{name}: from hidden patches to a novelty map"
    return patch_story(images, panel["masked"], restored, residual, scores, grid, maps, panel.get("masks"), captions=captions, title=title)


def _panel(folder: Path, parts: Sequence[tuple[Record, dict[str, np.ndarray] | None]]) -> dict[str, np.ndarray] | None:
    """One panel of several cases: normal images of the first, then novel ones of each; only what every case has."""
    panels = [(record, part) for record, part in parts if part is not None]
    if not panels:
        return None
    first = panels[0][1]
    novel_each = max(1, (_PANEL - 2) // len(panels))
    wanted = {"images", "labels", "scores", "maps", "masks", "reconstructions", "masked", "patch_scores"}
    names = set.intersection(*(set(part) for _, part in panels)) & wanted
    chosen = []
    for index, (record, part) in enumerate(panels):
        if any(part[name].shape[1:] != first[name].shape[1:] or part[name].dtype.kind != first[name].dtype.kind for name in names):
            raise StoredFileError(f"The examples of {record.run} in {folder} are of another kind than the others: measure the run again.")
        is_normal = np.isin(part["labels"], record.normal)
        rows = [*(np.flatnonzero(is_normal)[:2] if index == 0 else []), *np.flatnonzero(~is_normal)[:novel_each]]
        chosen.append({name: part[name][rows] for name in names})
    return {name: np.concatenate([part[name] for part in chosen])[:_PANEL] for name in names}
