"""CycleGAN in plain torch: the architecture, losses and optimizers of `systems.cyclegan`.

Module names make the state dicts those of the reference implementation.
"""

import itertools
import random

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        conv = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*conv(), nn.ReLU(), *conv())

    def forward(self, x):
        return x + self.conv_block(x)


class Generator(nn.Module):
    """Images [batch, 3, height, width] to images."""

    def __init__(self, width=64, blocks=9):
        super().__init__()
        steps = [(width, 2 * width), (2 * width, 4 * width)]
        after = lambda n: [nn.InstanceNorm2d(n), nn.ReLU()]
        model = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *after(width)]
        for a, b in steps:
            model += [nn.Conv2d(a, b, 3, 2, 1), *after(b)]
        model += [Block(4 * width) for _ in range(blocks)]
        for a, b in reversed(steps):
            model += [nn.ConvTranspose2d(b, a, 3, 2, 1, output_padding=1), *after(a)]
        self.model = nn.Sequential(*model, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, image):
        return self.model(image)


class Discriminator(nn.Module):
    """The 70x70 PatchGAN, normalised by the instance."""

    def __init__(self, width=64):
        super().__init__()
        model, widths = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)], [width * 2**i for i in range(4)]
        for a, b, stride in zip(widths, widths[1:], (2, 2, 1)):
            model += [nn.Conv2d(a, b, 4, stride, 1), nn.InstanceNorm2d(b), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*model, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, image):
        return self.model(image)


class Trainer:
    """One training step: both generators, then both discriminators.

    Args:
      model: settings of `systems.cyclegan`.
      channels_last: memory format of activations and weights.
      compiled: the networks with torch.compile.
    """

    def __init__(self, model, *, channels_last=False, compiled=False):
        self.model, self.pools = model, ([], [])
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        painters = [Generator(model.width, model.residual_blocks).to(memory_format=self.format) for _ in range(2)]
        critics = [Discriminator(model.discriminator_width).to(memory_format=self.format) for _ in range(2)]
        parameters = lambda nets: itertools.chain(*(net.parameters() for net in nets))
        self.optimizers = [torch.optim.Adam(parameters(nets), 2e-4, (0.5, 0.999)) for nets in (painters, critics)]
        self.critics = critics
        wrap = torch.compile if compiled else lambda network: network
        self.paint, self.judge = [[wrap(net) for net in nets] for nets in (painters, critics)]

    def step(self, a, b):
        """Images of both domains, [batch, 3, size, size] in [-1, 1]."""
        real = [x.contiguous(memory_format=self.format) for x in (b, a)]  # Of b first, as its generator.
        model, (of_painters, of_critics) = self.model, self.optimizers
        weight = model.cycle_weight
        fake = [self.paint[0](real[1]), self.paint[1](real[0])]
        back = [self.paint[0](fake[1]), self.paint[1](fake[0])]
        for critic in self.critics:
            critic.requires_grad_(False)
        of_painters.zero_grad()
        loss = sum(((judge(image) - 1) ** 2).mean() for judge, image in zip(self.judge, fake))
        loss = loss + weight * sum(functional.l1_loss(x, y) for x, y in zip(back, real))
        same = sum(functional.l1_loss(paint(x), x) for paint, x in zip(self.paint, real))
        (loss + weight * model.identity_weight * same).backward()
        of_painters.step()
        for critic in self.critics:
            critic.requires_grad_(True)
        of_critics.zero_grad()
        for judge, x, y, pool in zip(self.judge, real, fake, self.pools):
            seen = self._query(pool, y.detach())
            (0.5 * ((judge(x) - 1) ** 2).mean() + 0.5 * (judge(seen) ** 2).mean()).backward()
        of_critics.step()

    def _query(self, pool, images):
        seen = []
        for image in images:
            if len(pool) < self.model.pool:
                pool.append(image)
            elif random.random() > 0.5:
                place = random.randrange(len(pool))
                pool[place], image = image, pool[place]
            seen.append(image)
        return torch.stack(seen)
