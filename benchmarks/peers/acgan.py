"""ACGAN in plain torch: the architecture, losses and optimizers of `systems.acgan.ACGAN`."""

import torch
from torch import nn
from torch.nn import functional


class Generator(nn.Module):
    """Latent and one-hot class to images [batch, channels, size, size]."""

    def __init__(self, model, size):
        super().__init__()
        widths = model.widths
        self.base = size // 2 ** len(widths)
        self.start = nn.Linear(model.latent + model.classes, widths[0] * self.base**2)
        up = []
        for inner, outer in zip(widths, widths[1:]):
            up += [nn.ConvTranspose2d(inner, outer, 5, 2, 2, 1), nn.BatchNorm2d(outer), nn.ReLU()]
        self.up = nn.Sequential(*up, nn.ConvTranspose2d(widths[-1], model.channels, 5, 2, 2, 1), nn.Tanh())

    def forward(self, latent, classes):
        x = functional.relu(self.start(torch.cat([latent, classes], 1)))
        return self.up(x.reshape(len(x), -1, self.base, self.base))


class Discriminator(nn.Module):
    """Logits of being real [batch], and of the classes."""

    def __init__(self, model, size):
        super().__init__()
        trunk, inner = [], model.channels
        for i, outer in enumerate(model.discriminator_widths):
            stride = 2 - i % 2
            size = -(-size // stride)
            norm = [nn.BatchNorm2d(outer)] if i else []
            trunk += [nn.Conv2d(inner, outer, 3, stride, 1), *norm, nn.LeakyReLU(0.2), nn.Dropout(model.dropout)]
            inner = outer
        self.trunk = nn.Sequential(*trunk)
        self.head = nn.Linear(inner * size**2, 1 + model.classes)

    def forward(self, image):
        x = self.head(self.trunk(image).flatten(1))
        return x[:, 0], x[:, 1:]


class Trainer:
    """One training step: discriminator, then generator.

    Args:
      model: settings of `systems.acgan.ACGAN`.
      size: side of the images.
      channels_last: memory format of activations and weights.
      compiled: the networks with torch.compile.
    """

    def __init__(self, model, size, *, channels_last=False, compiled=False):
        self.model = model
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.generator = Generator(model, size).to(memory_format=self.format)
        self.discriminator = Discriminator(model, size).to(memory_format=self.format)
        adam = lambda net: torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999))
        self.generator_optimizer, self.discriminator_optimizer = adam(self.generator), adam(self.discriminator)
        wrap = torch.compile if compiled else lambda network: network
        self.run_generator, self.run_discriminator = wrap(self.generator), wrap(self.discriminator)

    def step(self, image, label):
        """image [batch, channels, size, size] in [-1, 1], label [batch]. Returns the two losses."""
        image = image.contiguous(memory_format=self.format)

        def loss(image, real):
            source, classes = self.run_discriminator(image)
            return functional.softplus(-source if real else source).mean() + functional.cross_entropy(classes, label)

        latent = torch.randn(len(label), self.model.latent)
        fake = self.run_generator(latent, functional.one_hot(label, self.model.classes).float())
        self.discriminator_optimizer.zero_grad()
        loss_d = loss(image, True) + loss(fake.detach(), False)
        loss_d.backward()
        self.discriminator_optimizer.step()
        self.discriminator.requires_grad_(False)
        self.generator_optimizer.zero_grad()
        loss_g = loss(fake, True)
        loss_g.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        return loss_d.item(), loss_g.item()
