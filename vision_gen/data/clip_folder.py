"""Clips as folders of frames: each folder below `dir` that holds images is one, its frames by name.

Splits are as of `image_folder`, by the names of clips. A training example is `frames` frames of a clip, `frame_step` apart,
from any of its places; a held-out one the first `held_out_frames`.
"""

import collections

import numpy as np

from vision_gen.data import image_folder, images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "frames", "held_out_frames", "frame_step", "max_pixels")


def shapes(settings):
    """`frames` [frames, height, width, 3] uint8, the middle of each frame in the shape of `size`."""
    return {"frames": source.ShapeDtype((settings.frames, *settings.resolution, 3), np.dtype(np.uint8))}


def open(settings, split):
    """See `shapes`."""
    field, folder = f"{settings.section}.dir", settings.folder
    divided = image_folder.split_folders(folder, field)
    if "train" in divided and len(divided) > 1:
        if split not in divided:
            raise InputError(f"{field}: no {split!r} in {str(folder)!r}, only {sorted(divided)}")
        clips = _clips(divided[split], field)
    else:
        clips = _clips(folder, field)
        chosen = image_folder.divide(list(clips), list(image_folder.SHARES), f"{field}: {str(folder)!r}")[split]
        clips = {name: paths for name, paths in clips.items() if name in chosen}
    return ClipFolder(settings, split, clips)


def _clips(folder, field):
    """{name: paths of its frames} of the clips below a folder."""
    found = collections.defaultdict(list)
    for path in images.find(folder, field):
        found[path.parent.relative_to(folder).as_posix()].append(path)
    if "." in found:
        raise InputError(f"{found['.'][0]}: lies in no clip's folder; {field} must be a folder of folders of frames")
    return dict(found)


class ClipFolder(source.Source):
    """Decoded when asked for.

    Args:
      clips: {name: paths of its frames, in order}.

    Raises:
      InputError: a clip has too few frames, or frames of several sizes; names it.
    """

    def __init__(self, settings, split, clips):
        training = split == "train"
        self._settings, self._clips = settings, clips
        self._count = settings.frames if training else settings.held_out_frames
        self._step = settings.frame_step if training else 1
        self.shapes = {"frames": source.ShapeDtype((self._count, *settings.resolution, 3), np.dtype(np.uint8))}
        length = (self._count - 1) * self._step + 1
        self._starts = []
        for name, paths in clips.items():
            if len(paths) < length:
                field = "frames" if training else "held_out_frames"
                raise InputError(
                    f"{paths[0].parent}: ends after {len(paths)} frame(s); {settings.section}.{field} = {self._count} "
                    f"needs {length}"
                )
            sizes = collections.Counter(images.size(path, max_pixels=settings.max_pixels) for path in paths)
            if len(sizes) > 1:
                (odd, count) = sizes.most_common()[-1]
                raise InputError(
                    f"{paths[0].parent}: has frames of {len(sizes)} sizes ({count} of {odd[1]} x {odd[0]}); all must be of one"
                )
            starts = range(len(paths) - length + 1) if training else [0]
            self._starts += [(name, start) for start in starts]

    def __len__(self):
        return len(self._starts)

    def _paths(self, index):
        name, start = self._starts[index]
        return self._clips[name][start :: self._step][: self._count]

    def __getitem__(self, index):
        read = lambda path: images.fit(images.read(path, self._settings.max_pixels), self._settings.size)
        return {"frames": np.stack([read(path) for path in self._paths(index)])}

    def name(self, index):
        """The clip, and where in it."""
        name, start = self._starts[index]
        return f"{name}/{start:05d}"
