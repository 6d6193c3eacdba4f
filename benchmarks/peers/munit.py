"""MUNIT and GDWCT in plain torch: the architectures, losses and optimizers of `systems.munit`.

Module names make the state dicts those of the released codes.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Convolution over reflected edges, normalisation, activation."""

    def __init__(self, a, b, kernel=3, stride=1, norm=None, activation=None):
        super().__init__()
        self.pad, self.conv = nn.ReflectionPad2d((kernel - 1) // 2), nn.Conv2d(a, b, kernel, stride)
        self.norm, self.activation = norm(b) if norm else None, activation

    def forward(self, x):
        x = self.conv(self.pad(x))
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


class Residual(nn.Module):
    """x + block(block(x)); `name` is that of the two blocks."""

    def __init__(self, features, norm, name):
        super().__init__()
        first, second = Block(features, features, norm=norm, activation=nn.ReLU()), Block(features, features, norm=norm)
        self.name = name
        setattr(self, name, nn.Sequential(first, second))

    def forward(self, x):
        return x + getattr(self, self.name)(x)


class Named(nn.Module):
    """Modules one after the other, under a name."""

    def __init__(self, name, modules):
        super().__init__()
        self.name = name
        setattr(self, name, nn.Sequential(*modules))

    def forward(self, x):
        return getattr(self, self.name)(x)


def _content(width, norm):
    sizes, relu = [width, 2 * width, 4 * width], nn.ReLU()
    steps = [Block(a, b, 4, 2, norm, relu) for a, b in zip(sizes, sizes[1:])]
    return [Block(3, width, 7, 1, norm, relu), *steps]


def _style(width, norm):
    sizes, relu = [width, 2 * width, *[4 * width] * 3], nn.ReLU()
    steps = [Block(a, b, 4, 2, norm, relu) for a, b in zip(sizes, sizes[1:])]
    return [Block(3, width, 7, activation=relu), *steps, nn.AdaptiveAvgPool2d(1)]


def _painter(width, norm):
    up = lambda n: [nn.Upsample(scale_factor=2), Block(2 * n * width, n * width, 5, 1, norm, nn.ReLU())]
    return [*up(2), *up(1), Block(width, 3, 7, activation=nn.Tanh())]


class Perceptrons(nn.Module):
    def __init__(self, name, sizes, activation):
        super().__init__()
        layers = [nn.ModuleDict({"fc": nn.Linear(a, b)}) for a, b in zip(sizes, sizes[1:])]
        self.name, self.activation = name, activation
        setattr(self, name, nn.ModuleList(layers))

    def forward(self, x):
        layers = getattr(self, self.name)
        for layer in layers[:-1]:
            x = self.activation(layer["fc"](x))
        return layers[-1]["fc"](x)


class MapNorm(nn.Module):
    """Over all of a map, by its unbiased deviation."""

    def __init__(self, features):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.rand(features)), nn.Parameter(torch.zeros(features))

    def forward(self, x):
        flat = x.flatten(1)
        y = (x - flat.mean(1)[:, None, None, None]) / (flat.std(1)[:, None, None, None] + 1e-5)
        return y * self.gamma[:, None, None] + self.beta[:, None, None]


class AdaIN(nn.Module):
    """Instance norm with the bias and scale that `given` holds; its statistics are only names in the file."""

    def __init__(self, features):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.given = None

    def forward(self, x):
        bias, scale = self.given
        return functional.instance_norm(x) * scale[:, :, None, None] + bias[:, :, None, None]


class AdaINGenerator(nn.Module):
    """MUNIT's of one domain."""

    def __init__(self, width=64, blocks=4, style=8, hidden=256):
        super().__init__()
        chain = lambda norm: Named("model", [Residual(4 * width, norm, "model") for _ in range(blocks)])
        self.enc_style = Named("model", [*_style(width, None), nn.Conv2d(4 * width, style, 1)])
        self.enc_content = Named("model", [*_content(width, nn.InstanceNorm2d), chain(nn.InstanceNorm2d)])
        self.dec = Named("model", [chain(AdaIN), *_painter(width, MapNorm)])
        self.mlp = Perceptrons("model", [style, hidden, hidden, 16 * blocks * width], functional.relu)

    def encode(self, image):
        return self.enc_content(image), self.enc_style(image).flatten(1)

    def decode(self, content, style):
        """(image, no regularisers)."""
        moments = self.mlp(style).unflatten(1, (-1, 2, content.shape[1]))
        for i, norm in enumerate(m for m in self.dec.modules() if isinstance(m, AdaIN)):
            norm.given = moments[:, i].unbind(1)
        return self.dec(content), {}


class WhiteningColouring(nn.Module):
    def __init__(self, channel, groups, hidden):
        super().__init__()
        size = channel // groups
        self.mlp_CT = Perceptrons("main", [size, *[hidden] * 4, size**2], functional.leaky_relu)
        self.mlp_mu = Perceptrons("main", [channel] * 4, functional.leaky_relu)
        self.alpha = nn.Parameter(torch.full((1,), 0.6))
        self.groups = groups

    def forward(self, content, style):
        """(the result, covariances [groups, n, n], U [batch, groups, n, n])."""
        batch, channel, height, width = content.shape
        size = channel // self.groups
        x = content.transpose(0, 1).reshape(self.groups, size, -1)
        x = x - x.mean(2, keepdim=True)
        covariance = x @ x.transpose(1, 2) / (x.shape[2] - 1) + 1e-5 * torch.eye(size)
        x = x.reshape(self.groups, size, batch, -1).permute(2, 0, 1, 3)
        matrix = self.mlp_CT(style.reshape(-1, size)).reshape(batch, self.groups, size, size)
        unit = matrix / matrix.norm(dim=2, keepdim=True)
        coloured = (matrix @ unit.transpose(2, 3) @ x).reshape(content.shape) + self.mlp_mu(style)[:, :, None, None]
        return self.alpha * coloured + (1 - self.alpha) * content, covariance, unit


class Decoder(nn.Module):
    def __init__(self, width, blocks, groups, hidden):
        super().__init__()
        self.resblocks = nn.ModuleList(Residual(4 * width, None, "main") for _ in range(blocks))
        self.gdwct_modules = nn.ModuleList(WhiteningColouring(4 * width, groups, hidden) for _ in range(blocks + 1))
        self.main = nn.Sequential(*_painter(width, lambda n: nn.GroupNorm(1, n)))

    def forward(self, content, style):
        whitening, colouring, eye = [], [], torch.eye(content.shape[1] // self.gdwct_modules[0].groups)
        for block, hop in zip([nn.Identity(), *self.resblocks], self.gdwct_modules):
            content, covariance, unit = hop(block(content), style)
            whitening.append((covariance - eye).abs().mean())
            colouring.append((unit.transpose(2, 3) @ unit - eye).abs().mean())
        mean = lambda terms: sum(terms) / len(terms)
        return self.main(content), {"whitening": mean(whitening), "colouring": mean(colouring)}


class WhiteningGenerator(nn.Module):
    """GDWCT's of one domain."""

    def __init__(self, width=64, blocks=4, groups=8, hidden=256):
        super().__init__()
        tracked = lambda n: nn.InstanceNorm2d(n, affine=True, track_running_stats=True)
        residual = [Residual(4 * width, tracked, "main") for _ in range(blocks)]
        self.c_encoder = Named("main", [*_content(width, tracked), *residual])
        self.s_encoder = Named("main", _style(width, lambda n: nn.GroupNorm(groups, n)))
        self.decoder = Decoder(width, blocks, groups, hidden)

    def encode(self, image):
        return self.c_encoder(image), self.s_encoder(image).flatten(1)

    def decode(self, content, style):
        """(image, regularisers)."""
        return self.decoder(content, style)


class Discriminators(nn.Module):
    """One for each scale."""

    def __init__(self, width=64, stages=4, scales=3, slope=0.2):
        super().__init__()
        sizes = [3, *(width * 2**i for i in range(stages))]
        one = lambda: nn.Sequential(
            *(Block(a, b, 4, 2, activation=nn.LeakyReLU(slope)) for a, b in zip(sizes, sizes[1:])),
            nn.Conv2d(sizes[-1], 1, 1),
        )
        self.cnns = nn.ModuleList(one() for _ in range(scales))

    def forward(self, image):
        found = []
        for network in self.cnns:
            found.append(network(image))
            image = functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
        return found


class Trainer:
    """One training step of MUNIT: both discriminators, then both generators, on the same translations.

    Args:
      model: settings of `systems.munit`, of injection "adain".
      channels_last: memory format of activations and weights.
    """

    def __init__(self, model, *, channels_last=False):
        self.model = model
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        painter = lambda: AdaINGenerator(model.width, model.residual_blocks, model.style, model.hidden)
        critic = lambda: Discriminators(model.discriminator_width, model.stages, model.scales)
        each = lambda make: [make().to(memory_format=self.format) for _ in "ab"]
        self.painters, self.critics = each(painter), each(critic)
        parameters = lambda nets: itertools.chain(*(net.parameters() for net in nets))
        adam = lambda nets: torch.optim.Adam(parameters(nets), 1e-4, (0.5, 0.999), weight_decay=1e-4)
        self.optimizers = adam(self.critics), adam(self.painters)

    def step(self, a, b):
        """Images of both domains, [batch, 3, size, size] in [-1, 1]."""
        model, (of_critics, of_painters) = self.model, self.optimizers
        real = [x.contiguous(memory_format=self.format) for x in (a, b)]
        codes = [painter.encode(image) for painter, image in zip(self.painters, real)]
        wanted = [torch.randn_like(style) for _, style in codes]
        again = [painter.decode(*code)[0] for painter, code in zip(self.painters, codes)]
        fake = [self.painters[i].decode(codes[1 - i][0], wanted[i])[0] for i in range(2)]
        found = [painter.encode(image) for painter, image in zip(self.painters, fake)]
        far = lambda logits, goal: sum(((x - goal) ** 2).mean() for x in logits)
        of_critics.zero_grad()
        loss = sum(far(critic(x), 1) + far(critic(y.detach()), 0) for critic, x, y in zip(self.critics, real, fake))
        loss.backward()
        of_critics.step()
        for critic in self.critics:
            critic.requires_grad_(False)
        of_painters.zero_grad()
        loss, l1 = sum(far(critic(image), 1) for critic, image in zip(self.critics, fake)), functional.l1_loss
        for i, painter in enumerate(self.painters):
            loss = loss + model.image_weight * l1(again[i], real[i]) + model.style_weight * l1(found[i][1], wanted[i])
            loss = loss + model.content_weight * l1(found[1 - i][0], codes[i][0])
            if model.cycle_weight:
                back, _ = painter.decode(found[1 - i][0], codes[i][1])
                loss = loss + model.cycle_weight * l1(back, real[i])
        loss.backward()
        of_painters.step()
        for critic in self.critics:
            critic.requires_grad_(True)
