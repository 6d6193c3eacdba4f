"""Makes sga_reference.npz: the released stop-gradient attention, across to a reference and then among its own places.

`SGA_code` of kunkun0w0/SGA (Li et al., ECCV 2022; no licence is given, and nothing of it is copied). Its `GNN` calls
`Gconv` by names of arguments that `Gconv` has not; they are set right here. Run where torch imports, in the root of the
repository: python tests/golden/make_sga.py SGA_CODE, the folder.
"""

import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent))
from tests.golden import sga_by_seed as golden

sys.path.insert(0, sys.argv[1])
import block  # noqa: E402
import model  # noqa: E402

model.Gconv = lambda in_features, out_features: block.Gconv(in_features, out_features)
network = model.GNN(golden.DEPTH)
state = network.state_dict()
network.load_state_dict({k: torch.tensor(golden.weight(k, tuple(v.shape))) if v.ndim else v for k, v in state.items()})
sketch, reference, target = (torch.tensor(x).permute(0, 3, 1, 2).contiguous() for x in golden.inputs())
target = target.flatten(2).permute(0, 2, 1)
with torch.no_grad():
    found = {"output": network.eval()(sketch, reference).numpy()}
sketch.requires_grad_(), reference.requires_grad_()
output = network.train()(sketch, reference)
(output * target).sum().backward()
found["trained_output"] = output.detach().numpy()
for name, x in (("sketch", sketch), ("reference", reference)):
    found[f"gradient/{name}"] = x.grad.permute(0, 2, 3, 1).numpy()
for name, x in network.named_parameters():
    found[f"gradient/{name}"] = x.grad.numpy()
for name, x in network.named_buffers():
    if x.ndim:
        found[f"trained/{name}"] = x.numpy()
np.savez_compressed(pathlib.Path(__file__).parent / "sga_reference.npz", **found)
