"""JHMDB (Jhuang et al., ICCV 2013): clips of people with 15 joints in every frame.

`dir` holds Rename_Images/<action>/<clip>/00001.png, joint_positions/<action>/<clip>/joint_positions.mat and
splits/<action>_test_split1.txt, whose lines are a clip and 1 (to train) or 2 (to test). Of "val" and "test" those to test are
taken, as in papers on tracking. No joint is read to train on.
"""

import numpy as np
import scipy.io

from vision_gen.data import clip_folder, images, source
from vision_gen.errors import InputError

FIELDS = clip_folder.FIELDS
shapes = clip_folder.shapes
JOINTS = 15
PARTS = {"1": "train", "2": "test"}  # By the number in a list; 0 is in neither.


def open(settings, split):
    """`frames` as of `clip_folder`; held-out examples also `joints` [frames, 15, 3] float32: x and y in pixels of the frames, and 1
    where they lie in them."""
    folder, field = settings.folder, f"{settings.section}.dir"
    lists = sorted((folder / "splits").glob("*_test_split1.txt"))
    if not lists:
        raise InputError(f"{field}: no splits/*_test_split1.txt in {str(folder)!r}; it must have JHMDB's layout")
    clips = {}
    for path in lists:
        action = path.name.removesuffix("_test_split1.txt")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            name, _, part = line.strip().rpartition(" ")
            if part not in (*PARTS, "0"):
                raise InputError(f"{path}: line {number} is {line!r}; it must be a clip's name and 0, 1 or 2")
            if PARTS.get(part) != ("train" if split == "train" else "test"):
                continue
            name = f"{action}/{name.strip().rpartition('.')[0] or name.strip()}"
            pictures = folder / "Rename_Images" / name
            if not pictures.is_dir():
                raise InputError(f"{field}: no {str(pictures)!r}, which {path.name} names")
            clips[name] = images.find(pictures, field)
    if split == "train":
        return clip_folder.ClipFolder(settings, split, clips)
    return JHMDB(settings, split, clips, folder / "joint_positions")


class JHMDB(clip_folder.ClipFolder):
    """Held-out clips with the places of joints."""

    def __init__(self, settings, split, clips, folder):
        super().__init__(settings, split, clips)
        self._joints = {name: self._read(folder / name / "joint_positions.mat", len(paths)) for name, paths in clips.items()}
        self.shapes = self.shapes | {"joints": source.ShapeDtype((self._count, JOINTS, 3), np.dtype(np.float32))}

    @staticmethod
    def _read(path, frames):
        """[frames, 15, 2] float64: x, y in pixels of the whole frame, from its corner."""
        try:
            found = np.asarray(scipy.io.loadmat(path)["pos_img"], np.float64)
        except Exception as error:  # As a damaged file has it.
            raise InputError(f"{path}: not a file of joints with pos_img ({error})") from error
        if found.shape != (2, JOINTS, frames) or not np.isfinite(found).all():
            raise InputError(f"{path}: pos_img is {list(found.shape)}; it must be finite, of [2, {JOINTS}, {frames} frames]")
        return found.transpose(2, 1, 0) - 0.5  # Matlab counts pixels from 1, and the middle of the first is at a half.

    def __getitem__(self, index):
        height, width = self._settings.resolution
        name, start = self._starts[index]
        left, top, right, bottom = images.fitted_box(images.size(self._clips[name][0]), (height, width))
        places = self._joints[name][start :: self._step][: self._count]
        places = (places - (left, top)) * (width / (right - left), height / (bottom - top))
        inside = np.all((places >= 0) & (places < (width, height)), -1, keepdims=True)
        joints = np.concatenate([places, inside], -1).astype(np.float32)
        return super().__getitem__(index) | {"joints": joints}
