# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Assignment 4: masks and the reconstructor
#
# **40 points, 3 hours.** You will build the half of Patch-GAN that restores, from the ground up, and the test that tells whether it cheats.
#
# **When you are done, you can**
# - cut images into patches and cells, and deal the cells out so that every patch is hidden exactly once;
# - hide pixels so that not a bit of them reaches the network, and say why the visible ones must stay out of the loss;
# - put an image together in which each patch was restored from its surroundings, and measure the error of every patch;
# - write a test for leaks that finds them and accuses nobody else.
#
# **Before you start:** notebooks 02 and 05; PyTorch tensors (`reshape`, indexing, broadcasting). A laptop without a GPU is enough: 1 GB of
# memory, about a minute for all cells. The brain slices are *synthetic*.
#
# | part | what | points |
# |---|---|---:|
# | `patches` | means of patches, and back to pixels | 4 |
# | `deal` | deal the cells out | 6 |
# | `network_input` | hide | 4 |
# | `hidden_loss` | the error that counts | 5 |
# | `cover` | put the restoration together | 6 |
# | `patch_error` | the error of each patch | 4 |
# | `leaking` | a test for leaks | 6 |
# | `explain` | three questions in words | 5 |
#
# Write your code where it says `YOUR CODE HERE`, and keep the names and arguments of the functions. Below each part you see some of the
# tests; the others draw new inputs when your work is graded. A part never needs your solution of another one. Everything here can be
# done with PyTorch alone: please write it yourself rather than call `novkit.patchgan`.
#
# That masked images are restored, with black boxes, is the paper's **[P]**; cells, shares and losses are our choice **[O]**, because the
# paper's formulas are not published.

# %% kind="given"
import numpy as np
import torch
import torch.nn.functional as F

from novkit.data import load
from novkit.figures import gallery
from novkit.figures.charts import curves
from novkit.images import to_tensor
from novkit.patchgan.masking import PatchGrid, partitions
from novkit.ready import ready_detector
from novkit.seeding import torch_generator
from novkit.teaching import course_generator

data = load("brain", seed=7, n_healthy=40, n_novel=40, conditions=("healthy", "glioma"), progress=False)
healthy, glioma = np.flatnonzero(data.labels == "healthy"), np.flatnonzero(data.labels == "glioma")
network = ready_detector("patchgan", device="cpu", progress=False).reconstructor_.eval()  # trained on other subjects


@torch.inference_mode()
def restore(visible, mask):
    """The ready-trained reconstructor: what it would put everywhere. visible (n, 1, 64, 64), mask (1 or n, 1, 64, 64), 1 = hidden."""
    return network(visible, mask.expand(len(visible), -1, -1, -1))


def plain(result):
    """A result as a plain tensor: the tests compare nothing else."""
    return torch.from_numpy(np.asarray(result.detach() if isinstance(result, torch.Tensor) else result))


# %% [markdown]
# ## 1. Patches
#
# A *patch* is the smallest square that is judged. An image of `height × width` pixels has $P = (\text{height}/s) \cdot (\text{width}/s)$
# patches of side $s$, numbered **row by row**: patch 0 is at the top left, patch 1 to its right.
#
# Write two functions: the mean of every patch, and the way back, which gives every pixel its patch's value. No loop over images or
# patches is needed.


# %% part="patches" kind="solution"
def patch_mean(pixels, patch):
    """Mean of every patch: (n, height, width) -> (n, P), numbered row by row. `patch` divides height and width."""
    ### BEGIN SOLUTION
    n, height, width = pixels.shape
    return pixels.reshape(n, height // patch, patch, width // patch, patch).mean(dim=(2, 4)).flatten(1)
    ### END SOLUTION


def patch_spread(values, rows, columns, patch):
    """Each patch's value on all its pixels: (n, P) -> (n, rows * patch, columns * patch); P = rows * columns."""
    ### BEGIN SOLUTION
    grid = values.reshape(-1, rows, columns)
    return grid.repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)
    ### END SOLUTION


# %% part="patches" kind="tests" points=2
ruler = torch.arange(24.0).reshape(1, 4, 6)  # two rows of three patches of 2 × 2
found = plain(patch_mean(ruler, 2))
assert tuple(found.shape) == (1, 6), f"4 × 6 pixels hold 6 patches of 2 × 2, your result has shape {tuple(found.shape)}."
assert float(found[0, 0]) == 3.5, "Patch 0 holds the pixels 0, 1, 6 and 7: your value is not their mean."
assert float(found[0, 1]) == 5.5, "Patch 1 lies to the right of patch 0: are your patches numbered row by row?"
### BEGIN HIDDEN TESTS
rng = course_generator("patches", 1)
for side, rows, columns in ((4, 3, 5), (3, 4, 2), (2, 1, 7)):
    pixels = torch.from_numpy(rng.random((2, rows * side, columns * side)))
    by_hand = torch.stack(
        [pixels[:, i * side : (i + 1) * side, j * side : (j + 1) * side].mean(dim=(1, 2)) for i in range(rows) for j in range(columns)],
        dim=1,
    )
    found = plain(patch_mean(pixels, side))
    assert tuple(found.shape) == (2, rows * columns), f"{rows} × {columns} patches: your result has shape {tuple(found.shape)}."
    assert torch.allclose(found, by_hand), "On images that are not square, your means differ from those of a loop over rows and columns."
### END HIDDEN TESTS

# %% part="patches" kind="tests" points=2
spread = plain(patch_spread(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]), 2, 3, 2))
assert tuple(spread.shape) == (1, 4, 6), f"Two rows of three patches of 2 × 2 are 4 × 6 pixels, yours are {tuple(spread.shape)}."
assert spread[0, 0].tolist() == [1, 1, 2, 2, 3, 3], "The first row of pixels should read 1 1 2 2 3 3: neighbours share their patch's value."
### BEGIN HIDDEN TESTS
rng = course_generator("patches", 2)
for side, rows, columns in ((4, 3, 5), (3, 4, 2), (2, 1, 7)):
    values = torch.from_numpy(rng.random((2, rows * columns)))
    spread = plain(patch_spread(values, rows, columns, side))
    assert tuple(spread.shape) == (2, rows * side, columns * side), "The size in pixels is wrong where rows and columns differ."
    for number in range(rows * columns):
        i, j = divmod(number, columns)
        square = spread[:, i * side : (i + 1) * side, j * side : (j + 1) * side]
        assert (square == values[:, number, None, None]).all(), "Not every pixel of a patch has the value of its patch."
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Cells, dealt out like cards
#
# Single patches are too small to be hidden: a lesion would be restored from its own rest. Boxes of $b \times b$ patches, the *cells*, are
# hidden or visible as a whole. A share $r$ of the image is hidden at a time, so $K = 1/r$ masks are needed to hide everything **exactly
# once**: the cells are shuffled and dealt out to $K$ players in turn [O].
#
# Cells start at the top left; at the right and lower border they may be cut. Use `generator` for every draw (`torch.randperm` takes it),
# so that the same generator gives the same deal and nobody else's random numbers are disturbed.
#
# <details><summary>Hint</summary>
#
# First who gets which *cell*, a vector; then, for each patch, which cell it lies in: `torch.arange(rows) // box` is half of the answer.
# </details>


# %% part="deal" kind="solution"
def deal(rows, columns, box, masks, generator):
    """Which mask hides each patch: (rows, columns) int64 in [0, masks).

    All patches of a cell (box × box patches) get the same mask; the numbers of cells of any two masks differ by at most one.
    generator: torch.Generator, for every random draw.
    """
    ### BEGIN SOLUTION
    high, wide = -(-rows // box), -(-columns // box)  # cells, those at the border included
    mask_of_cell = torch.randperm(high * wide, generator=generator) % masks
    cell = (torch.arange(rows) // box)[:, None] * wide + torch.arange(columns) // box
    return mask_of_cell[cell]
    ### END SOLUTION


# %% part="deal" kind="tests" points=3
dealt = plain(deal(16, 16, 4, 4, torch.Generator().manual_seed(1)))
assert tuple(dealt.shape) == (16, 16), "16 rows and 16 columns of patches: one number for each is wanted."
assert dealt.dtype == torch.int64, "Give whole numbers (int64), so that they can be compared and used as indices."
assert set(dealt.unique().tolist()) <= set(range(4)), "Four masks are numbered 0, 1, 2, 3: you use other numbers."
assert all(len(dealt[i : i + 4, j : j + 4].unique()) == 1 for i in range(0, 16, 4) for j in range(0, 16, 4)), (
    "A cell of 4 × 4 patches is hidden as a whole: here patches of one cell belong to different masks."
)
### BEGIN HIDDEN TESTS
rng = course_generator("deal", 1)
for rows, columns, box, masks in ((9, 14, 3, 4), (10, 7, 4, 2), (8, 8, 2, 8)):
    dealt = plain(deal(rows, columns, box, masks, torch.Generator().manual_seed(int(rng.integers(2**31)))))
    assert tuple(dealt.shape) == (rows, columns), "Your deal has the wrong shape where a cell is cut by the border."
    assert set(dealt.unique().tolist()) == set(range(masks)), (
        "Every mask, from 0 to masks − 1, should hide something, and there are no others."
    )
    whole = all(len(dealt[i : i + box, j : j + box].unique()) == 1 for i in range(0, rows, box) for j in range(0, columns, box))
    assert whole, "Patches of one cell belong to different masks (cells begin at the top left, those at the border are cut)."
### END HIDDEN TESTS

# %% part="deal" kind="tests" points=3
one, again = (plain(deal(16, 16, 4, 4, torch.Generator().manual_seed(5))) for _ in range(2))
assert (one == again).all(), "The same generator should give the same deal: do all your draws come from it?"
counts = torch.stack(
    [(plain(deal(16, 16, 2, 4, torch.Generator().manual_seed(seed))).flatten() == k).sum() for seed in range(5) for k in range(4)]
)
assert (counts == 64).all(), "64 cells for four masks are 16 each, 64 patches: some of your masks hide more than others."
### BEGIN HIDDEN TESTS
rng = course_generator("deal", 2)
first = int(rng.integers(2**31))
corners = torch.stack(
    [plain(deal(9, 14, 3, 4, torch.Generator().manual_seed(first + k)))[::3, ::3].flatten() for k in range(300)]
)  # 3 × 5 cells
sizes = torch.stack([(corners == k).sum(dim=1) for k in range(4)], dim=1)
assert set(sizes.unique().tolist()) == {3, 4}, "15 cells for four masks: each should get three or four of them."
share = torch.stack([(corners == k).double().mean(dim=0) for k in range(4)])
assert float((share - 0.25).abs().max()) < 0.17, (
    "Over many deals, some cells go to one mask far more often than to the others: shuffle them."
)
together = (corners[:, :, None] == corners[:, None, :]).double().mean(dim=0).fill_diagonal_(0)
assert float(together.max()) < 0.6, "Some pairs of cells nearly always end in the same mask: shuffle the cells, not only the masks."
state = torch.get_rng_state()
deal(6, 6, 2, 3, torch.Generator().manual_seed(first))
assert torch.equal(state, torch.get_rng_state()), "Your deal uses torch's global random numbers: draw from `generator` only."
### END HIDDEN TESTS

# %% [markdown]
# One slice, and the four hands of a deal (this cell uses your functions; it is not graded):

# %%
slice_ = to_tensor(data.images[healthy[:1]])
hand = deal(16, 16, 4, 4, torch_generator(0, "look")).reshape(1, -1)
hands = torch.cat([slice_ * (1 - patch_spread((hand == number).float(), 16, 16, 4)[:, None]) for number in range(4)])
gallery(hands.numpy(), [f"mask {number}" for number in range(4)], title="A deal of 4 × 4 cells (synthetic slice)", columns=4)

# %% [markdown]
# ## 3. Hide
#
# $$\text{input} = \bigl[\,x\,(1-M),\ M\,\bigr], \qquad M = 1 \text{ where hidden}$$
#
# The mask goes along as one more channel, so that dark tissue is not mistaken for a hole [O]. The one thing that matters: **no bit of a
# hidden pixel may reach the network**, in whatever disguise.


# %% part="network_input" kind="solution"
def network_input(x, mask):
    """What the network is shown: (n, channels, height, width), (n or 1, 1, height, width) -> (n, channels + 1, height, width).

    mask: float, 1 = hidden, 0 = visible. Hidden pixels are black; the last channel is the mask. x itself is left as it is.
    """
    ### BEGIN SOLUTION
    return torch.cat([x * (1 - mask), mask.expand(len(x), -1, -1, -1)], dim=1)
    ### END SOLUTION


# %% part="network_input" kind="tests" points=2
x, mask = torch.full((2, 3, 4, 4), 0.5), torch.zeros(1, 1, 4, 4)
mask[..., :2, :] = 1
shown = plain(network_input(x, mask))
assert tuple(shown.shape) == (2, 4, 4, 4), f"Three channels and the mask make four; your input has shape {tuple(shown.shape)}."
assert (shown[:, :3, 2:] == 0.5).all(), "Visible pixels should be passed on as they are."
assert (shown[:, :3, :2] == 0).all(), "Hidden pixels (mask 1) should be black."
### BEGIN HIDDEN TESTS
rng = course_generator("network_input", 1)
x = torch.from_numpy(rng.random((3, 2, 6, 8)))
mask = torch.from_numpy((rng.random((3, 1, 6, 8)) < 0.4).astype(float))
shown = plain(network_input(x, mask))
assert torch.equal(shown[:, 2:], mask), "The last channel should be the mask itself, 1 where hidden, one for each image."
assert torch.equal(shown[:, :2][(mask == 0).expand(-1, 2, -1, -1)], x[(mask == 0).expand(-1, 2, -1, -1)]), "Visible pixels were changed."
### END HIDDEN TESTS

# %% part="network_input" kind="tests" points=2
x, mask = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1, 8, 8)
mask[..., 2:6, 2:6] = 1
before, other = x.clone(), torch.where(mask > 0, torch.ones(()), x)  # another image under the box, the same around it
first, second = plain(network_input(x, mask)), plain(network_input(other, mask))
assert torch.equal(first, second), "Two images that differ only under the box give different inputs: something of the hidden pixels leaks."
assert torch.equal(x, before), "x has changed: work on a copy, the original is needed to measure the error."
### BEGIN HIDDEN TESTS
rng = course_generator("network_input", 2)
x = torch.from_numpy(rng.random((3, 2, 6, 8)))
mask = torch.from_numpy((rng.random((3, 1, 6, 8)) < 0.4).astype(float))
before = x.clone()
other = torch.where(mask > 0, torch.from_numpy(rng.random((3, 2, 6, 8))), x)
assert torch.equal(plain(network_input(x, mask)), plain(network_input(other, mask))), (
    "The input still depends on hidden pixels (masks differ by image)."
)
assert torch.equal(x, before), "x has changed: work on a copy."
### END HIDDEN TESTS

# %% [markdown]
# ## 4. What counts: hidden patches only
#
# Let $e_p$ be the error of patch $p$ and $H$ the patches that are hidden in an image. The reconstructor learns by
#
# $$L = \frac1n \sum_{\text{images}} \frac{1}{|H|} \sum_{p \in H} e_p .$$
#
# First the mean over the hidden patches *of each image*, then over the images: an image with few hidden patches counts as much as one
# with many.


# %% part="hidden_loss" kind="solution"
def hidden_loss(error, hidden):
    """The loss above, a scalar tensor. error: (n, P) float; hidden: (n, P) bool, at least one True in every row."""
    ### BEGIN SOLUTION
    chosen = hidden.to(error.dtype)
    return ((error * chosen).sum(dim=1) / chosen.sum(dim=1)).mean()
    ### END SOLUTION


# %% part="hidden_loss" kind="tests" points=2
error = torch.tensor([[0.1, 0.2, 0.9, 0.9], [0.4, 0.6, 0.8, 0.9]])
hidden = torch.tensor([[True, True, False, False], [True, False, False, False]])
assert abs(float(hidden_loss(error, hidden)) - 0.275) < 1e-6, "The images' means over their hidden patches are 0.15 and 0.4: L is 0.275."
### BEGIN HIDDEN TESTS
rng = course_generator("hidden_loss", 1)
error, hidden = torch.from_numpy(rng.random((5, 12))), torch.from_numpy(rng.random((5, 12)) < 0.4)
hidden[:, 3] = True
by_hand = np.mean([error[i][hidden[i]].mean().item() for i in range(5)])
assert abs(float(hidden_loss(error, hidden)) - by_hand) < 1e-9, (
    "With different numbers of hidden patches, L is not the mean of the images' means."
)
### END HIDDEN TESTS

# %% part="hidden_loss" kind="tests" points=3
error = torch.tensor([[0.1, 0.2, 0.9, 0.9], [0.4, 0.6, 0.8, 0.9]], requires_grad=True)
hidden = torch.tensor([[True, True, False, False], [True, False, False, False]])
hidden_loss(error, hidden).backward()
assert error.grad is not None, "No gradient reaches the errors: compute with tensors, not with their numbers."
assert (error.grad[~hidden] == 0).all(), "A visible patch has a gradient: the network would be paid for copying."
assert torch.allclose(error.grad[hidden], torch.tensor([0.25, 0.25, 0.5])), "The gradients of the hidden patches are not those of L."
### BEGIN HIDDEN TESTS
rng = course_generator("hidden_loss", 2)
error, hidden = torch.from_numpy(rng.random((4, 20))), torch.from_numpy(rng.random((4, 20)) < 0.3)
hidden[:, 0] = True
other = torch.where(hidden, error, torch.from_numpy(rng.random((4, 20))))
assert float(hidden_loss(error, hidden)) == float(hidden_loss(other, hidden)), "Your loss changes with the error of visible patches."
rows = hidden_loss(error[:1].repeat(3, 1), hidden[:1].repeat(3, 1))
assert abs(float(rows) - float(hidden_loss(error[:1], hidden[:1]))) < 1e-12, "The same image three times should have the loss of one."
### END HIDDEN TESTS

# %% [markdown]
# Why so strict? Let two restorers compete. The **copier** returns what is visible and smears it into the holes: it has learnt nothing at
# all. The **guesser** is the trained network, which draws everything anew, also what it could copy. Look at who wins by the error over
# *all* patches, and who by the error over the hidden ones. (Not graded; part `explain` asks about it.)

# %%
x = to_tensor(data.images[healthy])
grid = PatchGrid.of(data.image_shape)
label = partitions(1, grid, (4,), 4, torch_generator(0, "compete"))
hidden = (label == 0).expand(len(x), -1)
mask = grid.spread(hidden[:1].float())
visible = x * (1 - mask)
smeared = F.avg_pool2d(visible, 25, stride=1, padding=12) / F.avg_pool2d(1 - mask, 25, stride=1, padding=12)
for name, restored in {"copier": visible + mask * smeared, "guesser": restore(visible, mask)}.items():
    error = grid.mean((x - restored).abs())
    print(f"{name}: error over all patches {float(error.mean()):.4f}, over hidden patches {float(hidden_loss(error, hidden)):.4f}")

# %% [markdown]
# ## 5. Every patch restored from its surroundings
#
# To judge an image, the $K$ masks of a deal are laid one after the other. Each time the network restores, and only what was hidden
# is kept. Together the $K$ pieces make the **cover** $\tilde x$:
#
# $$\tilde x = \sum_{k=0}^{K-1} M_k \cdot R\bigl(x\,(1 - M_k),\ M_k\bigr), \qquad \sum_k M_k = 1 .$$
#
# `restore(visible, mask)` does the restoring; it trusts you to hide. `grid.spread` turns patches (n, P) into pixels (n, 1, height, width).


# %% part="cover" kind="solution"
def assemble_cover(x, label, masks, restore, grid):
    """x̃, in which every patch is restored from its surroundings: the shape of x (n, channels, height, width).

    label: (P,) int64, which of the masks 0 … masks − 1 hides each patch.
    restore: (visible, mask) -> x̂; visible is x with its hidden pixels black, mask (1, 1, height, width) float, 1 = hidden.
    grid: has `spread`, (n, P) -> (n, 1, height, width).
    """
    ### BEGIN SOLUTION
    cover = torch.zeros_like(x)
    for number in range(masks):
        mask = grid.spread((label == number).to(x.dtype)[None])
        cover = cover + mask * restore(x * (1 - mask), mask)
    return cover
    ### END SOLUTION


# %% part="cover" kind="tests" points=3
small = PatchGrid.of((1, 16, 16), 4)
label = torch.arange(16) % 4
x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
calls = []
cover = plain(assemble_cover(x, label, 4, lambda visible, mask: calls.append(mask) or mask.expand(len(visible), -1, -1, -1), small))
assert cover.shape == x.shape, "The cover has the shape of x."
assert len(calls) == 4, f"Four masks need four restorations, you made {len(calls)}."
assert (sum(calls) == 1).all(), "Over all calls, every pixel should be hidden exactly once."
assert (cover == 1).all(), "Keep from each restoration what was hidden in it, and nothing else: this cover should be 1 everywhere."
### BEGIN HIDDEN TESTS
rng = course_generator("cover", 1)
odd = PatchGrid.of((2, 12, 18), 3)
label, x = torch.from_numpy(rng.integers(0, 3, odd.count)), torch.from_numpy(rng.random((2, 2, 12, 18)))
label[:3] = torch.arange(3)
cover = plain(assemble_cover(x, label, 3, lambda visible, mask: visible.flip(-1) * 2 + visible.sum(), odd))
by_hand = torch.zeros_like(x)
for k in range(3):
    seen = odd.spread((label == k).double()[None])
    by_hand += seen * ((x * (1 - seen)).flip(-1) * 2 + (x * (1 - seen)).sum())
assert torch.allclose(cover, by_hand), "With a random deal and two channels, your cover differs from the sum over masks."
### END HIDDEN TESTS

# %% part="cover" kind="tests" points=3
small = PatchGrid.of((1, 16, 16), 4)
label = torch.arange(16) % 4
x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
before = x.clone()
copied = plain(assemble_cover(x, label, 4, lambda visible, mask: visible.clone(), small))
assert torch.equal(x, before), "x has changed: work on a copy."
assert (copied == 0).all(), "A network that copies what it sees should find only black under its boxes: it was shown hidden pixels."
### BEGIN HIDDEN TESTS
rng = course_generator("cover", 2)
label = torch.from_numpy(rng.permutation(np.arange(16) % 4))
x = torch.from_numpy(rng.random((1, 1, 16, 16)))


def from_what_it_sees(visible, mask):
    return visible.mean() + F.avg_pool2d(visible, 5, stride=1, padding=2)


cover = plain(assemble_cover(x, label, 4, from_what_it_sees, small))
assert float(cover.min()) > 0, "Some patches of the cover were never restored."
for number in range(small.count):
    own = small.spread(F.one_hot(torch.tensor([number]), small.count).double()) > 0
    altered = torch.where(own, 1 - x, x)
    same = plain(assemble_cover(altered, label, 4, from_what_it_sees, small))
    assert torch.equal(cover[own], same[own]), "Altering a patch changes its own restoration: it should be bit-identical."
### END HIDDEN TESTS

# %% [markdown]
# What becomes of gliomas (outlined)? The cover draws healthy tissue where it cannot see the lesion. (Not graded.)

# %%
few = glioma[[2, 9, 17, 30]]
x = to_tensor(data.images[few])
covers = assemble_cover(x, partitions(1, grid, (4,), 4, torch_generator(0, "look"))[0], 4, restore, grid)
gallery(
    torch.cat([x, covers]).numpy(),
    ["glioma"] * 4 + ["its cover"] * 4,
    masks=np.tile(data.masks[few], (2, 1, 1)),
    title="Each patch restored from its surroundings (synthetic)",
    columns=4,
)

# %% [markdown]
# ## 6. The error of each patch
#
# $$e_p = \frac{1}{C\,s^2} \sum_{\text{channels, pixels of } p} |x - \tilde x|$$


# %% part="patch_error" kind="solution"
def patch_error(x, cover, patch):
    """e_p: (n, channels, height, width), the same -> (n, P), numbered row by row; patches have `patch` × `patch` pixels."""
    ### BEGIN SOLUTION
    return F.avg_pool2d((x - cover).abs().mean(dim=1, keepdim=True), patch).flatten(1)
    ### END SOLUTION


# %% part="patch_error" kind="tests" points=2
x, cover = torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
cover[..., :4] = torch.tensor([0.5, -0.5, 0.5, -0.5])
assert plain(patch_error(x, cover, 4)).tolist() == [[0.5, 0.0]], (
    "A patch that is wrong by 0.5 everywhere, up and down, has an error of 0.5."
)
### BEGIN HIDDEN TESTS
rng = course_generator("patch_error", 1)
x, cover = (torch.from_numpy(rng.random((2, 1, 6, 9))) for _ in range(2))
by_hand = [[np.abs((x - cover)[k, 0, i : i + 3, j : j + 3].numpy()).mean() for i in (0, 3) for j in (0, 3, 6)] for k in range(2)]
assert np.allclose(plain(patch_error(x, cover, 3)), by_hand), "On grey images, your errors differ from a loop over patches."
assert torch.allclose(plain(patch_error(3 * x, 3 * cover, 3)), 3 * plain(patch_error(x, cover, 3))), (
    "Three times the contrast is three times the error."
)
### END HIDDEN TESTS

# %% part="patch_error" kind="tests" points=2
x, cover = torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
cover[:, 0], cover[:, 1] = 0.3, -0.1
found = plain(patch_error(x, cover, 2))
assert tuple(found.shape) == (1, 2), "One number a patch, whatever the number of channels."
assert torch.allclose(found, torch.tensor(0.2)), "Two channels, wrong by 0.3 and by −0.1: the mean absolute error is 0.2."
### BEGIN HIDDEN TESTS
rng = course_generator("patch_error", 2)
x, cover = (torch.from_numpy(rng.random((2, 3, 6, 9))) for _ in range(2))
by_hand = [[np.abs((x - cover)[k, :, i : i + 3, j : j + 3].numpy()).mean() for i in (0, 3) for j in (0, 3, 6)] for k in range(2)]
assert np.allclose(plain(patch_error(x, cover, 3)), by_hand), "On colour images, your errors differ from a loop over patches."
### END HIDDEN TESTS

# %% [markdown]
# ## 7. A test for leaks
#
# The promise of this method is one sentence: *altering a hidden patch leaves its own restoration bit-identical*. Promises of this kind are
# broken by a misplaced line, and no metric shows it: results merely get worse, or better. So write the test. It is given a function
# `cover_of` (images → covers, as yours would be) and must say **which patches leak**: whose restoration depends on their own pixels,
# however little.
#
# The restoration of a patch *may* depend on all other patches. That is what it is for.
#
# <details><summary>Hint</summary>
#
# Alter one patch at a time, all its pixels, always starting from the original image. Compare bits (`torch.equal`), and only there.
# </details>


# %% part="leaking" kind="solution"
def leaking_patches(cover_of, x, grid, generator):
    """Which patches' own restoration depends on their own pixels: (P,) bool.

    cover_of: (1, channels, height, width) -> the same, its restoration. x: one image (1, channels, height, width), left as it is.
    generator: torch.Generator for what is put in place of a patch. Any change counts, down to the last bit.
    """
    ### BEGIN SOLUTION
    cover = cover_of(x)
    leaks = torch.zeros(grid.count, dtype=torch.bool)
    for number in range(grid.count):
        own = (grid.spread(F.one_hot(torch.tensor([number]), grid.count).float()) > 0).expand_as(x)
        altered = torch.where(own, torch.rand(x.shape, generator=generator, dtype=x.dtype), x)
        leaks[number] = not torch.equal(cover_of(altered)[own], cover[own])
    return leaks
    ### END SOLUTION


# %% part="leaking" kind="tests" points=3
board = PatchGrid.of((1, 16, 16), 4)
x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
before = x.clone()


def from_the_left(x):
    """Honest: each patch is restored as a copy of its left neighbour (at the border, of the last one)."""
    return x.roll(4, dims=3)


leaks = plain(leaking_patches(from_the_left, x, board, torch.Generator().manual_seed(0)))
assert (tuple(leaks.shape), leaks.dtype) == ((16,), torch.bool), "The answer is one bool for each of the 16 patches."
assert torch.equal(x, before), "x has changed: put every patch back, or work on a copy."
assert not leaks.any(), "You accuse an honest method: a restoration may depend on its neighbours, and only its own patch counts."
### BEGIN HIDDEN TESTS
rng = course_generator("leaking", 1)
wide = PatchGrid.of((2, 12, 18), 3)
x = torch.from_numpy(rng.random((1, 2, 12, 18))).float()
step = int(rng.integers(1, 4))


def from_all_others(x):
    """Honest: sums of every other patch, near and far."""
    means = wide.mean(x)
    return wide.spread(torch.stack([means.roll(shift, dims=1) for shift in range(1, wide.count)]).sum(dim=0)).expand_as(x)


for honest in (from_all_others, lambda x: x.roll(3 * step, dims=3), lambda x: torch.zeros_like(x)):
    found = plain(leaking_patches(honest, x, wide, torch.Generator().manual_seed(int(rng.integers(2**31)))))
    assert tuple(found.shape) == (wide.count,), "One bool for each patch, also with two channels."
    assert not found.any(), "You accuse an honest method whose patches depend on all other patches, but not on themselves."
### END HIDDEN TESTS

# %% part="leaking" kind="tests" points=3
board = PatchGrid.of((1, 16, 16), 4)
x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
culprit = board.spread(F.one_hot(torch.tensor([6]), 16).float())
leaks = plain(leaking_patches(lambda x: x.roll(4, dims=3) + 0.5 * culprit * x, x, board, torch.Generator().manual_seed(0)))
assert leaks.nonzero().flatten().tolist() == [6], "Patch 6, and no other, mixes half of its own pixels into its restoration."
### BEGIN HIDDEN TESTS
rng = course_generator("leaking", 2)
for strength in (0.3, 1e-4):
    guilty = np.sort(rng.choice(16, size=3, replace=False))
    where = board.spread(F.one_hot(torch.from_numpy(guilty), 16).sum(dim=0)[None].float())
    x = torch.from_numpy(rng.random((1, 1, 16, 16))).float()
    found = plain(
        leaking_patches(
            lambda x, where=where, strength=strength: x.roll(4, dims=2) + strength * where * x, x, board, torch.Generator().manual_seed(1)
        )
    )
    assert found.nonzero().flatten().tolist() == guilty.tolist(), (
        f"Three patches leak a share of {strength} of themselves: not found, or others accused."
    )
corner = torch.zeros(1, 1, 16, 16)
corner[..., 3::4, 3::4] = 1  # the last pixel of every patch
found = plain(
    leaking_patches(
        lambda x: F.avg_pool2d(x * corner, 4).repeat_interleave(4, 2).repeat_interleave(4, 3), x, board, torch.Generator().manual_seed(2)
    )
)
assert found.all(), "Here every patch leaks through a single one of its pixels: do you alter all of them?"
### END HIDDEN TESTS

# %% [markdown]
# Your test on the real thing: the trained network; and the same network after a step that looks innocent, in which every image is first
# brought to the same mean grey level. (Not graded; a coarse grid of 16 squares, altered one at a time.)

# %%
coarse = PatchGrid.of(data.image_shape, 16)
label = partitions(1, coarse, (1,), 4, torch_generator(0, "leaks"))[0]


def cover_of(x):
    masks = [coarse.spread((label == number).float()[None]) for number in range(4)]
    return sum(mask * restore(x * (1 - mask), mask) for mask in masks)


def cover_of_normalised(x):
    return cover_of(0.2 * x / x.mean())


one = to_tensor(data.images[glioma[:1]])
for name, function in (("as it is", cover_of), ("after normalisation", cover_of_normalised)):
    leaks = leaking_patches(function, one, coarse, torch_generator(0, "alter"))
    print(f"{name}: {int(leaks.sum())} of {coarse.count} squares leak")

# %% [markdown]
# ## 8. In words
#
# How large should a cell be? For each glioma the network restores the patch in the middle of the lesion, under boxes of growing size;
# and for comparison the same places of healthy slices.

# %%
SIDES = (1, 2, 3, 4, 6, 8)
centre = [np.argwhere(mask).mean(axis=0) for mask in data.masks[glioma]]
places = [(int(row) // 4, int(column) // 4) for row, column in centre]


@torch.inference_mode()
def middle_error(images, side):
    """Median |x − x̂| of the patch at `places` under a hidden box of side × side patches around it."""
    x, hidden = to_tensor(images), torch.zeros(len(images), 16, 16)
    for image, (row, column) in enumerate(places):
        top, left = max(0, row - (side - 1) // 2), max(0, column - (side - 1) // 2)
        hidden[image, top : top + side, left : left + side] = 1
    mask = grid.spread(hidden.flatten(1))
    error = grid.mean((x - restore(x * (1 - mask), mask)).abs())
    return float(np.median([error[image, row * 16 + column] for image, (row, column) in enumerate(places)]))


by_side = {
    name: (SIDES, [middle_error(data.images[rows], side) for side in SIDES])
    for name, rows in (("glioma", glioma), ("healthy, same places", healthy))
}
curves(
    {"": by_side},
    title="Error of the middle patch (synthetic)",
    x_title="side of the hidden box, in patches of 4 pixels",
    y_title="median |x − x̂|",
)

# %% [markdown]
# Answer in your own words, in the next cell, each question in two to four sentences:
#
# 1. Section 4 let a copier and a guesser compete. Who won by which error, and what would a network learn from a loss over all patches?
# 2. Look at the last figure. What does the network put into a box that is smaller than the lesion, and why? By this figure the largest
#    box looks best: what does the figure not show that speaks against very large boxes?
# 3. Why does the test of section 7 compare bits and not, say, to within 1 %? Name one leak that it cannot find.

# %% [markdown] part="explain" kind="manual" points=5
# ### BEGIN SOLUTION
# **Model answer.**
# 1. By the error over all patches the copier comes close to, or beats, the guesser, although it knows nothing: three quarters of the
#    patches are visible and cost it nothing. By the hidden error the guesser wins clearly. Under a loss over all patches most of the
#    gradient would reward passing the input through, which a network with skips learns at once; guessing would get the small rest.
# 2. Lesion: what is left of it around the box shows how to continue, so the network restores it and the error stays small. The figure
#    looks at the middle of lesions only, deep in the brain, where healthy tissue is easy to guess. At the ventricles, folds and the skull,
#    which differ from head to head, a large box leaves nothing to go by, and the error of healthy patches rises, too (at a side of 8 it
#    begins to). What counts is how far the two kinds of patches are apart, over all places; besides, small lesions need no large boxes.
# 3. A leak of any strength can be used by training, and rounding or a threshold would have to be chosen; an honest method gives identical
#    bits, so there is no need to choose. It cannot find leaks that do not pass through the patch's own pixels at scoring: training on the
#    test subjects, a neighbouring slice of the same patient, scaling by the test set, a normalisation over the batch.
#
# **Rubric.** Question 1: who wins by which error (1), what is learnt from copying (1). Question 2: small box lets the lesion restore itself
# (1), a sound reason against very large boxes that the figure does not show (1). Question 3: a reason for bits
# and one leak outside the test's reach (½ + ½). Full marks for other correct arguments; no points for repeating the text above.
# ### END SOLUTION

# %% [markdown]
# **Sources.** Chen, Yang, Zhang, Peng, Zhang, Zhang, Han, Grau, *Unsupervised Patch-GAN with targeted patch ranking for fine-grained
# novelty detection in medical imaging*, arXiv 2501.17906, 2025. In novkit: `novkit/patchgan/masking.py` and `losses.py`.
