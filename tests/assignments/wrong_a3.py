"""Plausible wrong answers to assignment 3, three a part: (what is wrong, the whole solution cell)."""

_INSIDE = """

def share_inside(z, centre, radius):
    return (((z - centre) ** 2).sum(axis=1) <= radius).mean()
"""

_SUMMARISE = """
def summarise(runs):
    table = {}
    for radius in {run["radius"] for run in runs}:
        mine = [run for run in runs if run["radius"] == radius]
        values = [auroc(run["y_test"], run["d_test"]) for run in mine]
        inside = np.mean([(run["d_val"] <= radius).mean() for run in mine])
        outside = np.mean([(run["d_transformed"] > radius).mean() for run in mine])
        table[radius] = {"auroc": np.mean(values), "sd": np.std(values, ddof=1), "inside": inside, "outside": outside}
    return table

"""

_CHOOSE = """

def choose_radius(runs):
    found = {}
    for run in runs:
        y = np.r_[np.zeros(len(run["d_val"])), np.ones(len(run["d_transformed"]))]
        found.setdefault(run["radius"], []).append(auroc(y, np.r_[run["d_val"], run["d_transformed"]]))
    return max(sorted(found), key=lambda radius: np.mean(found[radius]))
"""

WRONG: dict[str, list[tuple[str, str]]] = {
    "distance": [
        (
            "the distance, not its square",
            """
def distance_by_hand(z, centre):
    return np.linalg.norm(z - centre, axis=1)
"""
            + _INSIDE,
        ),
        (
            "the mean over the dimensions",
            """
def distance_by_hand(z, centre):
    return ((z - centre) ** 2).mean(axis=1)
"""
            + _INSIDE,
        ),
        (
            "R taken for the radius of the sphere",
            """
def distance_by_hand(z, centre):
    return ((z.astype(float) - centre) ** 2).sum(axis=1)


def share_inside(z, centre, radius):
    return (np.linalg.norm(z - centre, axis=1) <= radius).mean()
""",
        ),
    ],
    "centre": [
        (
            "sign: small negative coordinates go to +0.1",
            """
def centre_by_hand(z, least=0.1):
    centre = z.mean(axis=0)
    return np.where(np.abs(centre) < least, least, centre)
""",
        ),
        (
            "an exact zero stays at zero",
            """
def centre_by_hand(z, least=0.1):
    centre = z.mean(axis=0)
    return np.sign(centre) * np.maximum(np.abs(centre), least)
""",
        ),
        (
            "small coordinates are moved by 0.1, not to it",
            """
def centre_by_hand(z, least=0.1):
    centre = z.mean(axis=0)
    return np.where(np.abs(centre) < least, centre + np.where(centre < 0, -least, least), centre)
""",
        ),
    ],
    "margin": [
        (
            "the mean comes before max(0, …)",
            """
def margin_loss_by_hand(z_x, z_t, centre, radius):
    pull = ((z_x - centre) ** 2).sum(dim=1).mean()
    return pull + torch.relu(radius - ((z_t - centre) ** 2).sum(dim=1).mean())
""",
        ),
        (
            "R taken for the radius: compared with the distance",
            """
def margin_loss_by_hand(z_x, z_t, centre, radius):
    pull = ((z_x - centre) ** 2).sum(dim=1).mean()
    return pull + torch.relu(radius - (z_t - centre).norm(dim=1)).mean()
""",
        ),
        (
            "sign: transformed images are pushed in",
            """
def margin_loss_by_hand(z_x, z_t, centre, radius):
    pull = ((z_x - centre) ** 2).sum(dim=1).mean()
    return pull + torch.relu(((z_t - centre) ** 2).sum(dim=1) - radius).mean()
""",
        ),
    ],
    "objective": [
        (
            "off by one: warm-up lasts an epoch too long",
            """
def stage_2_loss(logit_x, logit_t, z_x, z_t, centre, radius, epoch, warmup, margin_weight):
    of_x = F.binary_cross_entropy_with_logits(logit_x, torch.zeros_like(logit_x))
    of_t = F.binary_cross_entropy_with_logits(logit_t, torch.ones_like(logit_t))
    margin = margin_weight * margin_loss(z_x, z_t, centre, radius) if epoch > warmup else 0
    return (of_x + of_t) / 2 + margin
""",
        ),
        (
            "sign: transformed images get the target 0",
            """
def stage_2_loss(logit_x, logit_t, z_x, z_t, centre, radius, epoch, warmup, margin_weight):
    of_x = F.binary_cross_entropy_with_logits(logit_x, torch.ones_like(logit_x))
    of_t = F.binary_cross_entropy_with_logits(logit_t, torch.zeros_like(logit_t))
    margin = margin_weight * margin_loss(z_x, z_t, centre, radius) if epoch >= warmup else 0
    return (of_x + of_t) / 2 + margin
""",
        ),
        (
            "the two terms are summed, not averaged",
            """
def stage_2_loss(logit_x, logit_t, z_x, z_t, centre, radius, epoch, warmup, margin_weight):
    of_x = F.binary_cross_entropy_with_logits(logit_x, torch.zeros_like(logit_x))
    of_t = F.binary_cross_entropy_with_logits(logit_t, torch.ones_like(logit_t))
    margin = margin_weight * margin_loss(z_x, z_t, centre, radius) if epoch >= warmup else 0
    return of_x + of_t + margin
""",
        ),
    ],
    "score": [
        (
            "leak: scaled over the images scored together",
            """
def fit_scale(d_normal, d_transformed):
    together = np.r_[d_normal, d_transformed]
    return together.min(), together.max()


def combined_score(probability, distance, scale, weight=0.1):
    scaled = (distance - distance.min()) / max(distance.max() - distance.min(), 1e-12)
    return (1 - weight) * probability + weight * scaled
""",
        ),
        (
            "λ and 1 − λ in each other's place",
            """
def fit_scale(d_normal, d_transformed):
    together = np.r_[d_normal, d_transformed]
    return together.min(), together.max()


def combined_score(probability, distance, scale, weight=0.1):
    return weight * probability + (1 - weight) * (distance - scale[0]) / (scale[1] - scale[0])
""",
        ),
        (
            "the scale forgets the transforms",
            """
def fit_scale(d_normal, d_transformed):
    return d_normal.min(), d_normal.max()


def combined_score(probability, distance, scale, weight=0.1):
    return (1 - weight) * probability + weight * (distance - scale[0]) / (scale[1] - scale[0])
""",
        ),
    ],
    "study": [
        (
            "leak: chosen by the test's AUROC",
            _SUMMARISE
            + """
def choose_radius(runs):
    table = summarise(runs)
    return max(sorted(table), key=lambda radius: table[radius]["auroc"])
""",
        ),
        (
            "the seeds' distances are thrown together",
            """
def summarise(runs):
    table = {}
    for radius in {run["radius"] for run in runs}:
        mine = [run for run in runs if run["radius"] == radius]
        value = auroc(np.concatenate([run["y_test"] for run in mine]), np.concatenate([run["d_test"] for run in mine]))
        sd = np.std([auroc(run["y_test"], run["d_test"]) for run in mine], ddof=1)
        inside = (np.concatenate([run["d_val"] for run in mine]) <= radius).mean()
        outside = (np.concatenate([run["d_transformed"] for run in mine]) > radius).mean()
        table[radius] = {"auroc": value, "sd": sd, "inside": inside, "outside": outside}
    return table

"""
            + _CHOOSE,
        ),
        (
            "off by one: the sd divides by n",
            _SUMMARISE.replace(", ddof=1", "") + _CHOOSE,
        ),
    ],
}
