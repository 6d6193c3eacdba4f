"""StarGAN in plain torch: the architecture, losses and optimizers of `systems.stargan`, domains being attributes.

Module names make the state dicts those of the released code.
"""

import torch
from torch import nn
from torch.nn import functional


def _normalised(conv, width):
    return [conv, nn.InstanceNorm2d(width, affine=True, track_running_stats=True)]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        conv = lambda: _normalised(nn.Conv2d(width, width, 3, 1, 1, bias=False), width)
        self.main = nn.Sequential(*conv(), nn.ReLU(), *conv())

    def forward(self, x):
        return x + self.main(x)


class Generator(nn.Module):
    """Images [batch, 3, height, width] and labels [batch, labels] to images."""

    def __init__(self, labels, width=64, blocks=6):
        super().__init__()
        w = [width, 2 * width, 4 * width]
        main = [*_normalised(nn.Conv2d(3 + labels, w[0], 7, 1, 3, bias=False), w[0]), nn.ReLU()]
        for a, b in zip(w, w[1:]):
            main += [*_normalised(nn.Conv2d(a, b, 4, 2, 1, bias=False), b), nn.ReLU()]
        main += [Block(w[2]) for _ in range(blocks)]
        for a, b in ((w[2], w[1]), (w[1], w[0])):
            main += [*_normalised(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), b), nn.ReLU()]
        self.main = nn.Sequential(*main, nn.Conv2d(w[0], 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, image, label):
        maps = label[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.main(torch.cat([image, maps], 1))


class Discriminator(nn.Module):
    """How real the patches of images are, and logits of labels."""

    def __init__(self, size, labels, width=64, stages=6):
        super().__init__()
        main, channel = [], 3
        for i in range(stages):
            main += [nn.Conv2d(channel, width * 2**i, 4, 2, 1), nn.LeakyReLU(0.01)]
            channel = width * 2**i
        self.main = nn.Sequential(*main)
        self.conv1 = nn.Conv2d(channel, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(channel, labels, size // 2**stages, bias=False)

    def forward(self, image):
        x = self.main(image)
        return self.conv1(x), self.conv2(x).flatten(1)


def penalty(discriminator, image):
    """Mean of (|d score / d image| - 1)^2; it has gradients itself."""
    image = image.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(image)[0].sum(), image, create_graph=True)
    return ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


class Trainer:
    """Training steps: the discriminator, and at every fifth the generator.

    Args:
      model: settings of `systems.stargan`.
      size: side of the images.
      labels: numbers in a label.
      channels_last: memory format of activations and weights.
    """

    def __init__(self, model, size, labels, *, channels_last=False):
        self.model, self.number = model, 0
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.paint = Generator(labels, model.width, model.residual_blocks).to(memory_format=self.format)
        self.critic = Discriminator(size, labels, model.discriminator_width, model.stages).to(memory_format=self.format)
        adam = lambda net: torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999))
        self.optimizers = adam(self.critic), adam(self.paint)

    def _class_loss(self, logits, label):
        return functional.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(logits)

    def step(self, image, label):
        """image [batch, 3, size, size] in [-1, 1], label [batch, labels] of 0 and 1."""
        image, target = image.contiguous(memory_format=self.format), label[torch.randperm(len(label))]
        of_critic, of_generator = self.optimizers
        of_critic.zero_grad()
        with torch.no_grad():
            fake = self.paint(image, target)
        (real_source, logits), (fake_source, _) = self.critic(image), self.critic(fake)
        share = torch.rand(len(image), 1, 1, 1)
        between = share * image + (1 - share) * fake
        loss = fake_source.mean() - real_source.mean() + self._class_loss(logits, label)
        (loss + 10 * penalty(self.critic, between)).backward()
        of_critic.step()
        if self.number % 5 == 0:
            self.critic.requires_grad_(False)
            of_generator.zero_grad()
            fake = self.paint(image, target)
            source, logits = self.critic(fake)
            back = self.paint(fake, label)
            loss = self._class_loss(logits, target) - source.mean() + 10 * functional.l1_loss(back, image)
            loss.backward()
            of_generator.step()
            self.critic.requires_grad_(True)
        self.number += 1
