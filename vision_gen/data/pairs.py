"""Pairs of images A and B, as pix2pix (Isola et al. 2017) is trained on, in the layouts of its PyTorch implementation.

Side by side in one file, A on the left: `train/`, `val/`, `test/`. Or two folders whose files match by name, without
their endings: `trainA/` and `trainB/`, `valA/` ...; or `A/train/` and `B/train/`, `A/val/` ... Without folders of
splits, of files side by side or of `A/` and `B/`, 5 percent are `val` and 10 are `test`, by a hash of their names.
Where only `train` and one more are there, that one is `test`, and 5 percent of `train` are `val`.

`direction` "AtoB" makes A the `source` and B the target, `colour`.
"""

import concurrent.futures
import functools

from vision_gen.data import image_folder, images, paired, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "direction", "skip_unreadable", "max_pixels")


def shapes(settings):
    """`source` and `colour`, [height, width, 3] each, their middles in the shape of `size`."""
    return source.images(settings, source=3, colour=3)


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: a folder or partner is missing, a file is broken or of an odd width, or a pair differs in size.
    """
    return Pairs(settings, split)


class Pairs(source.Source):
    """Decoded when asked for."""

    def __init__(self, settings, split):
        self.shapes = shapes(settings)
        self._settings = settings
        pairs = _of_split(settings, split)
        files = [path for paths in pairs.values() for path in paths]
        _, self.skipped = images.readable(files, settings)
        broken = set(self.skipped)
        pairs = {name: paths for name, paths in pairs.items() if not broken & set(paths)}
        with concurrent.futures.ThreadPoolExecutor() as executor:
            list(executor.map(functools.partial(_check_sizes, settings.max_pixels), pairs.values()))
        self._names, self._pairs = list(pairs), list(pairs.values())

    def __len__(self):
        return len(self._pairs)

    def __getitem__(self, index):
        sides = [images.read(path, self._settings.max_pixels) for path in self._pairs[index]]
        if len(sides) == 1:
            middle = sides[0].shape[1] // 2
            sides = [sides[0][:, :middle], sides[0][:, middle:]]
        a, b = (images.fit(side, self._settings.size) for side in sides)
        found, target = (a, b) if self._settings.direction == "AtoB" else (b, a)
        return {"source": found, "colour": target}

    def name(self, index):
        """The file's, without its ending."""
        return self._names[index]


def _check_sizes(max_pixels, paths):
    sizes = [images.size(path, max_pixels=max_pixels) for path in paths]
    if len(paths) == 1 and sizes[0][1] % 2:
        raise InputError(f"{paths[0]}: {sizes[0][1]} pixels wide, so no two images of one size side by side")
    if sizes[0] != sizes[-1]:
        (height, width), (other_height, other_width) = sizes
        raise InputError(
            f"{paths[1]}: {other_width} x {other_height} pixels, but {paths[0]} has {width} x {height}; "
            "the images of a pair must be of one size"
        )


def _of_split(settings, split):
    """{name: files of the pair, one or two} of a split."""
    folder, where = settings.folder, f"{settings.section}.dir"
    there = _splits(folder, where)
    held_out = [name for name in ("val", "test") if name in there]
    if len(held_out) == 2 or not there.keys() & {"train", ""}:
        if split not in there:
            raise InputError(f"{where}: no {split!r} in {str(folder)!r}, only {sorted(there)}")
        return _matched(there[split], where)
    if held_out and split == "test":
        return _matched(there[held_out[0]], where)
    pairs = _matched(there["train" if "train" in there else ""], where)
    missing = ["val"] if held_out else list(image_folder.SHARES)
    chosen = image_folder.divide(pairs, missing, f"{where}: {str(folder)!r}")[split]
    return {name: paths for name, paths in pairs.items() if name in chosen}


def _splits(folder, where):
    """{split: folders of the sides, one or two}, as far as there are any; "" is all splits together."""
    a, b = folder / "A", folder / "B"
    layouts = (
        ((folder, "A"), (folder, "B")),
        ((a, ""), (b, "")),
        ((folder, ""),),
    )
    for layout in layouts:
        sides = [image_folder.split_folders(side, where, ending) for side, ending in layout]
        if any(sides):
            lacking = [{split: place / f"{split}{ending}" for split in source.SPLITS} for place, ending in layout]
            there = {split for side in sides for split in side}
            return {split: tuple((all_ | side)[split] for all_, side in zip(lacking, sides)) for split in there}
    return {"": (a, b) if a.is_dir() or b.is_dir() else (folder,)}


def _matched(sides, where):
    """{name: files of the pair} in one folder of files side by side, or in two."""
    found = {}
    for side in sides:
        files = images.find(side, where)
        names = paired.numbered([path.relative_to(side).as_posix() for path in files], str(side))
        found[str(side)] = {name: files[number] for name, number in names.items()}
    if len(found) == 1:
        return {name: (path,) for name, path in found.popitem()[1].items()}
    names = paired.matched(found, where)
    return {name: tuple(files[name] for files in found.values()) for name in names}
