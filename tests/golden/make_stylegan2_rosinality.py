"""Makes stylegan2_rosinality.npz: rosinality/stylegan2-pytorch's networks of 8 px, on CPU, with weights by name.

Its compiled operations are replaced by torch's own. Run with the folder of its model.py:
python tests/golden/make_stylegan2_rosinality.py stylegan2-pytorch, in the repository's root.
"""

import json
import pathlib
import sys
import types

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent.parent), sys.argv[1]]
from tests.golden import stylegan2_by_name as golden


class Activation(nn.Module):
    def __init__(self, channel, bias=True):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channel)) if bias else None

    def forward(self, x):
        return activate(x, self.bias)


def activate(x, bias):
    return functional.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.ndim - 2)), 0.2) * 2**0.5


def upfirdn2d(x, kernel, up=1, down=1, pad=(0, 0)):
    batch, channel, height, width = x.shape
    wide = x.new_zeros(batch, channel, height * up, width * up)
    wide[:, :, ::up, ::up] = x
    wide = functional.pad(wide, (*pad, *pad))
    kernel = kernel.flip(0, 1)[None, None].repeat(channel, 1, 1, 1)
    return functional.conv2d(wide, kernel, groups=channel)[:, :, ::down, ::down]


plain = types.SimpleNamespace(conv2d=functional.conv2d, conv_transpose2d=functional.conv_transpose2d)
sys.modules["op"] = types.ModuleType("op")
sys.modules["op"].__dict__.update(
    FusedLeakyReLU=Activation, fused_leaky_relu=activate, upfirdn2d=upfirdn2d, conv2d_gradfix=plain
)
import model

found, names = {}, {}
networks = {"g_ema": model.Generator(8, 512, 2), "d": model.Discriminator(8)}
for key, network in networks.items():
    state = network.state_dict()
    names[key] = {name: list(value.shape) for name, value in state.items()}
    drawn = {
        name: value if name.endswith("kernel") else torch.tensor(golden.weight(name, tuple(value.shape)))
        for name, value in state.items()
    }
    network.load_state_dict(drawn)
z, images = (torch.tensor(x) for x in golden.rosinality_inputs())
average = torch.tensor(golden.weight("latent_avg", (512,)))
with torch.no_grad():
    for label, truncation in (("image", 1), ("truncated", 0.7)):
        image, _ = networks["g_ema"](
            [z], truncation=truncation, truncation_latent=average, randomize_noise=False
        )
        found[label] = image.numpy()
    found["logits"] = networks["d"](images)[:, 0].numpy()
folder = pathlib.Path(__file__).parent
np.savez_compressed(folder / "stylegan2_rosinality.npz", names=json.dumps(names), **found)
