"""Plausible wrong answers to assignment 2, three a part: (what is wrong, the whole solution cell)."""

_LINE = """
def fit_line(score, statistic):
    b, a = np.polyfit(np.log(statistic), np.log(score), 1)
    return a, b, np.std(np.log(score) - a - b * np.log(statistic))
"""

WRONG: dict[str, list[tuple[str, str]]] = {
    "error": [
        (
            "grey levels 0 to 255 against 0 to 1",
            """
def reconstruction_error(images, drawn, region=None):
    squared = ((images.astype(float) - drawn) ** 2).mean(axis=1)
    if region is None:
        return squared.mean(axis=(1, 2))
    return (squared * region).sum(axis=(1, 2)) / region.sum(axis=(1, 2))
""",
        ),
        (
            "a region's sum is divided by all pixels",
            """
def reconstruction_error(images, drawn, region=None):
    squared = ((images / 255 - drawn) ** 2).mean(axis=1)
    if region is not None:
        squared = squared * region
    return squared.mean(axis=(1, 2))
""",
        ),
        (
            "the absolute error",
            """
def reconstruction_error(images, drawn, region=None):
    difference = np.abs(images / 255 - drawn).mean(axis=1)
    if region is None:
        return difference.mean(axis=(1, 2))
    return (difference * region).sum(axis=(1, 2)) / region.sum(axis=(1, 2))
""",
        ),
    ],
    "bias": [
        (
            "equal values get different ranks",
            """
def rank_correlation(a, b):
    return np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]


def strongest_bias(score, statistics, is_normal):
    found = {name: rank_correlation(score[is_normal], statistics[name].to_numpy()[is_normal]) for name in statistics.columns}
    name = max(found, key=lambda column: abs(found[column]))
    return name, found[name]
""",
        ),
        (
            "leak: novel images have a say",
            """
def rank_correlation(a, b):
    return np.corrcoef(rankdata(a), rankdata(b))[0, 1]


def strongest_bias(score, statistics, is_normal):
    found = {name: rank_correlation(score, statistics[name].to_numpy()) for name in statistics.columns}
    name = max(found, key=lambda column: abs(found[column]))
    return name, found[name]
""",
        ),
        (
            "sign: the largest correlation, not the largest in size",
            """
def rank_correlation(a, b):
    return np.corrcoef(rankdata(a), rankdata(b))[0, 1]


def strongest_bias(score, statistics, is_normal):
    found = {name: rank_correlation(score[is_normal], statistics[name].to_numpy()[is_normal]) for name in statistics.columns}
    name = max(found, key=found.get)
    return name, found[name]
""",
        ),
    ],
    "calibration": [
        (
            "leak: standardised over the images scored together",
            _LINE
            + """

def calibrated_score(score, statistic, line):
    a, b, _ = line
    above = np.log(score) - a - b * np.log(statistic)
    return (above - above.mean()) / above.std()
""",
        ),
        (
            "sign: the line is added",
            _LINE
            + """

def calibrated_score(score, statistic, line):
    a, b, sigma = line
    return (np.log(score) + a + b * np.log(statistic)) / sigma
""",
        ),
        (
            "σ of the scores, not of what remains",
            """
def fit_line(score, statistic):
    b, a = np.polyfit(np.log(statistic), np.log(score), 1)
    return a, b, np.log(score).std()


def calibrated_score(score, statistic, line):
    a, b, sigma = line
    return (np.log(score) - a - b * np.log(statistic)) / sigma
""",
        ),
    ],
    "latent": [
        (
            "leak: centred on the mean of the images scored",
            """
def latent_errors(train, images, widths):
    directions = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)[2]
    centred = images - images.mean(axis=0)
    return np.stack([((centred - centred @ directions[:k].T @ directions[:k]) ** 2).sum(axis=1) for k in widths])
""",
        ),
        (
            "off by one: one component too few",
            """
def latent_errors(train, images, widths):
    mean = train.mean(axis=0)
    directions = np.linalg.svd(train - mean, full_matrices=False)[2]
    centred = images - mean
    kept = [directions[: max(k - 1, 0)] for k in widths]
    return np.stack([((centred - centred @ v.T @ v) ** 2).sum(axis=1) for v in kept])
""",
        ),
        (
            "the mean is never taken off",
            """
def latent_errors(train, images, widths):
    directions = np.linalg.svd(train, full_matrices=False)[2]
    return np.stack([((images - images @ directions[:k].T @ directions[:k]) ** 2).sum(axis=1) for k in widths])
""",
        ),
    ],
    "blind_spots": [
        (
            "leak: the interval draws images, not subjects",
            """
def blind_spots(before, after, group, least=0.6):
    y = np.repeat([0, 1], len(before))
    found = {name: image_metrics(y, np.concatenate([before, score])) for name, score in after.items()}
    return sorted((name for name in found if found[name].auroc_low <= least), key=lambda name: found[name].auroc)
""",
        ),
        (
            "a score that falls counts as seen",
            """
def blind_spots(before, after, group, least=0.6):
    y = np.repeat([0, 1], len(before))
    found = {name: image_metrics(y, np.concatenate([before, score]), np.tile(group, 2)) for name, score in after.items()}
    blind = [name for name in found if found[name].auroc_low <= least <= found[name].auroc_high]
    return sorted(blind, key=lambda name: found[name].auroc)
""",
        ),
        (
            "sign: the unchanged images are called novel",
            """
def blind_spots(before, after, group, least=0.6):
    y = np.repeat([1, 0], len(before))
    found = {name: image_metrics(y, np.concatenate([before, score]), np.tile(group, 2)) for name, score in after.items()}
    return sorted((name for name in found if found[name].auroc_low <= least), key=lambda name: found[name].auroc)
""",
        ),
    ],
}
