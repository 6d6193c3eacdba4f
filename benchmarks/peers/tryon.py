"""The networks of VITON-HD in plain torch, with the parameter names of the released code."""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import spectral_norm


def convolutions(channels, size=3, stride=1, norm=nn.InstanceNorm2d):
    """conv, norm, ReLU from each number of channels to the next."""
    parts = []
    for a, b in zip(channels, channels[1:]):
        parts += [nn.Conv2d(a, b, size, stride, 1), norm(b), nn.ReLU()]
    return parts


class Segmenter(nn.Module):
    def __init__(self, width=64, levels=5):
        super().__init__()
        self.levels = levels
        widths = [width * 2**i for i in range(levels)]
        for i, (a, b) in enumerate(zip([21, *widths], widths), 1):
            setattr(self, f"conv{i}", nn.Sequential(*convolutions([a, b, b])))
        for i, (a, b) in enumerate(zip(widths[::-1], widths[-2::-1]), levels + 1):
            last = [nn.Conv2d(b, 13, 3, 1, 1)] if b == width else []
            setattr(self, f"up{i}", nn.Sequential(nn.Upsample(scale_factor=2), *convolutions([a, b])))
            setattr(self, f"conv{i}", nn.Sequential(*convolutions([a, b, b]), *last))

    def forward(self, x):
        maps = []
        for i in range(1, self.levels + 1):
            x = getattr(self, f"conv{i}")(functional.max_pool2d(x, 2) if i > 1 else x)
            maps.append(x)
        maps.pop()
        for i in range(self.levels + 1, 2 * self.levels):
            x = getattr(self, f"conv{i}")(torch.cat([maps.pop(), getattr(self, f"up{i}")(x)], 1))
        return torch.sigmoid(x)


class Extractor(nn.Module):
    def __init__(self, channel, width, levels):
        super().__init__()
        widths = [channel, *(width * min(2**i, 8) for i in range(levels)), 8 * width]
        parts = []
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            size, stride = (4, 2) if i < levels else (3, 1)
            parts += [nn.Conv2d(a, b, size, stride, 1), nn.ReLU(), nn.BatchNorm2d(b)]
        self.model = nn.Sequential(*parts, nn.Conv2d(8 * width, 8 * width, 3, 1, 1), nn.ReLU())

    def forward(self, x):
        return functional.normalize(self.model(x), dim=1)


class Regression(nn.Module):
    def __init__(self, cells, width, points):
        super().__init__()
        first = convolutions([cells[0] * cells[1], 8 * width, 4 * width], 4, 2, nn.BatchNorm2d)
        self.conv = nn.Sequential(*first, *convolutions([4 * width, 2 * width, width], norm=nn.BatchNorm2d))
        self.linear = nn.Linear(width * (cells[0] // 4) * (cells[1] // 4), 2 * points**2)

    def forward(self, x):
        return torch.tanh(self.linear(self.conv(x).flatten(1)))


class Matcher(nn.Module):
    """Gives how far control points move, [batch, 2 points^2], x first."""

    def __init__(self, width=64, levels=4, size=(256, 192), points=5):
        super().__init__()
        self.extractionA, self.extractionB = Extractor(7, width, levels), Extractor(3, width, levels)
        self.regression = Regression([n // 2**levels for n in size], width, points)

    def forward(self, person, cloth):
        person, cloth = self.extractionA(person), self.extractionB(cloth)
        places = person.transpose(2, 3).flatten(2).transpose(1, 2)
        return self.regression((places @ cloth.flatten(2)).unflatten(2, cloth.shape[2:]))


class Norm(nn.Module):
    def __init__(self, features, regions, hidden):
        super().__init__()
        self.noise_scale = nn.Parameter(torch.zeros(features))
        self.conv_shared = nn.Sequential(nn.Conv2d(regions, hidden, 3, 1, 1), nn.ReLU())
        self.conv_gamma, self.conv_beta = (nn.Conv2d(hidden, features, 3, 1, 1) for _ in range(2))

    def forward(self, x, regions, mask):
        if mask is None:
            x = functional.instance_norm(x)
        else:
            parts = []
            for part in (mask, 1 - mask):
                count = part.sum((2, 3), keepdim=True)
                count = torch.where(count == 0, 1, count)
                filled = x * part + (1 - part) * (x * part).sum((2, 3), keepdim=True) / count
                parts.append(functional.instance_norm(filled) * (count / mask[0, 0].numel()).sqrt())
            x = parts[0] + parts[1]
        hidden = self.conv_shared(regions)
        return x * (1 + self.conv_gamma(hidden)) + self.conv_beta(hidden)


class Block(nn.Module):
    def __init__(self, channel, features, regions, hidden):
        super().__init__()
        inner = min(channel, features)
        self.conv_0 = spectral_norm(nn.Conv2d(channel, inner, 3, 1, 1))
        self.conv_1 = spectral_norm(nn.Conv2d(inner, features, 3, 1, 1))
        self.norm_0, self.norm_1 = Norm(channel, regions, hidden), Norm(inner, regions, hidden)
        if channel != features:
            self.conv_s = spectral_norm(nn.Conv2d(channel, features, 1, bias=False))
            self.norm_s = Norm(channel, regions, hidden)

    def forward(self, x, regions, mask):
        at = lambda maps: functional.interpolate(maps, x.shape[2:])
        regions, mask = at(regions), None if mask is None else at(mask)
        y = self.conv_0(functional.leaky_relu(self.norm_0(x, regions, mask), 0.2))
        y = self.conv_1(functional.leaky_relu(self.norm_1(y, regions, mask), 0.2))
        return y + (self.conv_s(self.norm_s(x, regions, mask)) if hasattr(self, "conv_s") else x)


class Painter(nn.Module):
    """Without noise."""

    def __init__(self, widths=(1024, 1024, 1024, 512, 256, 128, 64, 32), masked=5, hidden=128, added=16):
        super().__init__()
        self.masked = masked
        names = ["head_0", "G_middle_0", "G_middle_1", *(f"up_{i}" for i in range(len(widths) - 3))]
        self.names = names[: len(widths)]
        for i, name in enumerate(self.names):
            setattr(self, f"conv_{i}", nn.Conv2d(9, added if i else widths[0], 3, 1, 1))
            channel = widths[i - 1] + added if i else widths[0]
            setattr(self, name, Block(channel, widths[i], 7 + (i < masked), hidden))
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, 1, 1)

    def forward(self, x, regions, divided, mask):
        y = None
        for i, name in enumerate(self.names):
            size = [n * 2**i // 2 ** (len(self.names) - 1) for n in x.shape[2:]]
            given = getattr(self, f"conv_{i}")(functional.interpolate(x, size))
            y = torch.cat([functional.interpolate(y, scale_factor=2), given], 1) if i else given
            apart = i < self.masked
            y = getattr(self, name)(y, divided if apart else regions, mask if apart else None)
        return torch.tanh(self.conv_img(functional.leaky_relu(y, 0.2)))


class Pipeline(nn.Module):
    """All three on what each is given."""

    def __init__(self, widths):
        super().__init__()
        self.segmenter, self.matcher, self.painter = Segmenter(), Matcher(), Painter(widths)

    def forward(self, seen, person, cloth, painted):
        return self.segmenter(seen), self.matcher(person, cloth), self.painter(*painted)
