"""Makes metrics_reference.npz with pytorch-fid 0.3.0, clean-fid 0.1.35, torch-fidelity 0.4.0, lpips 0.1.4.

Run where they import (torch 2.14.1, torchvision 0.29.1), in the repository's root:
python -m tests.golden.make_metrics
"""

import pathlib
import types

from cleanfid import resize
import lpips
import numpy as np
from pytorch_fid import fid_score
import scipy.linalg
import torch
from torch_fidelity import interpolate_compat_tensorflow, metric_isc, metric_kid, metric_prc
import torchvision

from tests.golden import features_by_name, metrics_by_seed as golden


def sqrtm(x, disp=True):
    """scipy has dropped the argument that pytorch-fid passes."""
    found = scipy.linalg.sqrtm(x)
    return found if disp else (found, None)


fid_score.linalg = types.SimpleNamespace(sqrtm=sqrtm)
found = {}
for name, (a, b) in golden.feature_sets().items():
    moments = [(f.mean(0), np.cov(f, rowvar=False)) for f in (a, b)]
    found[f"frechet/{name}"] = fid_score.calculate_frechet_distance(*moments[0], *moments[1])
    a, b = torch.tensor(a), torch.tensor(b)
    kid = metric_kid.kid_features_to_metric(
        a, b, kid_subsets=3, kid_subset_size=len(a), verbose=False
    )
    found[f"kid/{name}"] = kid["kernel_inception_distance_mean"]
    prc = metric_prc.prc_features_to_metric(a, b, prc_neighborhood=3, prc_batch_size=1000, verbose=False)
    # The first set is torch-fidelity's generated one.
    found[f"precision/{name}"], found[f"recall/{name}"] = prc["precision"], prc["recall"]
score = metric_isc.isc_features_to_metric(torch.tensor(golden.logits()), splits=10, shuffle=False)
found["inception_score"] = score["inception_score_mean"]
for name, image in golden.pictures().items():
    for protocol in ("clean", "legacy_pytorch"):
        found[f"{protocol}/{name}"] = features_by_name.some(resize.build_resizer(protocol)(image))
    legacy = interpolate_compat_tensorflow.interpolate_bilinear_2d_like_tensorflow1x(
        torch.tensor(image.transpose(2, 0, 1)[None].astype(np.float32)), size=(299, 299), align_corners=False
    )
    found[f"legacy_tensorflow/{name}"] = features_by_name.some(legacy[0].permute(1, 2, 0).numpy())
for net, trunk in (("alex", torchvision.models.alexnet()), ("vgg", torchvision.models.vgg16())):
    model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    drawn = {}
    for key, value in model.state_dict().items():
        if key.startswith("net."):  # net.slice2.3.weight is the trunk's features.3.weight.
            key_there = "features." + key.split(".", 2)[2]
            drawn[key] = features_by_name.weight(key_there, tuple(value.shape))
        elif key.startswith("lin"):  # lins.0 is lin0 under another name.
            name = key.replace("lins.", "lin")
            drawn[key] = np.abs(features_by_name.weight(name, tuple(value.shape)))
        else:
            drawn[key] = value.numpy()
    model.load_state_dict({k: torch.tensor(v) for k, v in drawn.items()})
    x, y = (torch.tensor(v.transpose(0, 3, 1, 2)) for v in golden.pair())
    with torch.no_grad():
        found[f"lpips/{net}"] = model(x, y).numpy().ravel()
np.savez_compressed(pathlib.Path(__file__).parent / "metrics_reference.npz", **found)
print({k: v for k, v in found.items() if np.ndim(v) == 0 or np.size(v) < 3})
