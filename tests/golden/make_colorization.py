"""Makes colorization_reference.npz: the released networks with a sixteenth of their channels, weights by name.

ECCV16 is `colorizers/eccv16.py` of richzhang/colorization (the fork clibdev/colorization has the same), SIGGRAPH17
`models/networks.py` of richzhang/colorization-pytorch, both BSD 2-clause. Run where torch imports, in the root of the
repository: python tests/golden/make_colorization.py COLORIZATION COLORIZATION_PYTORCH, the folders of both.
"""

import pathlib
import sys
import types

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent))
from tests.golden import colorization_by_name as golden

narrow = lambda channels: channels if channels in (1, 2, 4, 313, 529) else channels * golden.WIDTH // 64
for name in ("Conv2d", "ConvTranspose2d"):
    whole = getattr(nn, name)
    setattr(nn, name, lambda a, b, *args, whole=whole, **more: whole(narrow(a), narrow(b), *args, **more))


def norm(channels):
    return nn.BatchNorm2d(narrow(channels))


sys.modules["IPython"] = types.SimpleNamespace(embed=None)
sys.path[:0] = sys.argv[1:3]
from colorizers.eccv16 import ECCVGenerator  # noqa: E402
from models import networks  # noqa: E402

automatic = ECCVGenerator(norm)
kept = []
automatic.model8.register_forward_hook(lambda module, inputs, output: kept.append(output))


def call_automatic(lightness, hints, mask, by_class):
    colours = automatic(lightness * 100 + 50) / 110
    return colours, kept.pop()


guided = networks.SIGGRAPHGenerator(4, 2, norm)


def call_guided(lightness, hints, mask, by_class):
    guided.classification = bool(by_class)
    logits, colours = guided(lightness, hints, mask)
    return colours, logits


found = {}
for name, network, call in (("eccv16", automatic, call_automatic), ("siggraph17", guided, call_guided)):
    for key, value in golden.of_torch(torch, name, network, call).items():
        found[f"{name}/{key}"] = golden.digest(value)
np.savez_compressed(pathlib.Path(__file__).parent / "colorization_reference.npz", **found)
