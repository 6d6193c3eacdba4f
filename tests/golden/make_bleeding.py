"""Makes bleeding_reference.npz with the released script of the cluster discrepancy ratio, on scikit-image 0.26.

The script is cdr.py of niceDuckgu/CDR at e27598e; it needs torch and, for its example alone, cv2. In the repository's
root: python -m tests.golden.make_bleeding CDR_PY
"""

import importlib.util
import pathlib
import sys
import types

import numpy as np

from tests.golden import metrics_by_seed as golden

sys.modules.setdefault("cv2", types.ModuleType("cv2"))
spec = importlib.util.spec_from_file_location("cdr", sys.argv[1])
released = importlib.util.module_from_spec(spec)
spec.loader.exec_module(released)

found = {}
for name, pair in golden.bleeding().items():
    # Lightness is not looked at.
    found[name] = released.cdr(*(np.concatenate([ab[..., :1], ab], -1).transpose(2, 0, 1) for ab in pair))
np.savez_compressed(pathlib.Path(__file__).parent / "bleeding_reference.npz", **found)
print(found)
