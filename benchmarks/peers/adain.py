"""AdaIN in plain torch: layers at the places that the released files give them, losses and optimizer of `systems.adain`."""

import torch
from torch import nn
from torch.nn import functional

TAPS = 4, 11, 18, 31  # Layers up to the maps that style is taken of; the last is the content's.
EPSILON = 1e-5


def conv(channel, features):
    return [nn.ReflectionPad2d(1), nn.Conv2d(channel, features, 3), nn.ReLU()]


def encoder():
    """VGG-19 up to relu4_1."""
    parts, channel = [nn.Conv2d(3, 3, 1)], 3
    for block, count in enumerate((2, 2, 4, 1)):
        parts += [nn.MaxPool2d(2, 2, 0, ceil_mode=True)] if block else []
        for _ in range(count):
            parts += conv(channel, 64 * 2**block)
            channel = 64 * 2**block
    return nn.Sequential(*parts)


def decoder(width=64):
    """The encoder mirrored; `width` features in its last hidden layer."""
    parts, channel = [], 512
    for features in (4, 0, 4, 4, 4, 2, 0, 2, 1, 0, 1):
        parts += conv(channel, features * width) if features else [nn.Upsample(scale_factor=2)]
        channel = features * width or channel
    return nn.Sequential(*parts, *conv(channel, 3)[:2])


def moments(maps):
    """(mean, deviation) over places."""
    return maps.mean((2, 3), keepdim=True), (maps.var((2, 3), keepdim=True) + EPSILON).sqrt()


def losses(encoder, decoder, content, style):
    """(image, loss of content, loss of style) for images [batch, 3, height, width] in [0, 1]."""
    look = lambda x: [x := part(x) for part in parts]
    parts = [encoder[start:stop] for start, stop in zip((0, *TAPS), TAPS)]
    with torch.no_grad():
        wanted, maps = [moments(x) for x in look(style)], encoder(content)
        mean, deviation = moments(maps)
        target = (maps - mean) / deviation * wanted[-1][1] + wanted[-1][0]
    image = decoder(target)
    found = look(image)
    apart = [functional.mse_loss(a, b) for x, goal in zip(found, wanted) for a, b in zip(moments(x), goal)]
    return image, functional.mse_loss(found[-1], target), sum(apart)


class Trainer:
    """One training step of the released size.

    Args:
      channels_last: memory format of activations and weights.
      compiled: the networks with torch.compile.
    """

    def __init__(self, *, channels_last=False, compiled=False):
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.encoder, self.decoder = (make().to(memory_format=self.format) for make in (encoder, decoder))
        self.encoder.requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.decoder.parameters(), 1e-4)
        self.losses = torch.compile(losses) if compiled else losses

    def step(self, content, style):
        """content, style [batch, 3, size, size] in [0, 1]. Returns the loss."""
        content, style = (x.contiguous(memory_format=self.format) for x in (content, style))
        _, of_content, of_style = self.losses(self.encoder, self.decoder, content, style)
        loss = of_content + 10 * of_style
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()
