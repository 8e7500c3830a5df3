"""The training loop: against hand-written torch, and at its edges."""

import json
import math
import os
import weakref

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from novkit import images as novkit_images
from novkit.devices import own_accelerator, pick_device
from novkit.errors import DataError, SettingsError, TrainingError
from novkit.images import to_tensor
from novkit.methods import make_detector
from novkit.seeding import seeded, torch_generator
from novkit.training import LoopSettings, Step, train
from tests.conftest import blobs
from tests.toy_training import CPU, HELD_OUT, IMAGES, Adversarial, Denoising, Regression, Scripted, assert_same, run, weights

# ---- against hand-written torch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [None, 0.05])
def test_equals_a_bare_torch_loop(clip):
    objective = Regression()
    history = run(objective, epochs=4, seed=5, gradient_clip=clip)

    line = seeded(3, "line", lambda: nn.Linear(64, 1))
    optimizer = torch.optim.SGD(line.parameters(), lr=0.01, momentum=0.9)
    x = torch.from_numpy(IMAGES).float().div(255).flatten(1)
    v = torch.from_numpy(HELD_OUT).float().div(255).flatten(1)
    best = (math.inf, {})
    for epoch in range(4):
        order = torch.randperm(21, generator=torch_generator(5, "order", epoch))[:20]  # 21 = 5 batches of 4 and a single image
        losses = []
        for indices in order.split(4):
            loss = (line(x[indices])[:, 0] - x[indices].mean(dim=1)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(line.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())
        assert history.epochs[epoch]["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
        val_loss = (line(v)[:, 0] - v.mean(dim=1)).square().mean().item()
        assert history.epochs[epoch]["val_loss"] == pytest.approx(val_loss, rel=1e-5)
        if val_loss < best[0]:
            best = (val_loss, {key: value.clone() for key, value in line.state_dict().items()})
    for key, value in best[1].items():
        torch.testing.assert_close(objective.modules["net"].state_dict()[key], value, rtol=1e-6, atol=1e-7)


def test_every_image_once_an_epoch_in_another_order():
    seen = []

    class Watching(Scripted):
        def loss(self, optimizer, images, step):
            seen.append((step.epoch, step.step, (images.mean(dim=(1, 2, 3)) * 255 * 64).round().int().tolist()))
            return super().loss(optimizer, images, step)

    run(Watching([3, 2]), epochs=2, batch_size=4, images=IMAGES[:18])
    sums = sorted(int(image.sum()) for image in IMAGES[:18])
    epochs = [[value for epoch, _, values in seen if epoch == e for value in values] for e in range(2)]
    assert [len(values) for _, _, values in seen] == [4, 4, 4, 4, 2] * 2  # the last, incomplete batch is kept
    assert sorted(epochs[0]) == sorted(epochs[1]) == sums
    assert epochs[0] != epochs[1]
    assert [(epoch, step) for epoch, step, _ in seen] == [(e, s) for e in range(2) for s in range(5)]


@pytest.mark.parametrize(("n", "batch_size", "sizes"), [(9, 4, [4, 4]), (10, 4, [4, 4, 2]), (3, 8, [3]), (3, 1, [1, 1, 1])])
def test_batch_sizes(n, batch_size, sizes):
    seen = []

    class Watching(Scripted):
        def loss(self, optimizer, images, step):
            seen.append(len(images))
            return super().loss(optimizer, images, step)

    run(Watching([1]), epochs=1, batch_size=batch_size, images=IMAGES[:n])
    assert seen == sizes


def test_a_small_set_is_gone_through_until_the_least_steps_are_reached():
    seen = []

    class Watching(Scripted):
        def loss(self, optimizer, images, step):
            seen.append((images.mean(dim=(1, 2, 3)) * 255 * 64).round().int().tolist())
            return super().loss(optimizer, images, step)

    row = run(Watching([1]), epochs=1, batch_size=4, images=IMAGES[:10], least_steps=7).epochs[0]
    sums = sorted(int(image.sum()) for image in IMAGES[:10])
    passes = [sorted(value for batch in seen[start : start + 3] for value in batch) for start in (0, 3, 6)]
    assert passes == [sums] * 3  # 9 steps: three whole passes of 3
    assert (row["steps"], row["images"]) == (9, 30)
    assert seen[:3] != seen[3:6]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_arrive_as_float_in_unit_range(dtype):
    scale = {"uint8": 1, "uint16": 257, "float32": np.float32(1 / 255)}[dtype]
    images = (IMAGES * np.asarray(scale)).astype(dtype)
    got = []

    class Watching(Scripted):
        def loss(self, optimizer, images, step):
            got.append(images)
            return super().loss(optimizer, images, step)

    run(Watching([1]), epochs=1, batch_size=21, images=images)
    order = torch.randperm(21, generator=torch_generator(0, "order", 0)).numpy()
    assert got[0].dtype == torch.float32
    np.testing.assert_allclose(got[0].numpy(), IMAGES[order].astype(np.float64) / 255, atol=1e-7)
    wide = np.repeat(images, 3, axis=1)
    run(Watching([1]), epochs=1, batch_size=4, images=wide)
    assert got[-1].is_contiguous(memory_format=torch.channels_last)


# ---- optimisers, phases, modes -----------------------------------------------------------------------------------


def test_optimisers_take_turns_in_the_dictionarys_order():
    objective = Adversarial()
    history = run(objective, epochs=1, batch_size=7)
    names = [name for name, _, _ in objective.calls]
    assert names == ["discriminator", "reconstructor"] * 3
    for (_, d0, r0), (_, d1, r1) in zip(objective.calls[::2], objective.calls[1::2], strict=True):
        assert not torch.equal(d0, d1)  # the discriminator has moved before the reconstructor's turn
        assert torch.equal(r0, r1)
    (_, d1, r1), (_, d2, r2) = objective.calls[1:3]
    assert torch.equal(d1, d2)  # the reconstructor's loss leaves the discriminator as it is
    assert not torch.equal(r1, r2)
    torch.testing.assert_close(objective.gradients[1], objective.gradients[2], rtol=0, atol=0)  # and puts nothing into its gradient
    assert {"discriminator_loss", "discriminator_real", "reconstructor_loss"} <= history.epochs[0].keys()


def test_recorded_values_are_means_over_images():
    objective = Adversarial()
    objective.optimizers = lambda: {"discriminator": torch.optim.SGD(objective.modules["d"].parameters(), lr=0.0)}
    row = run(objective, epochs=1, batch_size=8, images=IMAGES[:20]).epochs[0]
    with torch.no_grad():
        assert row["real"] == pytest.approx(objective.modules["d"](to_tensor(IMAGES[:20]).flatten(1)).mean().item(), rel=1e-5)


def test_best_weights_are_the_last_phases():
    losses = [0.5, 0.1, 9.0, 3.0, 4.0]
    objective = Scripted(losses, ["warm-up"] * 2 + ["margin"] * 3)
    history = run(objective, epochs=5)
    assert history.best_epoch == 3
    assert objective.modules["net"].weight.item() == objective.seen[3]
    assert len(set(objective.seen)) == 5
    assert [row["best"] for row in history.epochs] == [True, True, True, True, False]
    assert [row["phase"] for row in history.epochs] == objective.phases
    assert [row["val_loss"] for row in history.epochs] == losses
    json.dumps(history.epochs, allow_nan=False)


def test_best_of_an_earlier_epoch_survives_a_resume(tmp_path):
    killed = Scripted([3.0, 1.0, 2.0, math.nan])
    with pytest.raises(TrainingError):
        run(killed, epochs=4, folder=tmp_path, checkpoint_seconds=0)
    again = Scripted([3.0, 1.0, 2.0, 5.0])
    history = run(again, epochs=4, folder=tmp_path, checkpoint_seconds=0)
    assert history.best_epoch == 1
    assert len(again.seen) == 1  # only the last epoch was left to do
    assert again.modules["net"].weight.item() == killed.seen[1]


def test_modes():
    objective = Scripted([1.0, 2.0])
    run(objective, epochs=2, batch_size=11)
    epoch = [("begin", False, False), ("loss", True, True), ("loss", True, True), ("validate", False, False)]
    assert objective.modes == epoch * 2
    assert not objective.modules.training


def test_gradient_clipping_bounds_the_norm():
    for clip, bounded in ((0.25, True), (None, False)):
        objective = Scripted([1.0], train_loss=100.0)
        before = objective.modules["net"].weight.item()
        run(objective, epochs=1, batch_size=21, gradient_clip=clip)
        moved = before - objective.modules["net"].weight.item()  # lr 0.1 × gradient
        assert moved == pytest.approx(0.025 if bounded else 10.0, rel=1e-4)


# ---- random state, devices, Accelerate's global state ------------------------------------------------------------


def test_same_seed_same_bits_and_the_global_state_is_left_alone():
    results = []
    for seed, global_seed in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        objective = Denoising()
        run(objective, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        results.append(weights(objective))
    assert_same(results[0], results[1])
    assert not np.array_equal(results[0]["net.0.weight"], results[2]["net.0.weight"])


def test_what_layers_draw_depends_on_nothing_drawn_before():
    class Drawing(Scripted):
        def __init__(self, extra):
            super().__init__([1.0, 2.0])
            self.extra, self.drawn = extra, []

        def draw(self):
            self.drawn.append(torch.rand(1).item())
            torch.rand(self.extra)

        def begin_epoch(self, epoch, images, step):
            self.draw()

        def loss(self, optimizer, images, step):
            self.draw()
            return super().loss(optimizer, images, step)

        def validate(self, images, step):
            self.draw()
            return super().validate(images, step)

    one, other = Drawing(0), Drawing(3)
    run(one, epochs=2, batch_size=11)
    run(other, epochs=2, batch_size=11)
    assert one.drawn == other.drawn
    assert len(one.drawn) == 8


def test_step_generators():
    def draw(*purpose, **changes):
        values = {"seed": 1, "epoch": 2, "step": 3, "device": CPU} | changes
        return Step(**values).generator(*purpose).initial_seed()

    assert draw("a") == draw("a")
    others = [draw("b"), draw("a", seed=2), draw("a", epoch=3), draw("a", step=2), draw("a", process=1), draw("a", 0)]
    assert len({draw("a"), *others}) == 7


def test_runs_of_other_precision_and_a_callers_accelerator_are_not_disturbed():
    AcceleratorState._reset_state(True)
    mine = Accelerator(cpu=True, mixed_precision="bf16")
    run(Denoising(), epochs=1)
    with own_accelerator("cpu", "no") as first:
        assert first.mixed_precision == "no"
        assert first.device == CPU
        with own_accelerator("cpu", "auto") as second:
            assert second.mixed_precision == "no"
        assert first.mixed_precision == "no"
    assert mine.mixed_precision == "bf16"
    assert "ACCELERATE_TORCH_DEVICE" not in os.environ
    AcceleratorState._reset_state(True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_cuda_agrees_with_the_cpu(resident, monkeypatch):
    if not resident:
        monkeypatch.setattr("novkit.batching._free", lambda device: 0)
    objective, reference = Regression(), Regression()
    settings = LoopSettings(epochs=3, batch_size=4, precision="no")
    state = torch.cuda.get_rng_state()
    history = train(objective, IMAGES, HELD_OUT, settings, seed=0, device="cuda", progress=False)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert history.epochs[-1]["loss"] == pytest.approx(run(reference).epochs[-1]["loss"], rel=1e-4)
    assert next(objective.modules.parameters()).is_cuda
    run(objective, epochs=1)  # and back on the CPU, as asked
    assert not next(objective.modules.parameters()).is_cuda


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_waits_only_at_the_end_of_an_epoch():
    class Strict(Denoising):
        def loss(self, optimizer, images, step):
            if step.step == 1:
                torch.cuda.set_sync_debug_mode("error")
            if step.step == 4:
                torch.cuda.set_sync_debug_mode("default")
            return {"loss": (self.modules["net"](images) - images).square().mean()}

    try:
        train(Strict(), IMAGES, HELD_OUT, LoopSettings(epochs=1, batch_size=4, gradient_clip=1.0), seed=0, device="cuda", progress=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "words"),
    [(Scripted([1.0, 1.0], train_loss=math.nan), "training loss of epoch 0 is nan"), (Scripted([1.0, math.inf]), "epoch 1 is not finite")],
)
def test_losses_that_are_not_finite_stop_the_run(objective, words):
    with pytest.raises(TrainingError, match=words):
        run(objective, epochs=2)


def test_settings_that_cannot_work():
    for wrong in ({"epochs": 0}, {"batch_size": 0}, {"gradient_clip": 0.0}, {"precision": "fp16"}):
        with pytest.raises(SettingsError):
            LoopSettings(**({"epochs": 1, "batch_size": 1} | wrong))
    with pytest.raises(SettingsError, match="bf16"):
        run(Denoising(), precision="bf16")
    with pytest.raises(SettingsError, match="tpu"):
        pick_device("tpu")
    with pytest.raises(SettingsError, match="does not have"):
        pick_device("cuda:99")
    with pytest.raises(DataError, match="1 training images"):
        run(Denoising(), images=IMAGES[:1])
    nameless = Scripted([1.0])
    nameless.loss = lambda *_: {"error": torch.zeros(())}
    with pytest.raises(SettingsError, match='no "loss"'):
        run(nameless, epochs=1)


def test_progress_goes_to_stderr_and_only_if_asked(capsys):
    settings = LoopSettings(epochs=2, batch_size=11)
    train(Scripted([1.0, 2.0]), IMAGES, HELD_OUT, settings, seed=0, device="cpu", progress=False, label="Line")
    assert capsys.readouterr() == ("", "")
    train(Scripted([1.0, 2.0]), IMAGES, HELD_OUT, settings, seed=0, device="cpu", progress=True, label="Line")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Line" in err
    assert "4/4" in err


# ---- a batch that does not fit ---------------------------------------------------------------------------------------


class Cramped(Regression):
    """On a device whose memory takes at most `room` images at once; remembers how many it was given."""

    def __init__(self, room):
        super().__init__()
        self.room, self.sizes = room, []

    def loss(self, optimizer, images, step):
        if len(images) > self.room:
            raise torch.OutOfMemoryError("no room")
        self.sizes.append(len(images))
        return super().loss(optimizer, images, step)


def test_a_batch_that_does_not_fit_is_taken_in_pieces_with_the_same_gradient(capsys):
    whole, cramped = Regression(), Cramped(room=5)
    expected, found = (run(objective, batch_size=16, gradient_clip=0.5) for objective in (whole, cramped))
    for key, value in weights(whole).items():
        np.testing.assert_allclose(weights(cramped)[key], value, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose([row["loss"] for row in found.epochs], [row["loss"] for row in expected.epochs], rtol=1e-5)
    assert cramped.sizes[:6] == [4, 4, 4, 4, 3, 2]  # 21 images: a batch of 16, and one of 5, never one image alone
    assert capsys.readouterr().err.count("does not fit") == 2  # 16 to 8, 8 to 4, and never again


def test_a_device_too_small_for_two_images_is_an_error():
    with pytest.raises(TrainingError, match="Not even 2 images of 8×8"):
        run(Cramped(room=1), batch_size=16)


def test_held_out_images_that_do_not_fit_are_taken_in_smaller_batches(capsys, monkeypatch):
    monkeypatch.setattr(novkit_images, "_pieces", 1)  # and what it was afterwards

    class Held(Regression):
        room, sizes = 3, []

        def validate(self, images, step):
            total = 0.0
            for x in novkit_images.batches(images, 16, step.device):
                if len(x) > self.room:
                    raise torch.OutOfMemoryError("no room")
                self.sizes.append(len(x))
                total += float(self.loss("adam", x, step)["loss"]) * len(x)
            return {"loss": total / len(images)}

    roomy, cramped = Held(), Held()
    roomy.room = 16
    expected, found = (run(objective) for objective in (roomy, cramped))
    assert max(cramped.sizes[-3:]) == 2
    np.testing.assert_allclose([row["val_loss"] for row in found.epochs], [row["val_loss"] for row in expected.epochs], rtol=1e-5)
    assert capsys.readouterr().err.count("do not fit") == 3  # 16 to 8, 4, 2, and never again
    cramped.room = 0
    with pytest.raises(TrainingError, match="Not even one image fits"):
        run(cramped)


@pytest.mark.parametrize("method", ["tend", "patchgan", "autoencoder"])
def test_scores_do_not_depend_on_how_many_images_fit(method, monkeypatch):
    monkeypatch.setattr(novkit_images, "_pieces", 1)
    changes = {
        "tend": {"epochs_autoencoder": 1, "epochs": 2, "warmup": 1, "width": 4, "least_steps": 1},
        "patchgan": {"epochs": 1, "width": 4},
        "autoencoder": {"epochs": 1, "width": 4},
    }[method]
    detector = make_detector(method, changes=changes, device="cpu", progress=False).fit(blobs(32), blobs(8, seed=1))
    images = blobs(40, seed=2)
    expected = detector.novelty_score(images)
    network = next(part for part in vars(detector).values() if isinstance(part, torch.nn.Module))

    def small(module, given):
        if len(given[0]) > 9:
            raise torch.OutOfMemoryError("no room")

    with network.register_forward_pre_hook(small):
        encode = getattr(network, "encode", None)
        if encode is not None:
            monkeypatch.setattr(network, "encode", lambda x: (small(None, (x,)), encode(x))[1])
        np.testing.assert_allclose(detector.novelty_score(images), expected, rtol=1e-4, atol=1e-6)
    assert novkit_images._pieces > 1


def test_what_a_batch_that_did_not_fit_computed_is_let_go():
    class Watched(Cramped):
        left: weakref.ref | None = None
        held = False

        def loss(self, optimizer, images, step):
            self.held |= self.left is not None and self.left() is not None
            computed = images.clone()
            self.left = weakref.ref(computed) if len(images) > self.room else None
            return super().loss(optimizer, images, step)

    objective = Watched(room=5)
    run(objective, epochs=1, batch_size=16)
    assert len(objective.sizes) > 2  # it did go on
    assert not objective.held
