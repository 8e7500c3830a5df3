"""Wrong but plausible answers to assignment 4: part -> (what is wrong with it, source of the whole solution cell)."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "patches": [
        (
            "numbers patches column by column",
            """
def patch_mean(pixels, patch):
    return F.avg_pool2d(pixels[:, None], patch)[:, 0].transpose(1, 2).flatten(1)

def patch_spread(values, rows, columns, patch):
    grid = values.reshape(-1, columns, rows).transpose(1, 2)
    return grid.repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)
""",
        ),
        (
            "tiles the patches instead of enlarging them",
            """
def patch_mean(pixels, patch):
    n, height, width = pixels.shape
    return pixels.reshape(n, height // patch, patch, width // patch, patch).mean(dim=(2, 4)).flatten(1)

def patch_spread(values, rows, columns, patch):
    return values.reshape(-1, rows, columns).repeat(1, patch, patch)
""",
        ),
        (
            "takes the top left pixel of each patch for its mean",
            """
def patch_mean(pixels, patch):
    return pixels[:, ::patch, ::patch].flatten(1)

def patch_spread(values, rows, columns, patch):
    return values.reshape(-1, rows, columns).repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)
""",
        ),
    ],
    "deal": [
        (
            "deals single patches, not cells",
            """
def deal(rows, columns, box, masks, generator):
    return (torch.randperm(rows * columns, generator=generator) % masks).reshape(rows, columns)
""",
        ),
        (
            "draws a mask for each cell on its own, so that the masks differ in size",
            """
def deal(rows, columns, box, masks, generator):
    high, wide = -(-rows // box), -(-columns // box)
    cells = torch.randint(masks, (high, wide), generator=generator)
    return cells.repeat_interleave(box, dim=0).repeat_interleave(box, dim=1)[:rows, :columns]
""",
        ),
        (
            "off by one: masks are numbered from 1",
            """
def deal(rows, columns, box, masks, generator):
    high, wide = -(-rows // box), -(-columns // box)
    cells = (torch.randperm(high * wide, generator=generator) % masks + 1).reshape(high, wide)
    return cells.repeat_interleave(box, dim=0).repeat_interleave(box, dim=1)[:rows, :columns]
""",
        ),
    ],
    "network_input": [
        (
            "wrong way round: hides what should be visible",
            """
def network_input(x, mask):
    return torch.cat([x * mask, mask.expand(len(x), -1, -1, -1)], dim=1)
""",
        ),
        (
            "leak: holes are filled with the mean of the whole image",
            """
def network_input(x, mask):
    return torch.cat([x * (1 - mask) + mask * x.mean(dim=(2, 3), keepdim=True), mask.expand(len(x), -1, -1, -1)], dim=1)
""",
        ),
        (
            "blackens the original",
            """
def network_input(x, mask):
    x *= 1 - mask
    return torch.cat([x, mask.expand(len(x), -1, -1, -1)], dim=1)
""",
        ),
    ],
    "hidden_loss": [
        (
            "divides by all patches instead of the hidden ones",
            """
def hidden_loss(error, hidden):
    return (error * hidden).mean(dim=1).mean()
""",
        ),
        (
            "mean over all hidden patches of the batch, not of each image",
            """
def hidden_loss(error, hidden):
    return error[hidden].mean()
""",
        ),
        (
            "counts the visible patches, too",
            """
def hidden_loss(error, hidden):
    return error.mean(dim=1).mean()
""",
        ),
    ],
    "cover": [
        (
            "off by one: the last mask is never laid",
            """
def assemble_cover(x, label, masks, restore, grid):
    cover = torch.zeros_like(x)
    for number in range(masks - 1):
        mask = grid.spread((label == number).to(x.dtype)[None])
        cover = cover + mask * restore(x * (1 - mask), mask)
    return cover
""",
        ),
        (
            "leak: shows the network the whole image",
            """
def assemble_cover(x, label, masks, restore, grid):
    cover = torch.zeros_like(x)
    for number in range(masks):
        mask = grid.spread((label == number).to(x.dtype)[None])
        cover = cover + mask * restore(x, mask)
    return cover
""",
        ),
        (
            "keeps the visible part of each restoration",
            """
def assemble_cover(x, label, masks, restore, grid):
    cover = torch.zeros_like(x)
    for number in range(masks):
        mask = grid.spread((label == number).to(x.dtype)[None])
        cover = cover + (1 - mask) * restore(x * (1 - mask), mask) / (masks - 1)
    return cover
""",
        ),
    ],
    "patch_error": [
        (
            "signs cancel: the size is taken of the mean difference",
            """
def patch_error(x, cover, patch):
    return F.avg_pool2d((x - cover).mean(dim=1, keepdim=True), patch).abs().flatten(1)
""",
        ),
        (
            "squares the differences",
            """
def patch_error(x, cover, patch):
    return F.avg_pool2d((x - cover).square().mean(dim=1, keepdim=True), patch).flatten(1)
""",
        ),
        (
            "adds the channels up instead of averaging them",
            """
def patch_error(x, cover, patch):
    return F.avg_pool2d((x - cover).abs().sum(dim=1, keepdim=True), patch).flatten(1)
""",
        ),
    ],
    "leaking": [
        (
            "compares the whole cover, so that neighbours are accused",
            """
def leaking_patches(cover_of, x, grid, generator):
    cover, leaks = cover_of(x), torch.zeros(grid.count, dtype=torch.bool)
    for number in range(grid.count):
        own = (grid.spread(F.one_hot(torch.tensor([number]), grid.count).float()) > 0).expand_as(x)
        altered = torch.where(own, torch.rand(x.shape, generator=generator, dtype=x.dtype), x)
        leaks[number] = not torch.equal(cover_of(altered), cover)
    return leaks
""",
        ),
        (
            "overlooks small leaks: compares with a tolerance",
            """
def leaking_patches(cover_of, x, grid, generator):
    cover, leaks = cover_of(x), torch.zeros(grid.count, dtype=torch.bool)
    for number in range(grid.count):
        own = (grid.spread(F.one_hot(torch.tensor([number]), grid.count).float()) > 0).expand_as(x)
        altered = torch.where(own, torch.rand(x.shape, generator=generator, dtype=x.dtype), x)
        leaks[number] = not torch.allclose(cover_of(altered)[own], cover[own], atol=1e-3)
    return leaks
""",
        ),
        (
            "never puts the altered patches back",
            """
def leaking_patches(cover_of, x, grid, generator):
    cover, leaks, altered = cover_of(x), torch.zeros(grid.count, dtype=torch.bool), x.clone()
    for number in range(grid.count):
        own = (grid.spread(F.one_hot(torch.tensor([number]), grid.count).float()) > 0).expand_as(x)
        altered[own] = torch.rand(x.shape, generator=generator, dtype=x.dtype)[own]
        leaks[number] = not torch.equal(cover_of(altered)[own], cover[own])
    return leaks
""",
        ),
    ],
}
