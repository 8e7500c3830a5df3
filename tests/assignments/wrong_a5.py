"""Wrong but plausible answers to assignment 5: part -> (what is wrong with it, source of the whole solution cell)."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "weights": [
        (
            "sign error: the most normal patch weighs most",
            """
def rank_weights(scores, tau):
    rank = scores.detach().argsort(dim=1).argsort(dim=1)
    weight = torch.exp(-rank.to(scores.dtype) / (tau * scores.shape[1]))
    return weight / weight.mean(dim=1, keepdim=True)
""",
        ),
        (
            "takes the order for the ranks: sorts once instead of twice",
            """
def rank_weights(scores, tau):
    rank = scores.detach().argsort(dim=1, descending=True)
    weight = torch.exp(-rank.to(scores.dtype) / (tau * scores.shape[1]))
    return weight / weight.mean(dim=1, keepdim=True)
""",
        ),
        (
            "weights by value, with a gradient through them",
            """
def rank_weights(scores, tau):
    return scores.shape[1] * torch.softmax(scores / tau, dim=1)
""",
        ),
    ],
    "share": [
        (
            "sums the series to infinity instead of P",
            """
def weight_share(k, tau, count):
    return -np.expm1(-k / (tau * count))
""",
        ),
        (
            "off by one: leaves the first patch out",
            """
def weight_share(k, tau, count):
    return np.expm1(-(k - 1) / (tau * count)) / np.expm1(-1 / tau)
""",
        ),
        (
            "loses all digits for a huge τ",
            """
def weight_share(k, tau, count):
    q = np.exp(-1 / (tau * count))
    return (1 - q**k) / np.float64(1 - q**count)
""",
        ),
    ],
    "score": [
        (
            "sign error: top-k takes the lowest",
            """
def image_score(scores, how, tau=0.1, k=3):
    scores = np.asarray(scores, dtype=float)
    if how in ("mean", "max"):
        return getattr(scores, how)(axis=1)
    if how == "top_k":
        return np.sort(scores, axis=1)[:, :k].mean(axis=1)
    if how != "ranked":
        raise ValueError(how)
    weight = np.exp(-np.arange(scores.shape[1]) / (tau * scores.shape[1]))
    return np.sort(scores, axis=1)[:, ::-1] @ weight / weight.sum()
""",
        ),
        (
            "the ranked score is a sum, not a mean",
            """
def image_score(scores, how, tau=0.1, k=3):
    scores = np.asarray(scores, dtype=float)
    if how in ("mean", "max"):
        return getattr(scores, how)(axis=1)
    if how == "top_k":
        return np.sort(scores, axis=1)[:, -k:].mean(axis=1)
    if how != "ranked":
        raise ValueError(how)
    weight = np.exp(-np.arange(scores.shape[1]) / (tau * scores.shape[1]))
    return np.sort(scores, axis=1)[:, ::-1] @ (weight / weight.mean())
""",
        ),
        (
            "off by one: top-k takes k − 1, and the ranks begin after the highest",
            """
def image_score(scores, how, tau=0.1, k=3):
    ordered = np.sort(np.asarray(scores, dtype=float), axis=1)[:, ::-1]
    if how == "mean":
        return ordered.mean(axis=1)
    if how == "max":
        return ordered[:, 0]
    if how == "top_k":
        return ordered[:, 1:k].mean(axis=1)
    if how != "ranked":
        raise ValueError(how)
    weight = np.exp(-np.arange(ordered.shape[1] - 1) / (tau * ordered.shape[1]))
    return ordered[:, 1:] @ weight / weight.sum()
""",
        ),
    ],
    "scale": [
        (
            "leak: standardises with the mean and deviation of the images at hand",
            """
def fit_scale(held_out, floor):
    deviation = held_out.std(axis=0)
    return held_out.mean(axis=0), np.sqrt(deviation**2 + (floor * np.median(deviation[deviation > 0])) ** 2)

def standardised(scores, mean, deviation):
    return (scores - scores.mean(axis=0)) / (scores.std(axis=0) + 1e-9)
""",
        ),
        (
            "one scale for all places",
            """
def fit_scale(held_out, floor):
    places = held_out.shape[1]
    return np.full(places, held_out.mean()), np.full(places, held_out.std())

def standardised(scores, mean, deviation):
    return (scores - mean) / deviation
""",
        ),
        (
            "adds σ₀ instead of combining squares, with a median over places that never vary, too",
            """
def fit_scale(held_out, floor):
    deviation = held_out.std(axis=0)
    return held_out.mean(axis=0), deviation + floor * np.median(deviation)

def standardised(scores, mean, deviation):
    return (scores - mean) / deviation
""",
        ),
    ],
    "bootstrap": [
        (
            "not paired: each score gets its own resample",
            """
def paired_bootstrap(y, score_a, score_b, groups, n_resamples, generator):
    y, a, b, groups = (np.asarray(values) for values in (y, score_a, score_b, groups))
    strata = [np.unique(groups[y == label]) for label in (0, 1)]
    def rows():
        return np.concatenate([np.flatnonzero(groups == g) for s in strata for g in generator.choice(s, len(s))])
    found = []
    for _ in range(n_resamples):
        first, second = rows(), rows()
        found.append(auroc(y[first], a[first]) - auroc(y[second], b[second]))
    low, high = np.quantile(found, [0.025, 0.975])
    return auroc(y, a) - auroc(y, b), float(low), float(high)
""",
        ),
        (
            "draws images instead of patients",
            """
def paired_bootstrap(y, score_a, score_b, groups, n_resamples, generator):
    y, a, b = (np.asarray(values) for values in (y, score_a, score_b))
    strata, found = [np.flatnonzero(y == label) for label in (0, 1)], []
    for _ in range(n_resamples):
        rows = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        found.append(auroc(y[rows], a[rows]) - auroc(y[rows], b[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return auroc(y, a) - auroc(y, b), float(low), float(high)
""",
        ),
        (
            "sign error: b − a",
            """
def paired_bootstrap(y, score_a, score_b, groups, n_resamples, generator):
    y, a, b, groups = (np.asarray(values) for values in (y, score_a, score_b, groups))
    strata, found = [np.unique(groups[y == label]) for label in (0, 1)], []
    for _ in range(n_resamples):
        rows = np.concatenate([np.flatnonzero(groups == g) for s in strata for g in generator.choice(s, len(s))])
        found.append(auroc(y[rows], b[rows]) - auroc(y[rows], a[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return auroc(y, b) - auroc(y, a), float(low), float(high)
""",
        ),
    ],
    "choose": [
        (
            "leak: chooses on the test subjects",
            """
def choose_and_report(development, y_development, test, y_test):
    best = max(test, key=lambda name: auroc(y_test, test[name]))
    return best, auroc(y_development, development[best]), auroc(y_test, test[best])
""",
        ),
        (
            "reports the development AUROC twice",
            """
def choose_and_report(development, y_development, test, y_test):
    best = max(development, key=lambda name: auroc(y_development, development[name]))
    return best, auroc(y_development, development[best]), auroc(y_development, development[best])
""",
        ),
        (
            "sign error: takes the worst",
            """
def choose_and_report(development, y_development, test, y_test):
    best = min(development, key=lambda name: auroc(y_development, development[name]))
    return best, auroc(y_development, development[best]), auroc(y_test, test[best])
""",
        ),
    ],
    "ablation": [
        (
            "sign error: reference − variant",
            """
def ablation_table(variants, y, groups, reference, compare):
    rows = {}
    for name, score in variants.items():
        difference, low, high = (0.0, 0.0, 0.0) if name == reference else compare(y, variants[reference], score, groups)
        verdict = "reference" if name == reference else "better" if low > 0 else "worse" if high < 0 else "undecided"
        rows[name] = (auroc(y, score), difference, low, high, verdict)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["auroc", "difference", "low", "high", "verdict"])
""",
        ),
        (
            "judges by the difference and not by its interval",
            """
def ablation_table(variants, y, groups, reference, compare):
    rows = {}
    for name, score in variants.items():
        difference, low, high = (0.0, 0.0, 0.0) if name == reference else compare(y, score, variants[reference], groups)
        verdict = "reference" if name == reference else "better" if difference > 0 else "worse"
        rows[name] = (auroc(y, score), difference, low, high, verdict)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["auroc", "difference", "low", "high", "verdict"])
""",
        ),
        (
            "compares with the best of the test table instead of the reference",
            """
def ablation_table(variants, y, groups, reference, compare):
    rows, best = {}, max(variants, key=lambda name: auroc(y, variants[name]))
    for name, score in variants.items():
        difference, low, high = (0.0, 0.0, 0.0) if name == best else compare(y, score, variants[best], groups)
        verdict = "reference" if name == best else "better" if low > 0 else "worse" if high < 0 else "undecided"
        rows[name] = (auroc(y, score), difference, low, high, verdict)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["auroc", "difference", "low", "high", "verdict"])
""",
        ),
    ],
}
