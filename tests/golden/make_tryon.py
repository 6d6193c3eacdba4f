"""Makes tryon_reference.npz: the released networks of VITON-HD with a sixteenth of their channels, weights by name.

Networks and masking are `networks.py` and `datasets.py` of shadow2496/VITON-HD (CC BY-NC 4.0), what stands between the
networks is as in its `test.py`. Run where torch and torchgeometry import, in the root of the repository: python
tests/golden/make_tryon.py VITON_HD, the folder of that code.
"""

import pathlib
import sys
import types

import numpy as np
from PIL import Image
import torch
from torch import nn
import torch.nn.functional as F
from torchgeometry.image import GaussianBlur

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent))
from tests.golden import tryon_by_name as golden  # noqa: E402

sys.modules["torchvision"] = types.SimpleNamespace(transforms=None)
sys.path.insert(0, sys.argv[1])
import datasets  # noqa: E402
import networks  # noqa: E402

torch.Tensor.cuda = lambda self: self
torch.randn = lambda *shape: torch.zeros(shape)  # No noise in the painter.
options = types.SimpleNamespace(
    init_type="none", init_variance=0.02, load_height=1024, load_width=512, grid_size=5, ngf=golden.WIDTH,
    num_upsampling_layers="most", norm_G="spectralaliasinstance", semantic_nc=7,
)  # fmt: skip


def narrowed(make):
    """What `make` builds, with channels that are multiples of 64, but for 128 places, a sixteenth as many."""
    whole = {name: getattr(nn, name) for name in ("Conv2d", "BatchNorm2d", "InstanceNorm2d", "Linear")}
    narrow = lambda n, first=False: n * golden.WIDTH // 64 if n % 64 == 0 and not first else n

    class Conv2d(whole["Conv2d"]):
        def __init__(self, a, b, *more, **settings):
            super().__init__(narrow(a, first=(a, b) == (128, 512)), narrow(b), *more, **settings)

    nn.Conv2d = Conv2d
    nn.Linear = lambda a, b: whole["Linear"](narrow(a), narrow(b))
    nn.BatchNorm2d = lambda n: whole["BatchNorm2d"](narrow(n))
    try:
        return make()
    finally:
        for name, layer in whole.items():
            setattr(nn, name, layer)


def filled(network):
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: torch.tensor(value) for name, value in golden.state(shapes).items()}
    network.load_state_dict(found, strict=False)
    return network.eval()


# 128 places of 512 x 1024 px looked at in 128 x 256.
norm = lambda n: nn.BatchNorm2d(n)
networks.FeatureExtraction.__init__.__defaults__ = (64, 4, norm)
networks.FeatureRegression.__init__.__defaults__ = (512, 6, norm)
networks.SegGenerator.__init__.__defaults__ = (13, lambda n: nn.InstanceNorm2d(n))
segmenter = filled(narrowed(lambda: networks.SegGenerator(options, 21)))
matcher = filled(narrowed(lambda: networks.GMM(options, 7, 3)))
painting = types.SimpleNamespace(**{**vars(options), "load_height": golden.SIZE[0], "load_width": golden.SIZE[1]})
painter = filled(networks.ALIASGenerator(painting, 9))
given = {name: torch.tensor(value) for name, value in golden.inputs().items()}
found = {}
with torch.no_grad():
    small = types.SimpleNamespace(**{**vars(options), "load_height": golden.GRID[0], "load_width": golden.GRID[1]})
    grids = networks.TpsGridGen(small)
    found["grid"] = grids(given["moved"])
    for name, masked in (("block", False), ("masked block", True)):
        block = filled(networks.ALIASResBlock(options, 12, 8, use_mask_norm=masked))
        regions = given["regions"][:, : 7 + masked]
        found[name] = block(given["map"], regions, given["missed"] if masked else None)

    # test.py
    down = lambda x: F.interpolate(x, size=golden.SMALL, mode="bilinear")
    cloth, mask, pose, agnostic = (given[name] for name in ("cloth", "mask", "pose", "agnostic"))
    parts = (down(mask), down(cloth * mask), down(given["kept"]), down(pose), given["noise"])
    found["seen"] = torch.cat(parts, 1)
    shares = found["shares"] = segmenter(found["seen"])
    large = GaussianBlur((15, 15), (3, 3))(nn.Upsample(size=golden.SIZE, mode="bilinear")(shares))
    found["labels"] = large.argmax(1)
    old = torch.zeros(1, 13, *golden.SIZE).scatter_(1, large.argmax(1)[:, None], 1.0)
    merged = [[0], [2, 4, 7, 8, 9, 10, 11], [3], [1], [5], [6], [12]]
    regions = torch.cat([old[:, labels].sum(1, keepdim=True) for labels in merged], 1)
    moved, _ = matcher(torch.cat([regions[:, 2:3], pose, agnostic], 1), cloth)
    found["moved"] = moved
    full = types.SimpleNamespace(**{**vars(options), "load_height": golden.SIZE[0], "load_width": golden.SIZE[1]})
    grid = networks.TpsGridGen(full)(moved)
    warped, warped_mask = (F.grid_sample(x, grid, padding_mode="border") for x in (cloth, mask))
    found |= {"warped": warped, "warped mask": warped_mask}
    missed = regions[:, 2:3] - warped_mask
    missed[missed < 0] = 0
    divided = torch.cat([regions, missed], 1)
    divided[:, 2:3] -= missed
    found["image"] = painter(torch.cat([agnostic, pose, warped], 1), regions, divided, missed)

result = {name: golden.digest(value.numpy()) for name, value in found.items()}
image, parse, keypoints = golden.person()
self = types.SimpleNamespace(load_height=1024, load_width=768)
released = datasets.VITONDataset
kept = released.get_parse_agnostic(self, Image.fromarray(parse), keypoints[:, :2].astype(float))
result["parse agnostic"] = np.packbits(np.asarray(kept) != parse)
grey = released.get_img_agnostic(self, Image.fromarray(image), Image.fromarray(parse), keypoints[:, :2].astype(float))
result["agnostic"] = np.packbits(np.asarray(grey)[..., 0] == 128)
np.savez_compressed(pathlib.Path(__file__).parent / "tryon_reference.npz", **result)
print({name: (value.shape, value[:4]) for name, value in result.items()})
