"""Makes features_reference.npz: pytorch-fid's and torchvision's networks with weights by name.

Run where torchvision and pytorch-fid import (torch 2.14.1, torchvision 0.29.1, pytorch-fid 0.3.0):
python tests/golden/make_features.py, in the repository's root.
"""

import pathlib
import sys

import numpy as np
import torch
import torchvision

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent))
from pytorch_fid import inception
from tests.golden import features_by_name as golden

inception.load_state_dict_from_url = lambda *_, **__: fid.state_dict()
fid = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
networks = {
    "inception-2015": inception.fid_inception_v3(),
    "vgg16": torchvision.models.vgg16(init_weights=False),
    "vgg19": torchvision.models.vgg19(init_weights=False),
    "alexnet": torchvision.models.alexnet(),
}
found = {}
for name, network in networks.items():
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    network.load_state_dict(
        {k: torch.tensor(golden.weight(k, tuple(v.shape))) for k, v in state.items()}, strict=False
    )
    network.eval()
    size = golden.SIZES[name]
    x = torch.tensor(golden.images(size).transpose(0, 3, 1, 2))
    taps = {}

    def keep(tap, module):
        module.register_forward_hook(lambda m, i, o, tap=tap: taps.setdefault(tap, o.detach().clone()))

    if name == "inception-2015":
        keep("pool1", network.maxpool1)
        keep("pool2", network.maxpool2)
        keep("mixed6e", network.Mixed_6e)
        keep("features", network.avgpool)
        keep("logits", network.fc)
    else:
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in golden.IMAGENET)
        x = ((x + 1) / 2 - mean) / std
        block, inner = 1, 1
        convs = 0
        for layer in network.features:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False
                convs += 1
                keep(f"relu{convs}" if name == "alexnet" else f"relu{block}_{inner}", layer)
                inner += 1
            elif isinstance(layer, torch.nn.MaxPool2d):
                block, inner = block + 1, 1
        for layer in network.classifier:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False
        relus = [layer for layer in network.classifier if isinstance(layer, torch.nn.ReLU)]
        keep("fc6", relus[0])
        keep("fc7", relus[1])
        keep("logits", network.classifier[-1])
    with torch.no_grad():
        network(x)
    for tap, value in taps.items():
        if value.ndim == 4:
            value = value.permute(0, 2, 3, 1)
        found[f"{name}/{tap}"] = golden.some(value.numpy())
    print(name, {tap: (tuple(v.shape), float(v.abs().max())) for tap, v in taps.items()})
np.savez_compressed(pathlib.Path(__file__).parent / "features_reference.npz", **found)
