"""Makes ada_augment_reference.npz with NVlabs/stylegan2-ada-pytorch (commit d72cc7d), training/augment.py.

Run with torch in the root of this repository, CLONE being one of that one:
PYTHONPATH=CLONE:. python -m tests.golden.make_ada_augment

Every pipeline on four pictures at probability 1, with the uniform and normal numbers that it drew, in order.
"""

import pathlib
import types

import numpy as np
import torch
from training import augment

from tests.golden import ada_augment_by_seed as golden

found = {}
for name, operations in golden.OPERATIONS.items():
    torch.manual_seed(len(found))

    def recorded(draw, name=name):
        def call(shape, device=None):
            values = draw(shape)
            found[f"{name}/draw{sum(key.startswith(f'{name}/') for key in found):02d}"] = values.numpy()
            return values

        return call

    drawing = dict(rand=recorded(torch.rand), randn=recorded(torch.randn))
    augment.torch = types.SimpleNamespace(**{**vars(torch), **drawing})
    pipe = augment.AugmentPipe(**dict.fromkeys(operations, 1))
    out = pipe(torch.tensor(golden.pictures().transpose(0, 3, 1, 2)))
    found[f"{name}/out"] = out.numpy().transpose(0, 2, 3, 1)
np.savez_compressed(pathlib.Path(__file__).with_name("ada_augment_reference.npz"), **found)
