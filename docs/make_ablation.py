"""The picture of the notes: what each choice of Patch-GAN is worth, from results/ablation.

python docs/make_ablation.py     (needs kaleido and a Chrome or Chromium, of the `dev` extra)
"""

from pathlib import Path

from novkit.experiments.ablation import DEFAULT, ablation_table
from novkit.figures import ablation_dots
from novkit.results import load_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "ablation"

if __name__ == "__main__":
    table = ablation_table(RESULTS, load_results(RESULTS))
    figure = ablation_dots(table, default=DEFAULT, title="What each choice of Patch-GAN is worth (synthetic brain slices, glioma)")
    figure.update_layout(paper_bgcolor="white", plot_bgcolor="white", font_color="black")  # a page may be dark
    figure.write_image(ROOT / "docs" / "images" / "ablation.png", width=900, scale=1.4)
