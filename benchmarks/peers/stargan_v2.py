"""StarGAN v2 in plain torch: the architecture, losses and optimizers of `systems.stargan_v2`.

Module names make the state dicts those of the released code.
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional

from vision_gen.nets.stargan_v2 import MASKED


class Block(nn.Module):
    """Two convolutions of 3x3 beside a shortcut, over sqrt 2."""

    def __init__(self, channel, features, normalise=False, down=False):
        super().__init__()
        self.normalise, self.down = normalise, down
        self.conv1, self.conv2 = nn.Conv2d(channel, channel, 3, 1, 1), nn.Conv2d(channel, features, 3, 1, 1)
        if normalise:
            self.norm1, self.norm2 = (nn.InstanceNorm2d(channel, affine=True) for _ in range(2))
        if channel != features:
            self.conv1x1 = nn.Conv2d(channel, features, 1, bias=False)

    def forward(self, x):
        halve = (lambda x: functional.avg_pool2d(x, 2)) if self.down else (lambda x: x)
        y = self.norm1(x) if self.normalise else x
        y = halve(self.conv1(functional.leaky_relu(y, 0.2)))
        y = self.norm2(y) if self.normalise else y
        y = self.conv2(functional.leaky_relu(y, 0.2))
        return (halve(self.conv1x1(x) if hasattr(self, "conv1x1") else x) + y) / math.sqrt(2)


class StyleNorm(nn.Module):
    def __init__(self, style_dim, features):
        super().__init__()
        self.fc = nn.Linear(style_dim, 2 * features)

    def forward(self, x, style):
        gamma, beta = self.fc(style)[:, :, None, None].chunk(2, 1)
        return (1 + gamma) * functional.instance_norm(x) + beta


class StyleBlock(nn.Module):
    """`Block` with norms by a style, doubled before; without a shortcut where there are high-pass skips."""

    def __init__(self, channel, features, style_dim, up, high_pass):
        super().__init__()
        self.up, self.high_pass = up, high_pass
        self.conv1, self.conv2 = nn.Conv2d(channel, features, 3, 1, 1), nn.Conv2d(features, features, 3, 1, 1)
        self.norm1, self.norm2 = StyleNorm(style_dim, channel), StyleNorm(style_dim, features)
        if channel != features:
            self.conv1x1 = nn.Conv2d(channel, features, 1, bias=False)

    def forward(self, x, style):
        double = (lambda x: functional.interpolate(x, scale_factor=2)) if self.up else (lambda x: x)
        y = self.conv1(double(functional.leaky_relu(self.norm1(x, style), 0.2)))
        y = self.conv2(functional.leaky_relu(self.norm2(y, style), 0.2))
        if self.high_pass:
            return y
        x = double(x)
        return ((self.conv1x1(x) if hasattr(self, "conv1x1") else x) + y) / math.sqrt(2)


class HighPass(nn.Module):
    def __init__(self, weight):
        super().__init__()
        taps = -torch.ones(3, 3)
        taps[1, 1] = 8
        self.register_buffer("filter", taps / weight)

    def forward(self, x):
        return functional.conv2d(x, self.filter.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


class Generator(nn.Module):
    """Images [batch, 3, size, size] in styles [batch, style_dim]; `masks` are two of [batch, 1, height, width]."""

    def __init__(self, size, style_dim=64, channel_base=2**14, channel_max=512, high_pass=0.0):
        super().__init__()
        channel = first = channel_base // size
        self.encode, decode = nn.ModuleList(), []
        for _ in range(int(math.log2(size)) - 4 + (high_pass > 0)):
            features = min(2 * channel, channel_max)
            self.encode.append(Block(channel, features, True, True))
            decode.insert(0, StyleBlock(features, channel, style_dim, True, high_pass))
            channel = features
        for _ in range(2):
            self.encode.append(Block(channel, channel, True))
            decode.insert(0, StyleBlock(channel, channel, style_dim, False, high_pass))
        self.decode = nn.ModuleList(decode)
        self.from_rgb = nn.Conv2d(3, first, 3, 1, 1)
        norm = nn.InstanceNorm2d(first, affine=True)
        self.to_rgb = nn.Sequential(norm, nn.LeakyReLU(0.2), nn.Conv2d(first, 3, 1))
        if high_pass:
            self.hpf = HighPass(high_pass)

    def forward(self, image, style, masks=None):
        x, kept = self.from_rgb(image), {}
        for block in self.encode:
            kept[x.shape[2]] = kept.get(x.shape[2], x)
            x = block(x)
        for block in self.decode:
            x = block(x, style)
            side = x.shape[2]
            if hasattr(self, "hpf") and side in MASKED:
                mask = functional.interpolate(masks[0 if side == 32 else 1], size=side, mode="bilinear")
                x = x + self.hpf(mask * kept[side])
        return self.to_rgb(x)


def _linears(*widths):
    """Linear maps with ReLUs between."""
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return layers[:-1]


def _of(each, label):
    """Of a list of [batch, ...] by domain, that of each example's."""
    return torch.stack(list(each), 1)[torch.arange(len(label)), label]


class MappingNetwork(nn.Module):
    def __init__(self, domains, latent_dim=16, style_dim=64, width=512):
        super().__init__()
        self.shared = nn.Sequential(*_linears(latent_dim, *[width] * 4), nn.ReLU())
        self.unshared = nn.ModuleList(nn.Sequential(*_linears(*[width] * 4, style_dim)) for _ in range(domains))

    def forward(self, latent, label):
        x = self.shared(latent)
        return _of((head(x) for head in self.unshared), label)


def _trunk(size, channel_base, channel_max):
    channel = channel_base // size
    layers = [nn.Conv2d(3, channel, 3, 1, 1)]
    for _ in range(int(math.log2(size)) - 2):
        features = min(2 * channel, channel_max)
        layers.append(Block(channel, features, down=True))
        channel = features
    return [*layers, nn.LeakyReLU(0.2), nn.Conv2d(channel, channel, 4), nn.LeakyReLU(0.2)], channel


class StyleEncoder(nn.Module):
    def __init__(self, domains, size, style_dim=64, channel_base=2**14, channel_max=512):
        super().__init__()
        layers, channel = _trunk(size, channel_base, channel_max)
        self.shared = nn.Sequential(*layers)
        self.unshared = nn.ModuleList(nn.Linear(channel, style_dim) for _ in range(domains))

    def forward(self, image, label):
        x = self.shared(image).flatten(1)
        return _of((head(x) for head in self.unshared), label)


class Discriminator(nn.Module):
    def __init__(self, domains, size, channel_base=2**14, channel_max=512):
        super().__init__()
        layers, channel = _trunk(size, channel_base, channel_max)
        self.main = nn.Sequential(*layers, nn.Conv2d(channel, domains, 1))

    def forward(self, image, label):
        return self.main(image).flatten(1)[torch.arange(len(label)), label]


def r1(discriminator, image, label):
    """(half the mean squared gradient of real images' logits, the logits); the first has gradients itself."""
    image = image.detach().requires_grad_()
    logits = discriminator(image, label)
    (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return 0.5 * slope.square().sum((1, 2, 3)).mean(), logits


class Trainer:
    """Training steps: the discriminator twice, the generator twice, averages.

    Args:
      model: settings of `systems.stargan_v2`.
      size: side of the images.
      channels_last: memory format of activations and weights.
    """

    def __init__(self, model, size, *, channels_last=False):
        self.model = model
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        widths, domains, style = (model.channel_base, model.channel_max), model.classes, model.style_dim
        self.generator = Generator(size, style, *widths)
        self.mapping_network = MappingNetwork(domains, model.latent_dim, style, model.mapping_width)
        self.style_encoder = StyleEncoder(domains, size, style, *widths)
        self.discriminator = Discriminator(domains, size, *widths)
        self.networks = self.generator, self.mapping_network, self.style_encoder, self.discriminator
        self.optimizers = []
        for network in self.networks:
            network.to(memory_format=self.format)
            rate = 1e-6 if network is self.mapping_network else 1e-4
            self.optimizers.append(torch.optim.Adam(network.parameters(), rate, (0.0, 0.99), weight_decay=1e-4))
        self.averages = [copy.deepcopy(network) for network in self.networks[:3]]

    def _move(self, loss, *numbers):
        """Moves some of the networks."""
        for network in self.networks:
            network.zero_grad()
        loss.backward()
        for number in numbers:
            self.optimizers[number].step()

    def _judged(self, real, fake, label, target):
        penalty, logits = r1(self.discriminator, real, label)
        verdict = self.discriminator(fake.detach(), target)
        return functional.softplus(-logits).mean() + functional.softplus(verdict).mean() + self.model.r1_weight * penalty

    def _painted(self, real, label, style, other, target, diversity):
        model, fake = self.model, self.generator(real, style)
        gan = functional.softplus(-self.discriminator(fake, target)).mean()
        found = functional.l1_loss(self.style_encoder(fake, target), style)
        with torch.no_grad():
            apart = self.generator(real, other)
        back = self.generator(fake, self.style_encoder(real, label))
        return (
            gan + model.style_weight * found - diversity * functional.l1_loss(fake, apart)
            + model.cycle_weight * functional.l1_loss(back, real)
        )  # fmt: skip

    def step(self, real, label, references, target, diversity=1.0):
        """Images [batch, 3, size, size] in [-1, 1] and two references of each, with labels [batch] of both."""
        real, *references = (x.contiguous(memory_format=self.format) for x in (real, *references))
        latents = torch.randn(2, len(real), self.model.latent_dim)
        of_latents = lambda: [self.mapping_network(latent, target) for latent in latents]
        of_references = lambda: [self.style_encoder(image, target) for image in references]
        for styles in (of_latents, of_references):
            with torch.no_grad():
                fake = self.generator(real, styles()[0])
            self._move(self._judged(real, fake, label, target), 3)
        for styles, numbers in ((of_latents, (0, 1, 2)), (of_references, (0,))):
            self._move(self._painted(real, label, *styles(), target, diversity), *numbers)
        for network, average in zip(self.networks, self.averages):
            for p, mean in zip(network.parameters(), average.parameters()):
                mean.data.lerp_(p.data, 0.001)
