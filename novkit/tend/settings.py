"""Every choice of TEND, with where it comes from: [P] paper, [C] published code, [O] ours."""

from dataclasses import dataclass, field
from typing import Any

from novkit.detector import Presets
from novkit.distortions.training import TrainingFamily
from novkit.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Faithful:
    """What the published code does and an evaluation should not: one switch each, all off by default.

    `select_on_test` and `validate_on_test` need `Tend.leak_test`; they exist to measure what each leak is worth.
    """

    select_on_test: bool = False  # [C] the stage-2 checkpoint is chosen on the test set, novelties included
    scale_on_test: bool = False  # [C] the distance is min–max scaled over the images scored together
    jpeg_on_transformed: bool = False  # [C] only transformed images pass through JPEG
    validate_on_test: bool = False  # [C] the autoencoder's validation normals are the test's normals

    @property
    def looks_at_test(self) -> bool:
        """Whether training has to be given the test set."""
        return self.select_on_test or self.validate_on_test

    @classmethod
    def all(cls) -> "Faithful":
        """All four switches on; transformations, networks and schedule stay what the settings say."""
        return cls(select_on_test=True, scale_on_test=True, jpeg_on_transformed=True, validate_on_test=True)


@dataclass(frozen=True, kw_only=True)
class TendSettings(Presets):
    """Settings of both stages and of the score.

    Raises SettingsError unless 0 ≤ warmup < epochs, 0 ≤ score_weight ≤ 1 and radius > 0, for another distance or other transformations,
    and for compiled ones other than the default.
    """

    # networks
    width: int = 16  # [C] channels of the first convolution, doubled at each of the next
    embedding: int = 512  # [C] dimension of z
    batch_norm: bool = False  # [C] none; with it, and no bias before it, [O] a short schedule gets much further
    # stage 1
    epochs_autoencoder: int = 50  # [C]
    # stage 2
    epochs: int = 50  # [C]
    warmup: int = 10  # [C] epochs of classification alone, before the centre is set
    radius: float = 150.0  # [C] margin R, compared with the squared distance
    centre_least: float = 0.1  # [C]
    margin_weight: float = 1.0  # [C] 1; 1/R [O] puts the margin on the scale of the classification
    transformations: str = "default"  # "default" [O] | "published" [C]: the eight of the published code, with their fill
    family: TrainingFamily = field(default_factory=TrainingFamily)  # [O]
    match_resampling: bool = True  # [O] x passes through a sub-pixel warp, so that blur does not tell it from T(x)
    compiled: bool = False  # [O] the default transformations by torch.compile: for long trainings on a GPU
    # optimiser, both stages
    batch_size: int = 32  # [C]
    lr: float = 1e-3  # [C] Adam
    weight_decay: float = 1e-6  # [C]
    gradient_clip: float | None = None  # [O]
    precision: str = "auto"  # [O] bf16 on GPUs that have it
    least_steps: int = 1  # [O] of an epoch: small sets are gone through several times
    # score
    score_weight: float = 0.1  # [C] λ: (1 − λ) probability + λ distance
    distance: str = "centre"  # "centre" [C] | "margin" [P, literally]: max(0, ‖z − c‖² − R)
    faithful: Faithful = field(default_factory=Faithful)

    def __post_init__(self) -> None:
        if isinstance(self.family, dict):  # read back from JSON
            object.__setattr__(self, "family", TrainingFamily(**_tuples(self.family)))
        if isinstance(self.faithful, dict):
            object.__setattr__(self, "faithful", Faithful(**self.faithful))
        if not 0 <= self.warmup < self.epochs:
            raise SettingsError(f"warmup is {self.warmup} of {self.epochs} epochs: choose 0 ≤ warmup < epochs.")
        if not 0 <= self.score_weight <= 1:
            raise SettingsError(f"score_weight is {self.score_weight}: choose λ between 0 and 1.")
        if self.radius <= 0:
            raise SettingsError(f"radius is {self.radius}: the margin R must be positive.")
        if self.distance not in ("centre", "margin"):
            raise SettingsError(f"distance is {self.distance!r}: choose 'centre' or 'margin'.")
        if self.transformations not in ("default", "published"):
            raise SettingsError(f"transformations is {self.transformations!r}: choose 'default' or 'published'.")
        if self.compiled and self.transformations != "default":
            raise SettingsError("compiled is for the default transformations: choose compiled=False with the published ones.")

    @classmethod
    def quick(cls, **changes: Any) -> "TendSettings":
        """Minutes on two CPU cores, at 64×64 [O]; tuned on development seeds of `brain`, see results/NOTES.md."""
        short = {"width": 8, "embedding": 128, "batch_norm": True, "epochs_autoencoder": 5, "epochs": 16, "warmup": 3}
        return cls(**{**short, "margin_weight": 1 / 150, "least_steps": 20, **changes})


def _tuples(values: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
