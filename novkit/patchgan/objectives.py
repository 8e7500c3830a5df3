"""Training Patch-GAN: the discriminator's step, then the reconstructor's, on one restoration."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from novkit.devices import adam
from novkit.errors import TrainingError
from novkit.images import batches, send
from novkit.patchgan.losses import composite, global_hinge, mean_over, patch_hinge, patch_loss, visible_error
from novkit.patchgan.masking import PatchGrid, hidden_patches
from novkit.patchgan.networks import Discriminator, Reconstructor
from novkit.patchgan.ranking import rank_weights
from novkit.patchgan.settings import PatchGanSettings
from novkit.seeding import torch_generator
from novkit.training import Objective, Step

_EVALUATION_BATCH = 128


class MaskedRestoration(Objective):
    """L_D = hinge on p∈H of x and x̃;   L_R = Σ_{p∈H} w_p (e_p − β D(x̃)_p) − β_g D_g(x̃) + error on what was visible."""

    def __init__(
        self, reconstructor: Reconstructor, discriminator: Discriminator | None, grid: PatchGrid, settings: PatchGanSettings, panel: int = 4
    ) -> None:
        parts: dict[str, nn.Module] = {"reconstructor": reconstructor}
        if discriminator is not None:
            parts["discriminator"] = discriminator
        self.modules = nn.ModuleDict(parts)
        self.discriminator = discriminator
        self.grid = grid
        self.settings = settings
        self.panel = panel
        self.panels: dict[int, np.ndarray] = {}  # epoch -> restored held-out images, uint8 (panel, channels, height, width)
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None
        self._lost = 0
        self._optimizers: dict[str, torch.optim.Optimizer] = {}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        s = self.settings
        optimizers: dict[str, torch.optim.Optimizer] = {}
        if self.discriminator is not None:
            optimizers["discriminator"] = adam(self.discriminator.parameters(), lr=s.lr_discriminator, betas=s.betas)
        optimizers["reconstructor"] = adam(self.modules["reconstructor"].parameters(), lr=s.lr, betas=s.betas)
        self._optimizers = optimizers
        return optimizers

    def begin_epoch(self, epoch: int, images: np.ndarray, step: Step) -> None:
        """Learning rates fall by half a cosine: a function of the epoch alone, so that a resumed run has the same."""
        s = self.settings
        share = s.final_lr + (1 - s.final_lr) * (1 + math.cos(math.pi * epoch / max(1, s.epochs - 1))) / 2
        for name, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = share * (s.lr_discriminator if name == "discriminator" else s.lr)

    # ---- one step --------------------------------------------------------------------------------------------------

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        if optimizer == "discriminator":
            self._kept = None  # what a step that ran out of memory left
            hidden, mask, restored = self.restore(images, step.batch_generator("mask"))
            self._kept = (hidden, mask, restored) if step.keeps else None
            return self.discriminator_loss(images, restored.detach(), mask, hidden)
        kept, self._kept = self._kept, None
        hidden, mask, restored = self.restore(images, step.batch_generator("mask")) if kept is None else kept
        return self.reconstructor_loss(images, restored, mask, hidden, self._visible_share(hidden, step))

    def _visible_share(self, hidden: Tensor, step: Step) -> Tensor | float:
        """How much more is visible here than in the whole batch, an image: the error on what is visible is a mean over its pixels."""
        if step.whole in (0, len(hidden)) or not self.settings.masked:
            return 1.0
        s, alone = self.settings, replace(step, whole=0)
        everywhere = hidden_patches(step.whole, self.grid, s.boxes, s.masks, alone.batch_generator("mask"))
        return (~hidden).float().mean() / float((~everywhere).float().mean())

    def restore(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Hide patches and restore them: hidden (n, P) bool, mask (n, 1, height, width) float, x̂."""
        s = self.settings
        hidden = send(hidden_patches(len(images), self.grid, s.boxes, s.masks, generator), images.device)
        mask = self.grid.spread(hidden.float())
        if not s.masked:  # everything is seen, and everything is judged
            hidden, mask = torch.ones_like(hidden), torch.zeros_like(mask)
        return hidden, mask, self.modules["reconstructor"](images, mask).float()

    def _shown(self, images: Tensor, restored: Tensor, mask: Tensor) -> Tensor:
        """x̃, or x̂ itself where nothing was hidden."""
        return composite(images, restored, mask) if self.settings.masked else restored

    def discriminator_loss(self, images: Tensor, restored: Tensor, mask: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """L_D and its terms. images, restored: (n, channels, height, width). mask, hidden: what `restore` gives."""
        assert self.discriminator is not None
        n = len(images)
        logit, whole = self.discriminator(torch.cat([images, self._shown(images, restored, mask)]))
        logit = logit.float()
        patches = patch_hinge(logit[:n], logit[n:], hidden)
        if whole is None:
            return {"loss": patches, "patches": patches}
        whole = whole.float()
        image = global_hinge(whole[:n], whole[n:])
        return {"loss": patches + image, "patches": patches, "image": image}

    def reconstructor_loss(
        self, images: Tensor, restored: Tensor, mask: Tensor, hidden: Tensor, visible_share: Tensor | float = 1.0
    ) -> dict[str, Tensor]:
        """L_R, the mean error and, with a discriminator, the mean authenticity of what was hidden; shapes as in `discriminator_loss`.

        visible_share: what the error on what is visible counts, where the images are a part of a batch.
        """
        s = self.settings
        error = self.grid.mean((images - restored).abs())
        logit: Tensor | None = None
        whole: Tensor | None = None
        if self.discriminator is not None:
            logit, whole = self.discriminator(self._shown(images, restored, mask))
            logit = logit.float()
        weight = self.weights(error, logit, hidden)
        total = patch_loss(error, logit, weight, hidden, s.adversarial_weight)
        if s.masked:
            total = total + s.visible_weight * visible_share * visible_error(images, restored, mask)
        values = {"error": mean_over(error, hidden)}
        if logit is not None:
            values["authenticity"] = mean_over(logit, hidden)
        if whole is not None:
            total = total - s.global_weight * whole.float().mean()
        return {"loss": total, **values}

    def weights(self, error: Tensor, logit: Tensor | None, hidden: Tensor) -> Tensor:
        """w_p of the hidden patches, ranked by what the loss would charge them: (n, P), mean 1 over them."""
        s = self.settings
        if not s.rank_loss:
            return hidden.to(error.dtype)
        abnormal = error if logit is None or s.rank_by == "error" else error - s.adversarial_weight * logit
        return rank_weights(abnormal, s.tau_loss, hidden)

    # ---- held-out images -------------------------------------------------------------------------------------------

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        """Lowest error on hidden patches chooses the epoch [O]; the masks are the same in every epoch."""
        totals: dict[str, float] = {}
        for number, x in enumerate(batches(images, _EVALUATION_BATCH, step.device)):
            hidden, mask, restored = self.restore(x, torch_generator(step.seed, "validation mask", number))
            values = {"loss": mean_over(self.grid.mean((x - restored).abs()), hidden)}
            if self.discriminator is not None:
                values |= {f"discriminator_{k}": v for k, v in self.discriminator_loss(x, restored, mask, hidden).items()}
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(x)
            if number == 0:
                shown = self._shown(x, restored, mask)[: self.panel]
                self.panels[step.epoch] = (shown * 255).round().to(torch.uint8).cpu().numpy()
        means = {name: total / len(images) for name, total in totals.items()}
        self._watch(means.get("discriminator_loss"), step.epoch)
        return means

    def _watch(self, held_out: float | None, epoch: int) -> None:
        """Give up when the discriminator has won: no loss is left to it, and its gradient teaches the reconstructor nothing."""
        s = self.settings
        if held_out is None:
            return
        self._lost = self._lost + 1 if held_out < s.lost_below else 0
        if self._lost >= s.lost_epochs:
            raise TrainingError(
                f"The discriminator has won every patch for {self._lost} epochs (held-out hinge loss {held_out:.2g} in epoch {epoch}): "
                "lower lr_discriminator or discriminator_width, or raise adversarial_weight."
            )
