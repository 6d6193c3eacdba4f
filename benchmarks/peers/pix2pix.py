"""pix2pix in plain torch: the architecture, losses and optimizers of `systems.pix2pix`.

Module names make the state dict that of the reference implementation.
"""

import torch
from torch import nn
from torch.nn import functional


class UNetStage(nn.Module):
    """One stage down, whatever is inside it, and the stage back up."""

    def __init__(self, outer, inner, *, channel=None, inside=None, outermost=False, dropout=False):
        super().__init__()
        innermost = inside is None
        channel = outer if channel is None else channel
        down = [] if outermost else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(channel, inner, 4, 2, 1, bias=False))
        if not outermost and not innermost:
            down.append(nn.BatchNorm2d(inner))
        up_channel = inner if innermost else 2 * inner
        up = [nn.ReLU(), nn.ConvTranspose2d(up_channel, outer, 4, 2, 1, bias=outermost)]
        up.append(nn.Tanh() if outermost else nn.BatchNorm2d(outer))
        if dropout:
            up.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*down, *([] if innermost else [inside]), *up)
        self.outermost = outermost

    def forward(self, x):
        y = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UNet(nn.Module):
    """C64-C128-C256-C512-...; `stages` halvings."""

    def __init__(self, stages, width=64, channel=3, features=3, dropout=True):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(stages)]
        stage = None
        for i in reversed(range(1, stages)):
            stage = UNetStage(
                widths[i - 1], widths[i], inside=stage, dropout=dropout and i >= stages - 3
            )
        self.model = UNetStage(features, width, channel=channel, inside=stage, outermost=True)

    def forward(self, x):
        return self.model(x)


class PatchDiscriminator(nn.Module):
    """The 70x70 PatchGAN."""

    def __init__(self, channel=6, width=64):
        super().__init__()
        layers = [nn.Conv2d(channel, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, stride in ((1, 2), (2, 2), (3, 1)):
            inner, outer = width * 2 ** (i - 1), width * 2**i
            layers += [
                nn.Conv2d(inner, outer, 4, stride, 1, bias=False),
                nn.BatchNorm2d(outer),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class Trainer:
    """One training step: discriminator, then generator, as published.

    Args:
      size: side of the images.
      channels_last: memory format of activations and weights.
      compiled: the networks with torch.compile.
    """

    def __init__(self, size, *, width=64, channels_last=False, compiled=False):
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.generator = UNet(size.bit_length() - 1, width).to(memory_format=self.format)
        self.discriminator = PatchDiscriminator(6, width).to(memory_format=self.format)
        adam = lambda net: torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999))
        self.generator_optimizer = adam(self.generator)
        self.discriminator_optimizer = adam(self.discriminator)
        wrap = torch.compile if compiled else lambda network: network
        self.run_generator, self.run_discriminator = wrap(self.generator), wrap(self.discriminator)

    def step(self, source, target):
        """source, target: [batch, 3, size, size] in [-1, 1]. Returns the two losses."""
        source, target = (x.contiguous(memory_format=self.format) for x in (source, target))
        verdict = lambda image: self.run_discriminator(torch.cat([source, image], 1))
        bce = lambda x, real: functional.softplus(-x if real else x).mean()
        fake = self.run_generator(source)
        self.discriminator_optimizer.zero_grad()
        loss_d = 0.5 * (bce(verdict(fake.detach()), False) + bce(verdict(target), True))
        loss_d.backward()
        self.discriminator_optimizer.step()
        self.discriminator.requires_grad_(False)
        self.generator_optimizer.zero_grad()
        loss_g = bce(verdict(fake), True) + 100 * functional.l1_loss(fake, target)
        loss_g.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        return loss_d.item(), loss_g.item()
