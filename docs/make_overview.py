"""The README's picture: slices of every condition with their lesions outlined, and how scores separate on generated novelties.

python docs/make_overview.py     (needs kaleido and a Chrome or Chromium, of the `dev` extra)
"""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from novkit.data import load
from novkit.figures import score_distributions
from novkit.results import Scores, load_results, load_scores

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
SEED, SIZE, GAP, WIDTH = 100, 128, 6, 1240
OUTLINE = (86, 180, 233)


def slices() -> Image.Image:
    """The second subject's first slice of each condition, and below it the same with what is abnormal outlined."""
    data = load("brain", seed=SEED, size=SIZE, n_healthy=8, n_novel=8, progress=False)
    labels = list(dict.fromkeys(data.labels))
    side = (WIDTH - GAP * (len(labels) - 1)) // len(labels)
    sheet = Image.new("RGB", (WIDTH, 2 * side + GAP + 26), "white")
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(labels):
        of_class = data.table[data.labels == label]
        index = of_class.drop_duplicates("group").index[1]
        picture = Image.fromarray(data.images[index][0]).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        mask = np.asarray(Image.fromarray(data.masks[index].astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR)) > 127
        edge = binary_dilation(mask, iterations=2) & ~mask
        outlined = np.where(edge[..., None], np.array(OUTLINE, np.uint8), np.asarray(picture))
        left = column * (side + GAP)
        draw.text((left + side / 2, 12), label, fill="black", anchor="mm", font=ImageFont.load_default(size=16))
        sheet.paste(picture, (left, 26))
        sheet.paste(Image.fromarray(outlined), (left, 26 + side + GAP))
    return sheet


def distributions() -> Image.Image:
    """Score distributions of the reference run on generated out-of-distribution brain slices."""
    records = [r for r in load_results(REFERENCE) if r.dataset == "brain" and r.setup == "generated_ood" and r.seed == SEED]
    by_method = {r.method: load_scores(REFERENCE, r) for r in records}
    pooled = {method: one_class(by_method[method]) for method in ("tend", "autoencoder", "pixel_zscore")}
    figure = score_distributions(pooled, title="Scores of normal slices and of slices distorted as no training did (synthetic)")
    figure.update_layout(width=WIDTH, height=330, paper_bgcolor="white", plot_bgcolor="white")
    return Image.open(io.BytesIO(figure.to_image(format="png", width=WIDTH, height=330))).convert("RGB")


def one_class(scores: Scores) -> Scores:
    """All families of transformations as one class."""
    return replace(scores, condition=np.where(scores.label == 1, "distorted", "normal"))


def main() -> None:
    top, bottom = slices(), distributions()
    sheet = Image.new("RGB", (WIDTH, top.height + bottom.height + GAP), "white")
    sheet.paste(top, (0, 0))
    sheet.paste(bottom, (0, top.height + GAP))
    target = ROOT / "docs" / "images" / "overview.png"
    target.parent.mkdir(exist_ok=True)
    sheet.quantize(128).save(target, optimize=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
