"""The Inception-v3 of FID in plain torch: convolution, batch normalisation, ReLU, as pytorch-fid runs it."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, channel, features, kernel, stride, padding):
        super().__init__()
        self.conv = nn.Conv2d(channel, features, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(features, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Images [batch, 3, 299, 299] in [-1, 1] -> features [batch, 2048].

    Args:
      network: `nets.features.Inception`, whose table of layers is built from.
    """

    def __init__(self, network):
        super().__init__()
        self.blocks = nn.ModuleDict()
        for name, layer in network.convs.items():
            *kernel, channel, features = layer.kernel.shape
            padding = 0 if layer.padding == 0 else [low for low, _ in layer.padding]
            block = Block(channel, features, kernel, layer.stride, padding)
            self.blocks[name.replace(".", "/")] = block

    def forward(self, x):
        conv = lambda name, x: self.blocks[name.replace(".", "/")](x)

        def chain(x, name, count):
            for i in range(1, count + 1):
                x = conv(f"{name}_{i}", x)
            return x

        mean = lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):
            x = conv(name, x)
        x = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for m in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = torch.cat(
                [
                    conv(f"{m}.branch1x1", x),
                    chain(x, f"{m}.branch5x5", 2),
                    chain(x, f"{m}.branch3x3dbl", 3),
                    conv(f"{m}.branch_pool", mean(x)),
                ],
                1,
            )
        parts = [conv("Mixed_6a.branch3x3", x), chain(x, "Mixed_6a.branch3x3dbl", 3)]
        x = torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)
        for m in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = torch.cat(
                [
                    conv(f"{m}.branch1x1", x),
                    chain(x, f"{m}.branch7x7", 3),
                    chain(x, f"{m}.branch7x7dbl", 5),
                    conv(f"{m}.branch_pool", mean(x)),
                ],
                1,
            )
        parts = [chain(x, "Mixed_7a.branch3x3", 2), chain(x, "Mixed_7a.branch7x7x3", 4)]
        x = torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)
        for m, pool in (("Mixed_7b", mean), ("Mixed_7c", lambda x: F.max_pool2d(x, 3, 1, 1))):
            single = conv(f"{m}.branch3x3_1", x)
            double = chain(x, f"{m}.branch3x3dbl", 2)
            x = torch.cat(
                [
                    conv(f"{m}.branch1x1", x),
                    *(conv(f"{m}.branch3x3_2{end}", single) for end in "ab"),
                    *(conv(f"{m}.branch3x3dbl_3{end}", double) for end in "ab"),
                    conv(f"{m}.branch_pool", pool(x)),
                ],
                1,
            )
        return x.mean((2, 3))
