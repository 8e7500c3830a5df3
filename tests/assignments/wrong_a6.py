"""Wrong but plausible answers to assignment 6: part -> (what is wrong with it, source of the whole solution cell)."""

# A right answer, in which one place is spoilt at a time.
DETECTOR = '''
def build_detector(X_normal, X_normal_val, seed):
    """Train a detector. X_normal, X_normal_val: healthy images uint8 (n, 1, 64, 64). Returns an object with novelty_score(X) -> (n,)."""
    return SurroundingsDetector(seed=seed, progress=False).fit(X_normal, X_normal_val)


RING = [(i, j) for i in range(-4, 5) for j in range(-4, 5) if max(abs(i), abs(j)) >= 3]  # beyond the 3 × 3 that is predicted, and a gap


@dataclass(frozen=True, kw_only=True)
class SurroundingsSettings(Presets):
    """Fixed beforehand, on made-up conditions."""

    ridge: float = 3.0
    floor: float = 0.5  # σ₀ as a share of the median σ
    tau: float = 0.01


class SurroundingsDetector(Detector):
    """Predicts the mean of 3 × 3 pixels of the halved image from a ring around them and from the mirrored place, by ridge regression.

    Masked restoration with a linear network: every place is restored from its surroundings, never from itself. One look at each image.
    """

    method = "surroundings"
    Settings = SurroundingsSettings

    def _fit(self, train, val):
        seen, wanted = self._surroundings(train), self._target(train)
        rows, columns, k = seen.shape[1:]
        self.weight_ = np.empty((rows, columns, k))
        for row in range(rows):  # one regression for each place, a row of them at a time
            x, t = seen[:, row].transpose(1, 0, 2), wanted[:, row].T[..., None]
            self.weight_[row] = np.linalg.solve(x.transpose(0, 2, 1) @ x + self.settings_.ridge * np.eye(k), x.transpose(0, 2, 1) @ t)[
                ..., 0
            ]
        residual = self._residual(val)
        deviation = residual.std(axis=0)
        least = self.settings_.floor * np.median(deviation[deviation > 1e-6])
        self.mean_, self.deviation_ = residual.mean(axis=0), np.sqrt(deviation**2 + least**2)

    def _components(self, images):
        standardised = np.abs(self._residual(images) - self.mean_) / self.deviation_
        return {"score": image_score(standardised.reshape(len(images), -1), "ranked", tau=self.settings_.tau)}

    def _residual(self, images):
        return self._target(images) - np.einsum("nijk,ijk->nij", self._surroundings(images), self.weight_)

    @staticmethod
    def _halved(images):
        """(n, 32, 32), in units of the image's own brightness: gain is no novelty."""
        grey = images.astype(np.float64).mean(axis=1) / 255
        halved = grey.reshape(len(grey), 32, 2, 32, 2).mean(axis=(2, 4))
        return halved / np.quantile(halved.reshape(len(grey), -1), 0.75, axis=1).clip(0.05)[:, None, None]

    def _target(self, images):
        return ndimage.uniform_filter(self._halved(images), size=(0, 3, 3))

    def _surroundings(self, images):
        """(n, 32, 32, k): the ring, the mirrored place (not in the midline, where it is part of what is predicted), and 1."""
        x = self._halved(images)
        mirrored = x[:, :, ::-1].copy()
        mirrored[:, :, 15:17] = 0
        padded = np.pad(x, ((0, 0), (4, 4), (4, 4)))
        ring = [padded[:, 4 + i : 36 + i, 4 + j : 36 + j] for i, j in RING]
        return np.stack([*ring, mirrored, np.ones_like(x)], axis=-1)

    def _tensors(self):
        return {name: torch.from_numpy(getattr(self, f"{name}_")) for name in ("weight", "mean", "deviation")}, {}

    def _restore(self, tensors, extra):
        for name, value in tensors.items():
            setattr(self, f"{name}_", value.numpy())
'''


def spoilt(*changes: tuple[str, str]) -> str:
    source = DETECTOR
    for right, wrong in changes:
        if right not in source:
            raise ValueError(f"The right answer has no {right!r}.")
        source = source.replace(right, wrong)
    return source


WRONG: dict[str, list[tuple[str, str]]] = {
    "accounting": [
        (
            "counts what is trained only, without buffers and frozen layers",
            """
def parameter_count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def most_epochs(limit, n_train, readings=1):
    return limit // (n_train * readings)
""",
        ),
        (
            "counts a shared weight twice",
            """
def parameter_count(network):
    tensors = [t for m in network.modules() for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))]
    return sum(t.numel() for t in tensors)


def most_epochs(limit, n_train, readings=1):
    return limit // (n_train * readings)
""",
        ),
        (
            "off by one: an epoch too many where the limit is not a multiple",
            """
def parameter_count(network):
    return sum(t.numel() for t in (*network.parameters(), *network.buffers()))


def most_epochs(limit, n_train, readings=1):
    return -(-limit // (n_train * readings))
""",
        ),
    ],
    "detector": [
        (  # contract
            "leak: scores are standardised over the batch at hand",
            spoilt(
                (
                    "standardised = np.abs(self._residual(images) - self.mean_) / self.deviation_",
                    "standardised = np.abs(self._residual(images) - self.mean_) / self.deviation_\n"
                    "        standardised = standardised - standardised.mean(axis=0)",
                )
            ),
        ),
        (  # contract
            "learns from images drawn by the global random state",
            spoilt(
                (
                    "seen, wanted = ",
                    "train = train[np.random.permutation(len(train))[: len(train) // 2]]\n        seen, wanted = ",
                )
            ),
        ),
        (  # contract, and with it the rest
            "sign error: higher = more normal",
            spoilt(('{"score": image_score(', '{"score": -image_score(')),
        ),
        (  # budget
            "keeps the training images",
            spoilt(("seen, wanted = ", "self.memory_ = train.copy()\n        seen, wanted = ")),
        ),
        (  # baselines
            "tuned to the practice condition: looks for what is darker than the mean head",
            spoilt(
                (
                    'image_score(standardised.reshape(len(images), -1), "ranked", tau=self.settings_.tau)',
                    "np.maximum(self.head_ - self._halved(images), 0).max(axis=(1, 2)) + 0 * standardised.mean(axis=(1, 2))",
                ),
                ("seen, wanted = ", "self.head_ = self._halved(train).mean(axis=0)\n        seen, wanted = "),
            ),
        ),
        (  # baselines
            "another number of the picture: mean difference from the mean head",
            spoilt(
                (
                    'image_score(standardised.reshape(len(images), -1), "ranked", tau=self.settings_.tau)',
                    "np.abs(self._halved(images) - self.head_).mean(axis=(1, 2)) + 0 * standardised.mean(axis=(1, 2))",
                ),
                ("seen, wanted = ", "self.head_ = self._halved(train).mean(axis=0)\n        seen, wanted = "),
            ),
        ),
    ],
}
