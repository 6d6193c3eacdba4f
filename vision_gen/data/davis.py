"""DAVIS (Perazzi et al. 2016; Pont-Tuset et al. 2017): clips with masks of their objects.

`dir` holds JPEGImages/<resolution>/<clip>/, Annotations/<resolution>/<clip>/ and ImageSets/<year>/<split>.txt, of which the
latest year and the smallest resolution are taken. A split whose list is not there is an error; of "test" that of "val" is
taken, as the benchmark has no masks of its own test clips. No mask is read to train on.
"""

import numpy as np
from PIL import Image

from vision_gen.data import clip_folder, images, labels, source
from vision_gen.errors import InputError

FIELDS = clip_folder.FIELDS
shapes = clip_folder.shapes
MOST = 20  # Objects of a clip.


def open(settings, split):
    """`frames` as of `clip_folder`; held-out examples also `labels` [frames, height, width] uint8 and `points`, which are
    none: [frames, objects, 0, 3]."""
    folder, field = settings.folder, f"{settings.section}.dir"
    names = _names(folder, "val" if split == "test" else split, field)
    pictures = _resolution(folder / "JPEGImages", field)
    clips = {}
    for name in names:
        if not (pictures / name).is_dir():
            raise InputError(f"{field}: no {str(pictures / name)!r}, which its list of {split!r} names")
        clips[name] = images.find(pictures / name, field)
    if split == "train":
        return clip_folder.ClipFolder(settings, split, clips)
    return Davis(settings, split, clips, folder / "Annotations" / pictures.name)


def _names(folder, split, field):
    """Names of a split's clips; a list may have them as a path of each frame, as that of 2016."""
    lists = sorted((folder / "ImageSets").glob(f"*/{split}.txt"))
    if not lists:
        raise InputError(f"{field}: no ImageSets/*/{split}.txt in {str(folder)!r}; it must have DAVIS's layout")
    lines = lists[-1].read_text(encoding="utf-8").split("\n")
    found = [line.split()[0] for line in lines if line.strip()]
    return list(dict.fromkeys(name.strip("/").split("/")[-2] if "/" in name else name for name in found))


def _resolution(folder, field):
    """The folder of the smallest resolution: 480p, or what there is."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"{field}: no folder in {str(folder)!r}; DAVIS has {folder.name}/480p")
    return next((path for path in found if path.name == "480p"), found[0])


class Davis(clip_folder.ClipFolder):
    """Held-out clips with their masks."""

    def __init__(self, settings, split, clips, masks):
        super().__init__(settings, split, clips)
        self._masks = masks
        objects = [int(self._labels(index, 0).max()) for index in range(len(self))]
        for index, count in enumerate(objects):
            if not count:
                raise InputError(f"{self._mask(index, 0)}: marks nothing; a clip is tracked from its first mask")
        count = self._count
        self.shapes = self.shapes | {
            "labels": source.ShapeDtype((count, *settings.resolution), np.dtype(np.uint8)),
            "points": source.ShapeDtype((count, max(objects), 0, 3), np.dtype(np.float32)),
        }

    def _mask(self, index, frame):
        path = self._paths(index)[frame]
        return self._masks / path.parent.name / f"{path.stem}.png"

    def _labels(self, index, frame):
        """In the shape of `size`, as its frame is cut."""
        path = self._mask(index, frame)
        found = labels.numbers(labels.read(path), MOST, path)
        size = images.size(self._paths(index)[frame])
        if found.shape != size:
            raise InputError(f"{path}: is {found.shape[1]} x {found.shape[0]} px, but its frame {size[1]} x {size[0]}")
        height, width = self._settings.resolution
        box = images.fitted_box(size, (height, width))  # By the nearest pixel.
        return np.asarray(Image.fromarray(found).resize((width, height), Image.Resampling.NEAREST, box))

    def __getitem__(self, index):
        found = np.stack([self._labels(index, frame) for frame in range(self._count)])
        points = np.zeros(self.shapes["points"].shape, np.float32)
        return super().__getitem__(index) | {"labels": found, "points": points}
