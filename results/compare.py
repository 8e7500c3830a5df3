"""One method against all others, paired over test images, and by the size of the abnormality.

python results/compare.py results/reference --method patchgan --case "novel: glioma"
"""

import argparse

import numpy as np

from novkit.evaluation import Scores, auroc, paired_difference
from novkit.report.tertiles import TERTILES, tertile_table
from novkit.results import METHODS, load_results, load_scores

BESIDE = ("tend", "patchgan", "autoencoder")
"""The methods whose families are printed beside those of the chosen one."""


def _against(run: Scores, family: str) -> float:
    """AUROC of one family of novel images against all normal ones."""
    kept = (run.label == 0) | (run.condition == family)
    return auroc(run.label[kept], run.score[kept])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--method", default="patchgan", choices=METHODS)
    parser.add_argument("--dataset", default="brain")
    parser.add_argument("--case", default="novel: glioma")
    wanted = parser.parse_args()
    records = [r for r in load_results(wanted.folder) if (r.dataset, r.case, r.variant) == (wanted.dataset, wanted.case, "")]
    runs = {m: {r.seed: load_scores(wanted.folder, r) for r in records if r.method == m} for m in METHODS}

    print(f"AUROC of {METHODS[wanted.method]} minus that of the others, {wanted.case}, mean over seeds [95 % interval]")
    for method, others in runs.items():
        seeds = sorted(set(runs[wanted.method]) & set(others))
        if method != wanted.method and seeds:
            found = paired_difference([runs[wanted.method][s] for s in seeds], [others[s] for s in seeds])
            print(f"{METHODS[method]:<18} {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]  {len(seeds)} seeds")

    generated = {family for run in runs[wanted.method].values() for family in run.condition[run.label == 1]}
    if len(generated) > 1:
        columns = [m for m in dict.fromkeys((wanted.method, *BESIDE)) if runs[m]]
        print(f"\nAUROC by family, mean over seeds: {', '.join(METHODS[m] for m in columns)}")
        for family in sorted(generated):
            means = [np.mean([_against(run, family) for run in runs[m].values()]) for m in columns]
            print(f"{family:<18}" + "".join(f"{mean:8.3f}" for mean in means))

    table = tertile_table(wanted.folder, [r for r in records if r.method in (wanted.method, "autoencoder")])
    if not table.empty:
        sizes = table.drop_duplicates("tertile").set_index("tertile")
        print("\nAUROC by the size of the abnormality, mean over seeds")
        print(
            f"{'share of the image':<28}"
            + "".join(f"{100 * sizes.loc[t, 'area_low']:.1f}–{100 * sizes.loc[t, 'area_high']:.1f} %".rjust(14) for t in TERTILES)
        )
        for name, part in table.groupby("name", sort=False):
            means = part.set_index("tertile")["mean"]
            print(f"{name:<28}" + "".join(f"{means[t]:14.3f}" for t in TERTILES))


if __name__ == "__main__":
    main()
