"""NeRF's training step in plain torch: the same networks, sampling and optimizer."""

import torch
from torch import nn


class RadianceMLP(nn.Module):
    """Mildenhall et al. 2020, with the names of the PyTorch implementation."""

    def __init__(self, width=256):
        super().__init__()
        self.pts_linears = nn.ModuleList(
            nn.Linear(63 if i == 0 else width + 63 * (i == 5), width) for i in range(8)
        )
        self.views_linears = nn.ModuleList([nn.Linear(width + 27, width // 2)])
        self.feature_linear = nn.Linear(width, width)
        self.alpha_linear = nn.Linear(width, 1)
        self.rgb_linear = nn.Linear(width // 2, 3)

    def forward(self, x, d):
        """Raw density [...] and colour [..., 3] at `x` [..., 3] seen along `d` [..., 3]."""
        x = encode(x, 10)
        h = x
        for i, layer in enumerate(self.pts_linears):
            if i == 5:
                h = torch.cat([x, h], -1)
            h = torch.relu(layer(h))
        density = self.alpha_linear(h)[..., 0]
        view = encode(d, 4).expand(*h.shape[:-1], -1)
        h = torch.relu(self.views_linears[0](torch.cat([self.feature_linear(h), view], -1)))
        return density, torch.sigmoid(self.rgb_linear(h))


def encode(v, octaves):
    parts = [v]
    for k in range(octaves):
        parts += [torch.sin(v * 2.0**k), torch.cos(v * 2.0**k)]
    return torch.cat(parts, -1)


def composite(density, colour, t, direction):
    """Weights [rays, samples] and colour over white [rays, 3]."""
    length = torch.cat([torch.diff(t), torch.full_like(t[:, :1], 1e10)], -1)
    alpha = 1 - torch.exp(-torch.relu(density) * length * direction.norm(dim=-1, keepdim=True))
    before = torch.cumprod(torch.cat([torch.ones_like(t[:, :1]), 1 - alpha + 1e-10], -1), -1)
    weights = alpha * before[:, :-1]
    return weights, (weights[..., None] * colour).sum(1) + 1 - weights.sum(1, keepdim=True)


def importance(edges, weights, samples):
    """Stratified draws from a piecewise constant density."""
    weights = weights.detach() + 1e-5
    mass = weights / weights.sum(-1, keepdim=True)
    total = torch.cat([torch.zeros_like(mass[:, :1]), torch.cumsum(mass, -1)], -1)
    u = (torch.arange(samples) + torch.rand(len(mass), samples)) / samples
    bin = (torch.searchsorted(total, u, right=True) - 1).clamp(0, mass.shape[1] - 1)
    low, width = edges.gather(1, bin), torch.diff(edges).gather(1, bin)
    return low + width * ((u - total.gather(1, bin)) / mass.gather(1, bin)).clamp(0, 1)


class Trainer:
    """One step of Adam on coarse and fine colours of rays; `compiled` with torch.compile."""

    def __init__(self, width=256, coarse=64, fine=128, *, compiled=False):
        self.networks = nn.ModuleList([RadianceMLP(width), RadianceMLP(width)])
        self.optimizer = torch.optim.Adam(self.networks.parameters(), 5e-4, eps=1e-7)
        self.samples = coarse, fine
        self.run = torch.compile(self.loss) if compiled else self.loss

    def render(self, origin, direction):
        """Coarse and fine colours [rays, 3]."""
        view = (direction / direction.norm(dim=-1, keepdim=True))[:, None]

        def look(network, t):
            x = origin[:, None] + t[..., None] * direction[:, None]
            return composite(*network(x, view), t, direction)

        coarse, fine = self.samples
        t = 2 + 4 * (torch.arange(coarse) + torch.rand(len(origin), coarse)) / coarse
        weights, first = look(self.networks[0], t)
        middles = (t[:, 1:] + t[:, :-1]) / 2
        more = importance(middles, weights[:, 1:-1], fine)
        _, second = look(self.networks[1], torch.sort(torch.cat([t, more], -1), -1).values)
        return first, second

    def loss(self, origin, direction, truth):
        return sum(((colour - truth) ** 2).mean() for colour in self.render(origin, direction))

    def step(self, origin, direction, truth, parts=1):
        """Rays [rays, 3] each and their colours [rays, 3] -> loss; gradients add up over parts."""
        self.optimizer.zero_grad()
        total = self.gradients(origin, direction, truth, parts)
        self.optimizer.step()
        return total

    def gradients(self, origin, direction, truth, parts):
        """Adds those of `loss`, which it returns."""
        total = 0.0
        for part in zip(*(x.chunk(parts) for x in (origin, direction, truth))):
            loss = self.run(*part) / parts
            loss.backward()
            total += loss.item()
        return total
