"""Every choice of Patch-GAN. The paper's text is not available: all are ours [O], each can be ablated; what is [P] or [S] is said."""

from dataclasses import dataclass
from typing import Any, Self

from novkit.detector import Presets
from novkit.errors import SettingsError
from novkit.patchgan.ranking import AGGREGATES

STANDARDISATIONS = ("none", "global", "position")
ADVERSARIAL_SCORES = ("cover", "image", "features")

SCORE_SETTINGS = (
    "partitions",
    "smoothing",
    "relative",
    "edge_discount",
    "adversarial_score",
    "gamma",
    "standardise",
    "sigma_floor",
    "aggregate",
    "tau_score",
    "top_k",
    "map_residual",
)
"""The settings that training does not depend on: `PatchGan.rescored` changes them."""


@dataclass(frozen=True, kw_only=True)
class PatchGanSettings(Presets):
    """Settings of masks, networks, losses and score. [P] masking, patches, their authenticity and their ranking; [O] how.

    Raises SettingsError for a value that cannot work, naming the range or the choices.
    """

    # patches and masks
    patch: int | None = None  # [O] side of a patch in pixels; None: about a sixteenth of the image
    masked: bool = True  # [P] False: an autoencoder that sees everything
    mask_share: float = 0.25  # [O] r, the share that is hidden; 1/r masks hide every patch once
    boxes: tuple[int, ...] = (4, 2, 3)  # [O] sides of the hidden boxes, in patches; one size a mask
    # networks
    width: int = 32  # [O] channels of the reconstructor's first convolution
    discriminator: bool = True  # [P: authenticity of patches] [S: by discriminators] False: the restoration error alone, γ counts as 0
    discriminator_width: int = 32  # [O]
    scales: int = 2  # [O] 1 | 2: the discriminator sees the image, and half its size
    global_logit: bool = True  # [P: global image context] [O: as one more logit]
    # losses
    rank_loss: bool = True  # [S] patch losses weighted by rank
    rank_by: str = "both"  # [O] "both": e_p − β D_p | "error": e_p alone
    tau_loss: float = 0.5  # [O] τ of the loss: small = the worst patches alone
    adversarial_weight: float = 0.01  # [O] β
    global_weight: float = 0.002  # [O] β_g
    visible_weight: float = 0.1  # [O] of the error on what was visible
    # optimisers: Adam, one each
    epochs: int = 200  # [O]
    batch_size: int = 16  # [O]
    lr: float = 2e-3  # [O] reconstructor
    lr_discriminator: float = 1e-3  # [O]
    final_lr: float = 0.1  # [O] both rates fall by half a cosine to this share of themselves; 1: they stay
    betas: tuple[float, float] = (0.5, 0.99)  # [O]
    gradient_clip: float | None = None  # [O]
    precision: str = "auto"  # [O] bf16 on GPUs that have it
    # collapse
    lost_below: float = 0.01  # [O] a held-out hinge loss under this means that the discriminator always wins …
    lost_epochs: int = 5  # [O] … and after so many epochs in a row the run is given up
    # score
    partitions: int = 4  # [O] random partitions that the score is averaged over
    smoothing: float = 1.25  # [O] the signed residual is averaged over squares of so many patch sides before its size is taken; 0: not
    relative: bool = True  # [O] residuals in units of the image's own brightness: gain is no novelty
    edge_discount: float = 1.25  # [O] residuals are divided by 1 + so many times the image's change over a patch side; 0: not
    adversarial_score: str = "image"  # [O] "cover": −D of the assembled cover | "image": −D(x) | "features": feature distance in D
    gamma: float = 0.2  # [O] γ: (1 − γ) error + γ authenticity
    standardise: str = "position"  # [O] "none" | "global" | "position": for anatomy that lies alike in all images
    sigma_floor: float = 0.5  # [O] σ₀ as a share of the median σ
    aggregate: str = "ranked"  # [P: ranked] "ranked" | "mean" | "max" | "top_k"
    tau_score: float = 0.01  # [O] τ of the score
    top_k: int = 3  # [O] patches that "top_k" averages
    map_residual: float = 0.1  # [O] share of the pixel residual in the novelty map, the rest is s_p

    def __post_init__(self) -> None:
        boxes = tuple(self.boxes)
        object.__setattr__(self, "boxes", boxes)
        for name, allowed in (
            ("rank_by", ("both", "error")),
            ("adversarial_score", ADVERSARIAL_SCORES),
            ("standardise", STANDARDISATIONS),
            ("aggregate", AGGREGATES),
            ("scales", (1, 2)),
        ):
            if getattr(self, name) not in allowed:
                raise SettingsError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(map(str, allowed))}.")
        for name in ("gamma", "map_residual", "final_lr"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: choose a share between 0 and 1.")
        for name in ("tau_loss", "tau_score", "sigma_floor"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be positive.")
        for name in ("adversarial_weight", "global_weight", "visible_weight", "smoothing", "edge_discount"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} is {getattr(self, name)}: it cannot be negative.")
        for name in ("partitions", "top_k", "lost_epochs", "width", "discriminator_width"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be at least 1.")
        if self.patch is not None and self.patch < 2:
            raise SettingsError(f"patch is {self.patch}: a patch needs at least two pixels a side.")
        if not boxes or min(boxes) < 1:
            raise SettingsError(f"boxes is {boxes}: name at least one side, in patches, from 1 on.")
        if not 0 < self.mask_share <= 0.5 or abs(1 / self.mask_share - self.masks) > 0.05:
            raise SettingsError(f"mask_share is {self.mask_share}: choose one over a whole number, such as 0.5, 0.25 or 0.125.")

    @property
    def masks(self) -> int:
        """K = 1/r, the masks that hide every patch once."""
        return round(1 / self.mask_share)

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Minutes on two CPU cores, at 64×64 [O]."""
        return cls(**{"epochs": 12, "width": 16, "discriminator_width": 8, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """For a GPU [O]: the paper's own schedule is not published."""
        return cls(**{"epochs": 200, "width": 64, "discriminator_width": 64, "lr": 5e-4, "lr_discriminator": 5e-4, **changes})
