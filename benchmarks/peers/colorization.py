"""The colorization networks of Zhang et al. in plain torch, and one step of their training.

Module names make the state dicts those of the released files.
"""

import torch
from torch import nn
from torch.nn import functional


def block(channel, features, count, *, stride=1, dilation=1, norm=True, relu_first=False):
    """Convolutions with a ReLU each, the last with the stride, and a normalisation."""
    layers = [nn.ReLU()] if relu_first else []
    for i in range(count):
        step = stride if i == count - 1 else 1
        layers += [nn.Conv2d(features if i else channel, features, 3, step, dilation, dilation), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(features)] if norm else []))


class ECCV16(nn.Module):
    """[batch, 1, height, width] of (L - 50) / 100 to (logits, ab / 110)."""

    def __init__(self, width=64):
        super().__init__()
        w = width
        self.model1 = block(1, w, 2, stride=2)
        self.model2 = block(w, 2 * w, 2, stride=2)
        self.model3 = block(2 * w, 4 * w, 3, stride=2)
        self.model4 = block(4 * w, 8 * w, 3)
        self.model5 = block(8 * w, 8 * w, 3, dilation=2)
        self.model6 = block(8 * w, 8 * w, 3, dilation=2)
        self.model7 = block(8 * w, 8 * w, 3)
        up = nn.ConvTranspose2d(8 * w, 4 * w, 4, 2, 1)
        inner = block(4 * w, 4 * w, 2, norm=False, relu_first=True)
        self.model8 = nn.Sequential(up, *inner, nn.Conv2d(4 * w, 313, 1))
        self.model_out = nn.Conv2d(313, 2, 1, bias=False)

    def forward(self, lightness):
        x = lightness
        for i in range(1, 9):
            x = getattr(self, f"model{i}")(x)
        ab = self.model_out(torch.softmax(x, 1))
        return x, functional.interpolate(ab, scale_factor=4, mode="bilinear")


class SIGGRAPH17(nn.Module):
    """(L - 50) / 100 [batch, 1, height, width], hints [batch, 2, ...], mask [batch, 1, ...] to (ab / 110, logits)."""

    def __init__(self, width=64):
        super().__init__()
        w = width
        self.model1 = block(4, w, 2)
        self.model2 = block(w, 2 * w, 2)
        self.model3 = block(2 * w, 4 * w, 3)
        self.model4 = block(4 * w, 8 * w, 3)
        self.model5 = block(8 * w, 8 * w, 3, dilation=2)
        self.model6 = block(8 * w, 8 * w, 3, dilation=2)
        self.model7 = block(8 * w, 8 * w, 3)
        alone = lambda layer, *more: nn.Sequential(layer, *more)
        self.model8up = alone(nn.ConvTranspose2d(8 * w, 4 * w, 4, 2, 1))
        self.model3short8 = alone(nn.Conv2d(4 * w, 4 * w, 3, 1, 1))
        self.model8 = block(4 * w, 4 * w, 2, relu_first=True)
        self.model9up = alone(nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1))
        self.model2short9 = alone(nn.Conv2d(2 * w, 2 * w, 3, 1, 1))
        self.model9 = block(2 * w, 2 * w, 1, relu_first=True)
        self.model10up = alone(nn.ConvTranspose2d(2 * w, 2 * w, 4, 2, 1))
        self.model1short10 = alone(nn.Conv2d(w, 2 * w, 3, 1, 1))
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.LeakyReLU(0.2))
        self.model_class = alone(nn.Conv2d(4 * w, 529, 1))
        self.model_out = alone(nn.Conv2d(2 * w, 2, 1), nn.Tanh())

    def forward(self, lightness, hints, mask, by_class=None):
        """`by_class`: True: only the logits move the trunk; False: only the colours; None: both do."""
        to_class = (lambda x: x.detach()) if by_class is False else (lambda x: x)
        to_colour = (lambda x: x.detach()) if by_class is True else (lambda x: x)
        one = self.model1(torch.cat([lightness, hints, mask], 1))
        two = self.model2(one[:, :, ::2, ::2])
        three = self.model3(two[:, :, ::2, ::2])
        x = self.model4(three[:, :, ::2, ::2])
        x = self.model7(self.model6(self.model5(x)))
        eight = self.model8(self.model8up(x) + self.model3short8(three))
        nine = self.model9(self.model9up(to_colour(eight)) + self.model2short9(to_colour(two)))
        ten = self.model10(self.model10up(nine) + self.model1short10(to_colour(one)))
        return self.model_out(ten), self.model_class(to_class(eight))


class Trainer:
    """One step of training a network by what it is given encoded.

    Args:
      name: "eccv16" or "siggraph17".
      width: channels of the first block.
      channels_last: memory format of activations and weights.
      compiled: the network with torch.compile.
    """

    def __init__(self, name, width=64, *, channels_last=False, compiled=False):
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        network = {"eccv16": ECCV16, "siggraph17": SIGGRAPH17}[name](width).to(memory_format=self.format)
        trained = [p for key, p in network.named_parameters() if (name, key) != ("eccv16", "model_out.weight")]
        self.optimizer = torch.optim.Adam(trained, 3e-5, (0.9, 0.99))
        self.run = torch.compile(network) if compiled else network
        self.loss = getattr(self, name)

    def step(self, *given):
        """What the loss of its network takes. Returns the loss."""
        given = [x.contiguous(memory_format=self.format) if x.ndim == 4 else x for x in given]
        self.optimizer.zero_grad()
        loss = self.loss(*given)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def eccv16(self, lightness, target, count):
        """target: [batch, 313, height / 4, width / 4] of soft classes; count: [batch, height / 4, width / 4]."""
        logits, _ = self.run(lightness)
        return (functional.cross_entropy(logits, target, reduction="none") * count).mean()

    def siggraph17(self, lightness, hints, mask, ab, number):
        """ab: [batch, 2, height, width]; number: [batch, height / 4, width / 4] of classes."""
        colours, logits = self.run(lightness, hints, mask, False)
        return functional.cross_entropy(logits, number) + 10 * (colours - ab).abs().sum(1).mean()
