"""SCFT's training step in plain torch: the networks, losses and optimizers of `systems.scft`.

It is given the sketch, the recoloured image and the warp's sampling grid, which ours makes in its step.
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers.pix2pix import PatchDiscriminator


class Block(nn.Module):
    """3x3 convolution, normalisation over channels unless told otherwise, LeakyReLU."""

    def __init__(self, channel, features, stride=1, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(channel, features, 3, stride, 1)
        self.norm = nn.LayerNorm(features) if norm else None

    def forward(self, x):
        x = self.conv(x)
        if self.norm:
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.leaky_relu(x, 0.2)


class Encoder(nn.Module):
    def __init__(self, channel, widths, norm):
        super().__init__()
        self.blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            self.blocks.append(Block(channel, width, 1 if i == 0 else 2, norm))
            self.blocks.append(Block(width, width, 1, norm))
            channel = width

    def forward(self, x):
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


def gather(maps):
    size = maps[-1].shape[2:]
    pooled = torch.cat([F.adaptive_avg_pool2d(m, size) for m in maps], 1)
    return pooled.flatten(2).transpose(1, 2)


class Generator(nn.Module):
    def __init__(self, width, levels, residual_blocks):
        super().__init__()
        widths = [width * 2**i for i in range(levels)]
        self.sketch_encoder, self.reference_encoder = Encoder(1, widths, True), Encoder(3, widths, False)
        depth = 2 * sum(widths)
        self.query, self.key, self.value = (nn.Linear(depth, depth, bias=False) for _ in range(3))
        self.residual = nn.ModuleList(
            nn.Sequential(Block(depth, depth), nn.Conv2d(depth, depth, 3, 1, 1))
            for _ in range(residual_blocks)
        )
        self.bottom = Block(2 * depth, widths[-1])
        self.merge, self.refine = nn.ModuleList(), nn.ModuleList()
        for small, large in zip(widths[-2::-1], widths[:0:-1]):
            self.merge.append(Block(large + small, small))
            self.refine.append(Block(small, small))
        self.out = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, sketch, reference):
        """-> (image, queries and keys [batch, cells, depth])."""
        maps = self.sketch_encoder(sketch)
        vectors, references = gather(maps), gather(self.reference_encoder(reference))
        query, key = self.query(vectors), self.key(references)
        attended = F.scaled_dot_product_attention(
            query[:, None], key[:, None], self.value(references)[:, None]
        )[:, 0]
        grid = lambda x: x.transpose(1, 2).unflatten(2, maps[-1].shape[2:])
        skip = grid(vectors)
        x = grid(vectors + attended)
        for block in self.residual:
            x = x + block(x)
        x = self.bottom(torch.cat([x, skip], 1))
        for merge, refine, skip in zip(self.merge, self.refine, maps[1::2][-2::-1]):
            x = F.interpolate(x, skip.shape[2:], mode="bilinear")
            x = refine(merge(torch.cat([x, skip], 1)))
        return torch.tanh(self.out(x)), query, key


def triplet(query, key, sampling, margin):
    """Equation 5, as `systems.scft.similarity_triplet`; sampling [batch, h, w, 2]."""
    batch, height, width, _ = sampling.shape
    cells, depth = query.shape[1:]
    axis = lambda n: (torch.arange(n) + 0.5) * 2 / n - 1
    y, x = torch.meshgrid(axis(height), axis(width), indexing="ij")
    grid = torch.stack([x, y], -1).reshape(1, cells, 1, 2)
    cell = torch.tensor([2 / width, 2 / height])
    weights = F.relu(1 - (grid - sampling.reshape(batch, 1, cells, 2)).abs() / cell).prod(-1)
    total = weights.sum(-1, keepdim=True)
    valid = total[..., 0] > 1e-3
    weights = torch.where(valid[..., None], weights / total.clamp(min=1e-3), 0)
    draw = torch.randint(cells, (batch, cells))
    other = weights.gather(2, draw[..., None])[..., 0] == 0
    negative = key.gather(1, draw[..., None].expand(-1, -1, depth))
    difference = (query * (negative - weights @ key)).sum(-1) / depth**0.5
    counted = valid & other
    return ((F.relu(difference + margin) * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()


class Trainer:
    """Discriminator, then generator, its gradients clipped and its weights averaged.

    Args:
      config: of `systems.scft.SCFT`, without perceptual terms.
      channels_last: memory format of activations and weights.
      compiled: the networks with torch.compile.
    """

    def __init__(self, config, *, channels_last=False, compiled=False):
        m = self.model = config.model
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.networks = nn.ModuleDict(
            dict(
                generator=Generator(m.width, m.levels, m.residual_blocks),
                discriminator=PatchDiscriminator(4, m.discriminator_width),
            )
        ).to(memory_format=self.format)
        self.average = copy.deepcopy(self.networks["generator"]).requires_grad_(False)
        wrap = torch.compile if compiled else lambda network: network
        self.generator = wrap(self.networks["generator"])
        self.discriminator = wrap(self.networks["discriminator"])
        self.players = config.players
        self.optimizers = {
            name: torch.optim.Adam(
                self.networks[name].parameters(), player.learning_rate, (player.b1, player.b2)
            )
            for name, player in config.players.items()
        }

    def step(self, sketch, target, grid, sampling):
        """One step.

        Args:
          sketch: [batch, 1, size, size]; target: [batch, 3, size, size]; in [-1, 1].
          grid: [batch, size, size, 2], where the reference takes its colours from.
          sampling: [batch, h, w, 2], the same at the cells of the smallest map.
        """
        sketch, target = (x.contiguous(memory_format=self.format) for x in (sketch, target))
        reference = F.grid_sample(target, grid, padding_mode="border", align_corners=False)
        verdict = lambda image: self.discriminator(torch.cat([sketch, image], 1))
        fake, query, key = self.generator(sketch, reference)
        self.optimizers["discriminator"].zero_grad()
        loss_d = (verdict(fake.detach()) ** 2).mean() + ((verdict(target) - 1) ** 2).mean()
        loss_d.backward()
        self.optimizers["discriminator"].step()
        self.networks["discriminator"].requires_grad_(False)
        self.optimizers["generator"].zero_grad()
        m = self.model
        loss_g = (
            m.gan_weight * ((verdict(fake) - 1) ** 2).mean()
            + m.reconstruction_weight * F.l1_loss(fake, target)
            + m.triplet_weight * triplet(query, key, sampling, m.triplet_margin)
        )
        loss_g.backward()
        generator = self.networks["generator"]
        player = self.players["generator"]
        nn.utils.clip_grad_norm_(generator.parameters(), player.clip)
        self.optimizers["generator"].step()
        self.networks["discriminator"].requires_grad_(True)
        with torch.no_grad():
            for old, new in zip(self.average.parameters(), generator.parameters()):
                old.lerp_(new, 1 - player.ema)
        return loss_d.item(), loss_g.item()
