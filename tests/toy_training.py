"""Small objectives for the tests of the training loop, and what compares two runs."""

import time

import numpy as np
import torch
from torch import nn

from novkit.images import to_tensor
from novkit.seeding import seeded
from novkit.training import LoopSettings, Objective, train

IMAGES = np.random.default_rng(0).integers(0, 256, (21, 1, 8, 8), dtype=np.uint8)
HELD_OUT = np.random.default_rng(1).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
CPU = torch.device("cpu")


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(4, 1, 3, padding=1))


class Denoising(Objective):
    """A small net with batch normalisation, dropout and noise of its own: everything a resumed run could lose."""

    def __init__(self, build=network, *, lr=1e-2, slow=0.0):
        self.modules = nn.ModuleDict({"net": seeded(0, "net", build)})
        self.lr = lr
        self.slow = slow

    def optimizers(self):
        return {"adam": torch.optim.Adam(self.modules.parameters(), lr=self.lr)}

    def loss(self, optimizer, images, step):
        time.sleep(self.slow)
        noise = torch.randn(images.shape, generator=step.generator("noise")).to(images.device)
        return {"loss": (self.modules["net"](images + 0.1 * noise) - images).square().mean()}

    def validate(self, images, step):
        x = to_tensor(images, step.device)
        return {"loss": float((self.modules["net"](x) - x).square().mean())}


class Scripted(Objective):
    """Validation losses as given; remembers its weight at each epoch."""

    def __init__(self, losses, phases=None, train_loss=1.0):
        self.modules = nn.ModuleDict({"net": seeded(0, "net", lambda: nn.Linear(1, 1))})
        self.losses, self.phases, self.train_loss = losses, phases or ["training"] * len(losses), train_loss
        self.seen = []
        self.modes = []

    def optimizers(self):
        return {"sgd": torch.optim.SGD(self.modules.parameters(), lr=0.1)}

    def phase(self, epoch):
        return self.phases[epoch]

    def begin_epoch(self, epoch, images, step):
        self.modes.append(("begin", self.modules.training, torch.is_grad_enabled()))

    def loss(self, optimizer, images, step):
        self.modes.append(("loss", self.modules.training, torch.is_grad_enabled()))
        return {"loss": self.modules["net"].weight.sum() * self.train_loss}

    def validate(self, images, step):
        self.modes.append(("validate", self.modules.training, torch.is_grad_enabled()))
        self.seen.append(self.modules["net"].weight.item())
        return {"loss": self.losses[step.epoch]}


def run(objective, epochs=3, *, batch_size=4, seed=0, folder=None, images=IMAGES, **settings):
    settings = LoopSettings(epochs=epochs, batch_size=batch_size, **settings)
    return train(objective, images, HELD_OUT, settings, seed=seed, device="cpu", folder=folder, progress=False)


def weights(objective):
    return {key: value.numpy() for key, value in objective.modules.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def without_seconds(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history.epochs]


class Regression(Objective):
    """Mean brightness from pixels, by least squares."""

    def __init__(self):
        self.modules = nn.ModuleDict({"net": seeded(3, "line", lambda: nn.Linear(64, 1))})

    def optimizers(self):
        return {"sgd": torch.optim.SGD(self.modules.parameters(), lr=0.01, momentum=0.9)}

    def loss(self, optimizer, images, step):
        return {"loss": (self.modules["net"](images.flatten(1))[:, 0] - images.mean(dim=(1, 2, 3))).square().mean()}

    def validate(self, images, step):
        return {"loss": float(self.loss("sgd", to_tensor(images, step.device), step)["loss"])}


class Adversarial(Objective):
    def __init__(self):
        self.modules = nn.ModuleDict({"d": nn.Linear(64, 1), "r": nn.Linear(64, 64)})
        self.calls = []
        self.gradients = []  # the discriminator's

    def optimizers(self):
        return {"discriminator": torch.optim.SGD(self.modules["d"].parameters(), lr=0.1),
                "reconstructor": torch.optim.SGD(self.modules["r"].parameters(), lr=0.1)}  # fmt: skip

    def loss(self, optimizer, images, step):
        d, r, x = self.modules["d"], self.modules["r"], images.flatten(1)
        self.calls.append((optimizer, d.weight.detach().clone(), r.weight.detach().clone()))
        self.gradients.append(None if d.weight.grad is None else d.weight.grad.clone())
        if optimizer == "discriminator":
            return {"loss": (d(r(x).detach()) - d(x)).mean(), "real": d(x).mean()}
        return {"loss": -d(r(x)).mean()}

    def validate(self, images, step):
        return {"loss": 1.0}
