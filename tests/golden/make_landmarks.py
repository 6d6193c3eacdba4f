"""Makes landmarks_reference.npz: the network of landmarks of StarGAN v2's released code, and its masks, with weights by name.

It is `core/wing.py` of clovaai/stargan-v2 (CC BY-NC 4.0), of which nothing but these numbers is here. Run where torch
imports, in the root of the repository: python tests/golden/make_landmarks.py STARGAN_V2, the folder of that code.
"""

import pathlib
import sys
import types

import numpy as np
import torch

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), sys.argv[1]]
from tests.golden import landmarks_by_name as golden  # noqa: E402

# What aligning pictures needs is not needed here.
for name in ("cv2", "skimage", "skimage.filters"):
    sys.modules[name] = types.SimpleNamespace(gaussian=None)
sys.modules["munch"] = types.ModuleType("munch")
sys.modules["munch"].Munch = type("Munch", (dict,), {"__getattr__": dict.__getitem__})
from core.wing import FAN, preprocess  # noqa: E402

network = FAN().eval()
network.load_state_dict({k: torch.tensor(v) for k, v in golden.state(network.state_dict()).items()})
last = lambda x: x.permute(0, 2, 3, 1).numpy()
with torch.no_grad():
    heat = last(network.get_heatmap(torch.tensor(golden.image()), b_preprocess=False))
    drawn = torch.tensor(golden.heat()).permute(0, 3, 1, 2)
    larger = torch.nn.functional.interpolate(drawn, scale_factor=4, mode="bilinear", align_corners=True)
    masks = last(torch.cat(preprocess(larger), 1))
names = {f"{k}:{','.join(map(str, v.shape))}" for k, v in network.state_dict().items()}
path = pathlib.Path(__file__).parent / "landmarks_reference.npz"
np.savez_compressed(path, names=sorted(names), heat=golden.digest(heat), masks=np.float16(masks[:, ::2, ::2]))
