"""The README's picture: slices of every condition, what is abnormal outlined, where Patch-GAN sees novelty, and how scores separate.

python docs/make_overview.py     (needs kaleido and a Chrome or Chromium, of the `dev` extra)
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from novkit.data import load
from novkit.figures import score_distributions
from novkit.figures.images import in_colours
from novkit.ready import ready_detector
from novkit.results import load_results, load_scores

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
SUBJECTS = 7  # a seed whose subjects no stored detector has seen
SEED, GAP, LEFT, WIDTH = 100, 6, 96, 1240
OUTLINE = (86, 180, 233)


def slices() -> Image.Image:
    """The second subject of each condition: its first slice, the same with what is abnormal outlined, and the novelty map."""
    sharp, small = (load("brain", seed=SUBJECTS, size=size, n_healthy=8, n_novel=8, progress=False) for size in (128, 64))
    labels = list(dict.fromkeys(sharp.labels))
    rows = [sharp.table[sharp.labels == label].drop_duplicates("group").index[1] for label in labels]
    maps = ready_detector("patchgan", progress=False).novelty_map(small.images[rows])
    maps = np.where(small.body[rows], maps, maps.min())
    heat, _ = in_colours(maps, low=float(np.quantile(maps, 0.5)), high=float(np.quantile(maps, 0.998)))
    side = (WIDTH - LEFT - GAP * (len(labels) - 1)) // len(labels)
    sheet = Image.new("RGB", (WIDTH, 26 + 3 * side + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    for row, text in enumerate(("slice", "what is\nabnormal", "Patch-GAN's\nmap")):
        draw.text((0, 26 + row * (side + GAP) + side / 2), text, fill="black", anchor="lm", font=font)
    for column, (label, index) in enumerate(zip(labels, rows, strict=True)):
        picture = Image.fromarray(sharp.images[index][0]).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        mask = np.asarray(Image.fromarray(sharp.masks[index].astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR)) > 127
        edge = binary_dilation(mask, iterations=2) & ~mask
        outlined = Image.fromarray(np.where(edge[..., None], np.array(OUTLINE, np.uint8), np.asarray(picture)))
        left = LEFT + column * (side + GAP)
        draw.text((left + side / 2, 12), label, fill="black", anchor="mm", font=font)
        for row, shown in enumerate((picture, outlined, Image.fromarray(heat[column]).resize((side, side), Image.Resampling.BICUBIC))):
            sheet.paste(shown, (left, 26 + row * (side + GAP)))
    return sheet


def distributions() -> Image.Image:
    """Score distributions of the reference run, healthy slices against gliomas."""
    records = [r for r in load_results(REFERENCE) if (r.dataset, r.case, r.seed) == ("brain", "novel: glioma", SEED)]
    by_method = {r.method: load_scores(REFERENCE, r) for r in records}
    shown = {method: by_method[method] for method in ("patchgan", "autoencoder", "tend")}
    figure = score_distributions(shown, title="Scores of healthy slices and of gliomas (synthetic)")
    figure.update_layout(width=WIDTH, height=330, paper_bgcolor="white", plot_bgcolor="white")
    return Image.open(io.BytesIO(figure.to_image(format="png", width=WIDTH, height=330))).convert("RGB")


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
