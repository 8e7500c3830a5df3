"""Every method on four real data sets, and what each leak of the published TEND code is worth.

    NOVKIT_REAL_DATA=<folder with the four sets> python results/real_images.py            # every method, three seeds
    NOVKIT_REAL_DATA=<folder with the four sets> python results/real_images.py faithful   # TEND with the published code's leaks
    NOVKIT_REAL_DATA=<folder with the four sets> python results/real_images.py classes    # each class of Kermany's as normal, and as novel
    NOVKIT_REAL_DATA=<folder with the four sets> python results/real_images.py traps      # what a slice's place alone tells; duplicates
    python results/real_images.py pages                                                   # the tables of docs/real_images.md and README.md

Settings, fixed before any method was scored on these sets at this size: the quick profile as it was tuned on the embedded data, at 64×64
(PneumoniaMNIST at its 28×28), with a schedule that a laptop can manage. Only the length is adapted, because the sets differ in size:
every trained method sees about IMAGES images. LGG slices come from one range of their stacks; every set is split by patient where it has
patients. What each folder must hold is in docs/real_images.md.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.evaluation import auroc
from novkit.experiments import REPRODUCED, Job, run_jobs
from novkit.files import replacing
from novkit.report import write_report
from novkit.report.markdown import between_markers, update_page
from novkit.results import METHODS, UPPER_BOUND, load_results, load_scores
from novkit.seeding import RESERVED_SEEDS

IMAGES = 21_500  # that each trained method sees
MATCHED = "0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)"
CLASSES = ("normal", "bacteria", "virus")  # of Kermany's chest X-rays
N_REST = {"normal": 2324, "bacteria": 1612, "virus": 2323}  # images to learn from, by what is novel
N_ONE = {"bacteria": 1517, "virus": 807}  # by what is normal
LEAKS: dict[str, dict[str, bool]] = {
    "chosen on the test set": {"select_on_test": True},
    "scaled on the test set": {"scale_on_test": True},
    "JPEG on the transformed": {"jpeg_on_transformed": True},
    "autoencoder validated on the test set": {"validate_on_test": True},
}
LEAKS["all four leaks"] = {switch: True for leak in LEAKS.values() for switch in leak}


HERE = Path(__file__).parent
FOLDERS = {"methods": "real", "faithful": "real_faithful", "classes": "real_classes"}
BLOCKS = (  # plan, page, table, block
    ("methods", "README.md", "novel", "real"),
    ("methods", "docs/real_images.md", "overview", "overview"),
    ("methods", "docs/real_images.md", "intervals", "intervals"),
    ("methods", "docs/real_images.md", "details", "details"),
    ("methods", "docs/real_images.md", "papers", "papers"),
    ("faithful", "docs/real_images.md", "variants", "faithful"),
    ("classes", "docs/real_images.md", "results", "classes"),
)


def class_order() -> str:
    """How often a bacterial pneumonia scores above a healthy chest, by the classes a method was trained on: a Markdown table."""
    found: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for folder in (HERE / FOLDERS["methods"], HERE / FOLDERS["classes"]):
        for record in load_results(folder):
            if record.dataset == "kermany_chest_xray" and record.setup != "generated_ood":
                scores = load_scores(folder, record)
                pair = np.isin(scores.condition, ["bacteria", "normal"])
                if len(set(scores.condition[pair])) == 2:
                    key = record.method, tuple(sorted(record.normal, key=CLASSES.index))
                    found.setdefault(key, []).append(auroc(scores.condition[pair] == "bacteria", scores.score[pair]))
    trained = sorted({normal for _, normal in found}, key=lambda names: (len(names), [CLASSES.index(name) for name in names]))
    rows = [f"| trained on | {' | '.join(' and '.join(names) for names in trained)} |", "|---" + "|---:" * len(trained) + "|"]
    for method, name in METHODS.items():
        cells = [f"{np.mean(found[method, normal]):.3f}" for normal in trained if (method, normal) in found]
        if len(cells) == len(trained) and method != UPPER_BOUND:  # that one is chosen anew for each test set
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def command(plan: str) -> str:
    """What made the records of a plan."""
    seeds = len({record.seed for record in load_results(HERE / FOLDERS[plan])})
    return f"python results/real_images.py {plan} --seeds {seeds}"


def lengths(method: str, n_train: int) -> dict[str, Any]:
    """Epochs after which a method has seen about IMAGES images of `n_train`; small sets are gone through at least 20 batches an epoch."""
    epochs = max(4, round(IMAGES / max(n_train, 640)))
    if method == "patchgan":
        return {"epochs": max(4, round(IMAGES / n_train))}
    if method == "tend":  # both stages together; their shares and the warm-up's as in the quick profile
        first = max(1, round(epochs * 5 / 21))
        return {"epochs_autoencoder": first, "epochs": epochs - first, "warmup": max(1, round(epochs * 3 / 21))}
    if method == "deep_svdd":  # its autoencoder's epochs are among them
        return {"epochs": epochs, "epochs_autoencoder": round(epochs * 10 / 21), "warmup": max(1, epochs // 11)}
    return {"epochs": epochs} if method in ("autoencoder", "vae", "alocc", "ocsvm", "patch_knn") else {}


def sets(folder: Path) -> list[tuple[dict[str, Any], int]]:
    """Data, set-ups and the number of normal images to learn from, of each data set."""
    common = {"normal": ("normal",), "options": {"size": 64}}
    xray = {**common, "dataset": str(folder / "kermany_chest_xray"), "options": {"size": 64, "classes": "subtype"}}
    lgg = {**common, "dataset": str(folder / "lgg_flair_mri"), "options": {"size": 64, "where": MATCHED}}
    isic = {"dataset": str(folder / "isic_dermoscopy"), "normal": ("benign",)}
    isic["options"] = {"size": 64, "masks": False}  # they outline every lesion, not what is malignant of it
    return [
        ({"dataset": str(folder / "pneumoniamnist"), "normal": ("normal",), "cases": novel_and_generated("pneumonia")}, 950),
        ({**xray, "cases": novel_and_generated("bacteria", "virus")}, 805),
        ({**lgg, "cases": novel_and_generated("tumor")}, 490),
        ({**isic, "cases": novel_and_generated("malignant")}, 1176),
    ]


def novel_and_generated(*novel: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The set's own novelty, and generated OOD."""
    return ("one_vs_rest", novel), ("generated_ood", ())


def jobs_for(folder: Path, seed: int) -> list[Job]:
    """Every method on every set."""
    return [Job(**data, method=m, seed=seed, changes=lengths(m, n_train)) for data, n_train in sets(folder) for m in REPRODUCED]


def faithful_jobs(folder: Path, seed: int) -> list[Job]:
    """TEND as it is, with each leak of the published code, and with all, on the two chest X-ray sets."""
    variants = [("", {}), *((name, {"faithful": switches}) for name, switches in LEAKS.items())]
    return [
        Job(**{**data, "cases": data["cases"][:1]}, method="tend", seed=seed, variant=name, changes=lengths("tend", n_train) | changes)
        for data, n_train in sets(folder)[:2]
        for name, changes in variants
    ]


def class_jobs(folder: Path, seed: int) -> list[Job]:
    """One-vs-rest and rest-vs-one on the three classes of Kermany's X-rays; normal against both others is in `jobs_for`."""
    data = {"dataset": str(folder / "kermany_chest_xray"), "options": {"size": 64, "classes": "subtype"}, "seed": seed}
    others = {novel: tuple(name for name in CLASSES if name != novel) for novel in CLASSES}
    rest = [((normal, (("rest_vs_one", (novel,)),)), N_REST[novel]) for novel, normal in others.items()]
    one = [(((name,), (("one_vs_rest", ()),)), n_train) for name, n_train in N_ONE.items()]
    return [
        Job(**data, normal=normal, cases=cases, method=method, changes=lengths(method, n_train))
        for (normal, cases), n_train in rest + one
        for method in REPRODUCED
    ]


def traps(folder: Path) -> list[str]:
    """What the sets give away by themselves: AUROC of a slice's place in its stack on LGG, without a pixel of it, and exact duplicates."""
    lines = ["lgg_flair_mri, AUROC of a slice's place in its stack; of its nearness to the middle"]
    slices = load(folder / "lgg_flair_mri", size=64, progress=False).table
    lines.append(f"  all slices, middle 0.5                        {_by_place(slices['z_rel'], slices['label'] == 'tumor', 0.5)}")
    matched = load(folder / "lgg_flair_mri", size=64, where=MATCHED, progress=False)
    for seed in RESERVED_SEEDS[:3]:
        test = one_vs_rest(matched, "normal", novel=("tumor",), seed=seed)
        place = matched.table.set_index("id").loc[test.test_table["id"], "z_rel"]
        lines.append(f"  0.31 to 0.84, middle 0.575, test of seed {seed}  {_by_place(place, test.y_test, 0.575)}")
    xrays = load(folder / "kermany_chest_xray", size=64, progress=False)
    return [*lines, f"kermany_chest_xray, exact duplicates: {xrays.extra['duplicate_images']}"]


def _by_place(place: pd.Series, novel: pd.Series | np.ndarray, middle: float) -> str:
    return f"{auroc(novel, place):.3f}  {auroc(novel, -abs(place - middle)):.3f}"


def real_data() -> Path:
    """The folder that NOVKIT_REAL_DATA names."""
    data = os.environ.get("NOVKIT_REAL_DATA")
    if data is None:
        raise SystemExit("NOVKIT_REAL_DATA is not set: let it name the folder that holds the four data sets.")
    return Path(data)


def run(plan: str, seeds: int) -> None:
    """Train and measure what is not done yet; writes the report and prints where it is."""
    jobs = {"methods": jobs_for, "faithful": faithful_jobs, "classes": class_jobs}[plan]
    data = real_data()
    for seed in RESERVED_SEEDS[:seeds]:
        run_jobs(jobs(data, seed), HERE / FOLDERS[plan], workers=None)
    print(write_report(HERE / FOLDERS[plan], command=command(plan)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=[*FOLDERS, "traps", "pages"], default="methods")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "pages":
        for plan, page, table, block in BLOCKS:
            print(update_page(HERE / FOLDERS[plan], HERE.parent / page, command(plan), table=table, block=block))
        page = HERE.parent / "docs" / "real_images.md"
        text = between_markers(page.read_text(encoding="utf-8"), class_order(), page.name, "order")
        with replacing(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    elif arguments.what == "traps":
        print("\n".join(traps(real_data())))
    else:
        run(arguments.what, arguments.seeds)
