"""The figures that the papers print, each with its source and its data, and a table that sets them beside ours without mixing the two.

None of them was measured here. TEND's own figures are left out: its abstract (Guo et al. 2022, arXiv 2108.00117) states none, and the
tables of its text were not at hand.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from novkit.records import METHODS, Record
from novkit.results import summary


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """One printed figure. auroc in [0, 1]; mark: "P", the paper prints it, or "S", others say so; command: what measures our own
    method on these data.

    method: an id of METHODS, or "" for what is not built here. name: what the paper tested. dataset: the paper's data, for people; folder:
    the name under which novkit would hold them ("" where nothing would be run).
    """

    method: str
    name: str
    auroc: float
    dataset: str
    source: str
    mark: str = "P"
    remark: str = ""
    folder: str = ""
    command: str = ""


_PATCH_GAN = "Chen et al. 2025, arXiv 2501.17906, abstract"
_UNKNOWN = "which images count as normal and how they are split is not stated at the source, so a run of ours need not be the same task"

PUBLISHED: tuple[PublishedFigure, ...] = (
    PublishedFigure(
        method="patchgan",
        name=METHODS["patchgan"],
        auroc=0.9579,
        dataset="ISIC 2016",
        source=_PATCH_GAN,
        remark=(
            "reached without labels; the best fusion of 25 supervised entries had 0.86 on 100 images of this challenge, "
            "so this cannot be the same task of benign against malignant; " + _UNKNOWN
        ),
        folder="isic2016",
        command="novkit reproduce --method patchgan --data isic2016 --normal benign --novel malignant",
    ),
    PublishedFigure(
        method="patchgan",
        name=METHODS["patchgan"],
        auroc=0.9605,
        dataset="BraTS 2019",
        source=_PATCH_GAN,
        remark=_UNKNOWN,
        folder="brats2019",
        command="novkit reproduce --method patchgan --data brats2019 --normal normal --novel tumour",
    ),
    PublishedFigure(
        method="",
        name="Best fusion of 25 supervised entries",
        auroc=0.86,
        dataset="ISIC 2016, a subset of 100 images",
        source="Marchetti et al. 2018, J. Am. Acad. Dermatol. 78(2) 270–277, PMC5768444",
        remark="benign against malignant, trained with labels: for scale, no method of this kit",
    ),
    PublishedFigure(
        method="",
        name="ResNet-18 at 28×28, trained with labels",
        auroc=0.944,
        dataset="PneumoniaMNIST",
        source="Yang et al. 2023, Sci. Data 10:41, PMC9852451, as others quote it: the table itself could not be reached",
        mark="S",
        remark="4 708 labelled images to learn from, on the official test set: for scale, no method of this kit",
    ),
)
"""What is certain: read at the source named in each; marked "S", in others' words."""

COLUMNS = ("method", "data", "case", "auroc_paper", "auroc_ours", "sd_ours", "n_seeds", "synthetic", "profile", "source", "remark")


def beside_ours(records: Iterable[Record]) -> pd.DataFrame:
    """The papers' figures and ours in one table (columns: COLUMNS), never in one row: each has `auroc_paper` or `auroc_ours`, not both.

    One row for each printed figure, then one for each method, variant, data set, set-up and case of `records`, mean and sd over seeds.
    `data` names what each was measured on, "(synthetic)" where the images are generated; `source` tells whose figure it is.
    """
    records = list(records)
    here = {record.dataset for record in records if record.method in {figure.method for figure in PUBLISHED}}
    rows = [_paper_row(figure, here) for figure in PUBLISHED] + [_our_row(line) for line in summary(records).to_dict("records")]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _paper_row(figure: PublishedFigure, measured: set[str]) -> dict:
    source = f"paper's own, on {figure.dataset}"
    if figure.command and figure.folder not in measured:
        source += f" (not run here: needs {figure.dataset}; `{figure.command}`)"
    return {
        "method": figure.name,
        "data": figure.dataset,
        "case": "",
        "auroc_paper": figure.auroc,
        "auroc_ours": np.nan,
        "sd_ours": np.nan,
        "n_seeds": 0,
        "synthetic": False,
        "profile": "",
        "source": f"{source} [{figure.mark}: {figure.source}]",
        "remark": figure.remark,
    }


def _our_row(line: dict) -> dict:
    data = line["dataset"] + (" (synthetic)" if line["synthetic"] else "")
    return {
        "method": line["display_name"],
        "data": data,
        "case": line["case"],
        "auroc_paper": np.nan,
        "auroc_ours": line["auroc_mean"],
        "sd_ours": line["auroc_sd"],
        "n_seeds": line["n_seeds"],
        "synthetic": line["synthetic"],
        "profile": line["profile"],
        "source": f"measured with novkit, on {data}",
        "remark": line["note"],
    }
