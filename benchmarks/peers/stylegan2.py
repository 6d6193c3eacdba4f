"""StyleGAN2-ADA in plain torch: the formulations of the reference's path without CUDA extensions, all four phases.

Skip generator and residual discriminator, resampling by grouped convolutions with zeros between the pixels, new latents and
images in every phase, augmentations "bgc" by a batch-wide margin.
"""

import copy
import math

import torch
from torch import nn
import torch.nn.functional as F

from vision_gen.ops import ada_augment

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


def upfirdn(x, taps, *, up=1, down=1, padding=(0, 0), gain=1.0, flip=False):
    """Zeros between, padding or cropping, the filter in both directions, every `down`-th pixel."""
    batch, channel, height, width = x.shape
    if up > 1:
        x = F.pad(x.reshape(batch, channel, height, 1, width, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = x.reshape(batch, channel, height * up, width * up)
    x = F.pad(x, (*padding, *padding))
    taps = (taps if flip else taps.flip(0)) * gain**0.5
    if len(taps) < 8:  # As the reference does: the product of the two.
        x = F.conv2d(x, torch.outer(taps, taps).expand(channel, 1, -1, -1), groups=channel)
    else:
        x = F.conv2d(x, taps.expand(channel, 1, 1, -1), groups=channel)
        x = F.conv2d(x, taps[:, None].expand(channel, 1, -1, 1), groups=channel)
    return x[:, :, ::down, ::down]


def conv(x, weight, *, up=1, down=1):
    """The reference's fast paths of convolution and resampling."""
    size = weight.shape[-1]
    half = size // 2
    if up > 1:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=up)
        return upfirdn(x, TAPS, padding=(half + 2 - size + 1, half + 1 - size + up), gain=up**2)
    if down > 1 and size == 1:
        return F.conv2d(upfirdn(x, TAPS, down=down, padding=(1, 1)), weight)
    if down > 1:
        return F.conv2d(upfirdn(x, TAPS, padding=(half + 1, half + 1)), weight, stride=down)
    return F.conv2d(x, weight, padding=half)


def activate(x, bias, gain=1.0, clamp=256.0):
    x = F.leaky_relu(x + bias.reshape(1, -1, *(1,) * (x.ndim - 2)), 0.2) * (2**0.5 * gain)
    return x.clamp(-clamp * gain, clamp * gain) if clamp else x


class Dense(nn.Module):
    def __init__(self, channel, features, rate=1.0, start=0.0, linear=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, channel) / rate)
        self.bias = nn.Parameter(torch.full([features], start))
        self.rate, self.linear = rate, linear

    def forward(self, x):
        weight, bias = self.weight * (self.rate / self.weight.shape[1] ** 0.5), self.bias * self.rate
        return F.linear(x, weight, bias) if self.linear else activate(F.linear(x, weight), bias, clamp=0)


class Conv(nn.Module):
    def __init__(self, channel, features, size, down=1, plain=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, channel, size, size))
        self.bias = None if plain else nn.Parameter(torch.zeros(features))
        self.down = down

    def forward(self, x, gain=1.0):
        x = conv(x, self.weight / self.weight[0].numel() ** 0.5, down=self.down)
        return x * gain if self.bias is None else activate(x, self.bias, gain)


class StyledConv(nn.Module):
    def __init__(self, channel, features, w_size, size=3, up=1, colours=False):
        super().__init__()
        self.affine = Dense(w_size, channel, start=1.0, linear=True)
        self.weight = nn.Parameter(torch.randn(features, channel, size, size))
        self.bias = nn.Parameter(torch.zeros(features))
        self.strength = None if colours else nn.Parameter(torch.zeros([]))
        self.up = up

    def forward(self, x, w):
        style = self.affine(w)
        if self.strength is None:
            x = conv(x * (style / style.shape[1] ** 0.5)[:, :, None, None], self.weight)
            return (x + self.bias[:, None, None]).clamp(-256, 256)
        each = self.weight * style[:, None, :, None, None]
        x = conv(x * style[:, :, None, None], self.weight, up=self.up)
        noise = torch.randn(len(x), 1, *x.shape[2:]) * self.strength
        x = torch.addcmul(noise, x, (each.square().sum((2, 3, 4)) + 1e-8).rsqrt()[:, :, None, None])
        return activate(x, self.bias)


class Generator(nn.Module):
    def __init__(self, size, model):
        super().__init__()
        width = lambda side: min(model.channel_base // side, model.channel_max)
        sides = [2**i for i in range(2, size.bit_length())]
        w_size, self.z_size, self.layers = model.w_size, model.z_size, 2 * len(sides)
        depths = [model.z_size] + [w_size] * model.mapping_layers
        self.mapping = nn.Sequential(*(Dense(a, b, rate=0.01) for a, b in zip(depths[:-1], depths[1:])))
        self.const = nn.Parameter(torch.randn(width(4), 4, 4))
        conv0 = lambda side: StyledConv(width(side // 2), width(side), w_size, up=2)
        self.conv0 = nn.ModuleList(conv0(side) for side in sides[1:])
        self.conv1 = nn.ModuleList(StyledConv(width(side), width(side), w_size) for side in sides)
        self.colours = nn.ModuleList(StyledConv(width(side), 3, w_size, 1, colours=True) for side in sides)
        self.register_buffer("average", torch.zeros(w_size))

    def latents(self, batch, mixing):
        one = lambda: self.mapping(F.normalize(torch.randn(batch, self.z_size)) * self.z_size**0.5)
        w = one()
        self.average.copy_(w.detach().mean(0).lerp(self.average, 0.995))
        ws = w[:, None].repeat(1, self.layers, 1)
        if mixing:
            cutoff = int(torch.randint(1, self.layers, [])) if torch.rand([]) < mixing else self.layers
            other = one()[:, None].repeat(1, self.layers, 1)
            ws = torch.cat([ws[:, :cutoff], other[:, cutoff:]], 1)
        return ws

    def forward(self, ws):
        x, image = self.const.repeat(len(ws), 1, 1, 1), None
        for i, (conv1, colours) in enumerate(zip(self.conv1, self.colours)):
            if i:
                x = self.conv0[i - 1](x, ws[:, 2 * i - 1])
                image = upfirdn(image, TAPS, up=2, padding=(2, 1), gain=4)
            x = conv1(x, ws[:, 2 * i])
            found = colours(x, ws[:, 2 * i + 1])
            image = found if image is None else image + found
        return image


class Block(nn.Module):
    def __init__(self, channel, features):
        super().__init__()
        self.conv0, self.conv1 = Conv(channel, channel, 3), Conv(channel, features, 3, down=2)
        self.skip = Conv(channel, features, 1, down=2, plain=True)

    def forward(self, x):
        return self.skip(x, 0.5**0.5) + self.conv1(self.conv0(x), 0.5**0.5)


class Discriminator(nn.Module):
    def __init__(self, size, model):
        super().__init__()
        width = lambda side: min(model.channel_base // side, model.channel_max)
        sides = [2**i for i in range(size.bit_length() - 1, 2, -1)]
        self.blocks = nn.Sequential(Conv(3, width(size), 1), *(Block(width(side), width(side // 2)) for side in sides))
        last = width(4)
        self.conv, self.dense, self.out = Conv(last + 1, last, 3), Dense(16 * last, last), Dense(last, 1, linear=True)
        self.group = model.group

    def forward(self, x):
        x = self.blocks(x)
        y = x.reshape(min(self.group, len(x)), -1, *x.shape[1:])
        y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).repeat(len(x) // y.shape[1])
        x = torch.cat([x, y[:, None, None, None].expand(-1, 1, 4, 4)], 1)
        return self.out(self.dense(self.conv(x).flatten(1)))


class GridSample(torch.autograd.Function):
    """Bilinear sampling whose gradient with respect to the image has one itself."""

    @staticmethod
    def forward(ctx, image, grid):
        ctx.save_for_backward(image, grid)
        return F.grid_sample(image, grid, align_corners=False)

    @staticmethod
    def backward(ctx, out):
        return GridSampleBackward.apply(out, *ctx.saved_tensors), None


class GridSampleBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, out, image, grid):
        ctx.save_for_backward(grid)
        return torch.ops.aten.grid_sampler_2d_backward(out, image, grid, 0, 0, False, [True, False])[0]

    @staticmethod
    def backward(ctx, image):
        return GridSample.apply(image, *ctx.saved_tensors), None, None


def augment(images, p):
    """The reference's "bgc" with probability p."""
    batch, _, height, width = images.shape
    acts = lambda value, rest, share=p: torch.where(torch.rand(batch) < share, value, torch.full([batch], float(rest)))
    uniform, normal = lambda: torch.rand(batch) * 2 - 1, lambda: torch.randn(batch)
    zero, one = torch.zeros(batch), torch.ones(batch)

    def matrix(xx, xy, yx, yy, x=zero, y=zero):
        return torch.stack([xx, xy, x, yx, yy, y, zero, zero, one], -1).reshape(batch, 3, 3)

    turned = lambda angle: matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    moved = lambda x, y: matrix(one, zero, zero, one, -x, -y)
    chosen = 1 - (1 - p) ** 0.5
    inverse = matrix(1 - 2 * acts((torch.rand(batch) * 2).floor(), 0), zero, zero, one)
    inverse = inverse @ turned(acts((torch.rand(batch) * 4).floor(), 0) * (math.pi / 2))
    inverse = inverse @ moved(*((acts(uniform() / 8, 0) * n).round() for n in (width, height)))
    scale = 1 / acts(torch.exp2(normal() * 0.2), 1)
    inverse = inverse @ matrix(scale, zero, zero, scale) @ turned(acts(uniform() * math.pi, 0, chosen))
    stretch = acts(torch.exp2(normal() * 0.2), 1)
    inverse = inverse @ matrix(1 / stretch, zero, zero, stretch) @ turned(acts(uniform() * math.pi, 0, chosen))
    inverse = inverse @ moved(acts(normal() / 8, 0) * width, acts(normal() / 8, 0) * height)
    corners = torch.tensor([[-1.0, 1, 1, -1], [-1, -1, 1, 1]]) * torch.tensor([[(width - 1) / 2], [(height - 1) / 2]])
    places = (inverse @ torch.cat([corners, torch.ones(1, 4)]))[:, :2].permute(1, 0, 2).flatten(1)
    margin = torch.cat([-places, places]).max(1).values + 6 - torch.tensor([(width - 1) / 2, (height - 1) / 2] * 2)
    margin = margin.clamp(min=0).minimum(torch.tensor([width - 1.0, height - 1.0] * 2))
    left, top, right, bottom = margin.ceil().int().tolist()
    images = F.pad(images, (left, right, top, bottom), mode="reflect")
    inverse = torch.tensor([[1, 0, (left - right) / 2], [0, 1, (top - bottom) / 2], [0, 0, 1]]) @ inverse
    taps = torch.tensor(ada_augment.SYM6, dtype=torch.float32)
    images = upfirdn(images, taps, up=2, padding=(6, 5), gain=4)
    shift = lambda by: torch.tensor([[1, 0, by], [0, 1, by], [0, 0, 1.0]])
    sized = lambda x, y: torch.diag(torch.tensor([x, y, 1.0]))
    inverse = shift(-0.5) @ sized(2.0, 2.0) @ inverse @ sized(0.5, 0.5) @ shift(0.5)
    out = (height + 6) * 2, (width + 6) * 2
    inverse = sized(2 / images.shape[3], 2 / images.shape[2]) @ inverse @ sized(out[1] / 2, out[0] / 2)
    grid = F.affine_grid(inverse[:, :2], [batch, 3, *out], align_corners=False)
    images = GridSample.apply(images, grid)
    images = upfirdn(images, taps, down=2, padding=(-1, -1), flip=True)
    bright, contrast = acts(normal() * 0.2, 0), acts(torch.exp2(normal() * 0.5), 1)
    luma, hue = acts((torch.rand(batch) * 2).floor(), 0), acts(uniform() * math.pi, 0)
    saturation = acts(torch.exp2(normal()), 1)
    grey = torch.full([3, 3], 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    at = lambda x: x[:, None, None]
    colours = at(saturation) * (at(hue.cos()) * (torch.eye(3) - grey) + at(hue.sin()) * cross)
    colours = at(contrast) * (at(1 - 2 * luma) * grey + colours)
    images = colours @ (images + bright[:, None, None, None]).flatten(2)
    return images.reshape(batch, 3, height, width)


class Trainer:
    """The four phases at their cadence.

    Args:
      config: of `systems.stylegan2.StyleGAN2`, without classes, in float32, with fixed augmentations "bgc".
      channels_last: memory format of activations and weights.
    """

    def __init__(self, config, *, channels_last=False):
        self.model, self.players, size = config.model, config.players, config.data.size
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.networks = {"generator": Generator(size, self.model), "discriminator": Discriminator(size, self.model)}
        for network in self.networks.values():
            network.to(memory_format=self.format).requires_grad_(False)
        self.average = copy.deepcopy(self.networks["generator"])
        self.optimizers = {}
        for name, lazy in (("generator", "path_length"), ("discriminator", "r1")):
            player, ratio = self.players[name], self.players[lazy].every / (self.players[lazy].every + 1)
            betas = player.b1**ratio, player.b2**ratio
            self.optimizers[name] = torch.optim.Adam(
                self.networks[name].parameters(), player.learning_rate * ratio, betas, player.epsilon
            )
        self.length, self.number = torch.zeros([]), 0

    def _paint(self, batch):
        generator = self.networks["generator"]
        ws = generator.latents(batch, self.model.style_mixing)
        return generator(ws), ws

    def _judge(self, images):
        return self.networks["discriminator"](augment(images, self.model.probability).contiguous(memory_format=self.format))

    def _move(self, name, loss):
        """One phase: `loss()` is minimised by the network `name`."""
        network, optimizer = self.networks[name], self.optimizers[name]
        optimizer.zero_grad()
        network.requires_grad_(True)
        loss().backward()
        network.requires_grad_(False)
        optimizer.step()

    def _lengths(self, batch):
        image, ws = self._paint(batch // self.players.path_length.shrink)
        noise = torch.randn_like(image) / (image.shape[2] * image.shape[3]) ** 0.5
        (slope,) = torch.autograd.grad((image * noise).sum(), ws, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        mean = self.length.lerp(lengths.mean(), self.model.path_length_decay)
        self.length = mean.detach()
        return self.players.path_length.every * self.model.path_length_weight * (lengths - mean).square().mean()

    def _slope(self, real):
        real = real.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self._judge(real).sum(), real, create_graph=True)
        return self.players.r1.every * self.model.r1_weight / 2 * slope.square().sum((1, 2, 3)).mean()

    def step(self, real):
        """One step on images [batch, 3, size, size]."""
        batch, due = len(real), lambda name: self.number % self.players[name].every == 0
        self._move("generator", lambda: F.softplus(-self._judge(self._paint(batch)[0])).mean())
        if due("path_length"):
            self._move("generator", lambda: self._lengths(batch))
        verdict = lambda: (F.softplus(self._judge(self._paint(batch)[0])) + F.softplus(-self._judge(real))).mean()
        self._move("discriminator", verdict)
        if due("r1"):
            self._move("discriminator", lambda: self._slope(real))
        seen = max(self.number * batch * self.players.generator.ema_ramp, 1e-8)
        decay = 0.5 ** (batch / min(self.players.generator.ema_half_life, seen))
        for old, new in zip(self.average.parameters(), self.networks["generator"].parameters()):
            old.lerp_(new, 1 - decay)
        self.number += 1
