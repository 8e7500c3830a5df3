"""Plausible wrong answers to assignment 1, three a part: (what is wrong, the whole solution cell)."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "split": [
        (
            "leak: images are dealt out, not subjects",
            """
def split_by_subject(group, is_novel, generator):
    rows = generator.permutation(np.flatnonzero(~is_novel))
    n = len(rows)
    pieces = np.split(rows, [n * 6 // 10, n * 7 // 10, n * 8 // 10])
    parts = {name: np.sort(rows) for name, rows in zip(("train", "calibration", "threshold", "test"), pieces)}
    parts["test"] = np.sort(np.concatenate([parts["test"], np.flatnonzero(is_novel)]))
    return parts
""",
        ),
        (
            "leak: novel images of trained subjects are tested",
            """
def split_by_subject(group, is_novel, generator):
    subjects = generator.permutation(np.unique(group[~is_novel]))
    n = len(subjects)
    pieces = np.split(subjects, [n * 6 // 10, n * 7 // 10, n * 8 // 10])
    names = ("train", "calibration", "threshold", "test")
    parts = {name: np.flatnonzero(np.isin(group, piece) & ~is_novel) for name, piece in zip(names, pieces)}
    parts["test"] = np.sort(np.concatenate([parts["test"], np.flatnonzero(is_novel)]))
    return parts
""",
        ),
        (
            "off by one: the subject at each cut stands on both sides of it",
            """
def split_by_subject(group, is_novel, generator):
    subjects = generator.permutation(np.unique(group[~is_novel]))
    n = len(subjects)
    a, b, c = n * 6 // 10, n * 7 // 10, n * 8 // 10
    pieces = {"train": subjects[: a + 1], "calibration": subjects[a : b + 1], "threshold": subjects[b : c + 1]}
    parts = {name: np.flatnonzero(np.isin(group, piece) & ~is_novel) for name, piece in pieces.items()}
    parts["test"] = np.flatnonzero(np.isin(group, subjects[c:]) | ~np.isin(group, subjects))
    return parts
""",
        ),
    ],
    "auroc": [
        (
            "ties count fully",
            """
def auroc_by_hand(y, score):
    return (score[y == 1][:, None] >= score[y == 0][None, :]).mean()
""",
        ),
        (
            "sign: the share of normal images above novel ones",
            """
def auroc_by_hand(y, score):
    novel, normal = score[y == 1][:, None], score[y == 0][None, :]
    return (novel < normal).mean() + 0.5 * (novel == normal).mean()
""",
        ),
        (
            "off by one: ranks from 0 in the formula for ranks from 1",
            """
def auroc_by_hand(y, score):
    rank = np.argsort(np.argsort(score))
    n1, n0 = (y == 1).sum(), (y == 0).sum()
    return (rank[y == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
""",
        ),
    ],
    "average_precision": [
        (
            "trapezoids between the thresholds",
            """
def average_precision_by_hand(y, score):
    thresholds = np.unique(score)[::-1]
    recall = np.array([(score[y == 1] >= t).mean() for t in thresholds])
    precision = np.array([y[score >= t].mean() for t in thresholds])
    return np.trapezoid(np.r_[1, precision], np.r_[0, recall])
""",
        ),
        (
            "the mean precision over all images, not over the recall gained",
            """
def average_precision_by_hand(y, score):
    found = np.cumsum(y[np.argsort(-score)])
    return (found / np.arange(1, len(y) + 1)).mean()
""",
        ),
        (
            "tied images are called one by one",
            """
def average_precision_by_hand(y, score):
    ordered = y[np.argsort(-score, kind="stable")]
    precision = np.cumsum(ordered) / np.arange(1, len(y) + 1)
    return precision[ordered == 1].mean()
""",
        ),
    ],
    "fpr95": [
        (
            "off by one: an interpolated quantile finds too few",
            """
def fpr_by_hand(y, score, tpr=0.95):
    return (score[y == 0] >= np.quantile(score[y == 1], 1 - tpr)).mean()
""",
        ),
        (
            "normal images that score exactly the threshold are not called",
            """
def fpr_by_hand(y, score, tpr=0.95):
    novel = np.sort(score[y == 1])[::-1]
    threshold = novel[int(np.ceil(tpr * len(novel) - 1e-9)) - 1]
    return (score[y == 0] > threshold).mean()
""",
        ),
        (
            "the two classes in each other's place: what is missed at 5 % false positives",
            """
def fpr_by_hand(y, score, tpr=0.95):
    threshold = np.quantile(score[y == 0], tpr, method="higher")
    return (score[y == 1] < threshold).mean()
""",
        ),
    ],
    "threshold": [
        (
            "leak: the quantile of the test's normal images",
            """
def decide(validation_score, test_score, y_test, alpha=0.05):
    threshold = np.quantile(test_score[y_test == 0], 1 - alpha, method="inverted_cdf")
    called = test_score > threshold
    return threshold, called[y_test == 0].mean(), called[y_test == 1].mean()
""",
        ),
        (
            "off by one: one image too many above the threshold",
            """
def decide(validation_score, test_score, y_test, alpha=0.05):
    ordered = np.sort(validation_score)
    threshold = ordered[len(ordered) - int(alpha * len(ordered) + 1e-9) - 2]
    called = test_score > threshold
    return threshold, called[y_test == 0].mean(), called[y_test == 1].mean()
""",
        ),
        (
            "sign: the lower tail, as for a score that is high for the normal",
            """
def decide(validation_score, test_score, y_test, alpha=0.05):
    threshold = np.quantile(validation_score, alpha, method="inverted_cdf")
    called = test_score < threshold
    return threshold, called[y_test == 0].mean(), called[y_test == 1].mean()
""",
        ),
    ],
    "bootstrap": [
        (
            "leak: draws images, as if each were a subject",
            """
def resampled_aurocs(y, score, group, n_resamples, generator):
    novel, normal = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    values = []
    for _ in range(n_resamples):
        rows = np.concatenate([generator.choice(novel, len(novel)), generator.choice(normal, len(normal))])
        values.append(auroc(y[rows], score[rows]))
    return np.array(values)


def percentile_interval(values, level=0.95):
    return tuple(np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
""",
        ),
        (
            "a subject drawn twice counts once",
            """
def resampled_aurocs(y, score, group, n_resamples, generator):
    normal, novel = np.unique(group[y == 0]), np.unique(group[y == 1])
    values = []
    for _ in range(n_resamples):
        drawn = np.concatenate([generator.choice(normal, len(normal)), generator.choice(novel, len(novel))])
        rows = np.isin(group, drawn)
        values.append(auroc(y[rows], score[rows]))
    return np.array(values)


def percentile_interval(values, level=0.95):
    return tuple(np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
""",
        ),
        (
            "5 % cut off on either side: a 90 % interval",
            """
def resampled_aurocs(y, score, group, n_resamples, generator):
    normal, novel = np.unique(group[y == 0]), np.unique(group[y == 1])
    members = {name: np.flatnonzero(group == name) for name in np.unique(group)}
    values = []
    for _ in range(n_resamples):
        drawn = np.concatenate([generator.choice(normal, len(normal)), generator.choice(novel, len(novel))])
        rows = np.concatenate([members[name] for name in drawn])
        values.append(auroc(y[rows], score[rows]))
    return np.array(values)


def percentile_interval(values, level=0.95):
    return tuple(np.quantile(values, [1 - level, level]))
""",
        ),
    ],
}
