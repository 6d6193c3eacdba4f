"""Images of two domains in folders, unpaired, in the layouts of CycleGAN's reference implementation and of others.

`trainA/` and `trainB/`, `valA/` ..., `testA/` and `testB/`; or `train/<a>/` and `train/<b>/`, `val/<a>/` ..., the
domains in the order of their names. Splits are called as those of `image_folder`, and held out as there where a domain
has none. An example has `a_colour` and `b_colour`; see `unpaired`.
"""

from vision_gen.data import image_folder, images, source, unpaired
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "skip_unreadable", "max_pixels")


def shapes(settings):
    """`a_colour` and `b_colour`, [height, width, 3] each, their middles in the shape of `size`."""
    return source.images(settings, a_colour=3, b_colour=3)


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: there are no two domains, or one has no images.
    """
    folders = _folders(settings)
    return unpaired.Unpaired({side: Domain(settings, split, of) for side, of in zip("ab", folders, strict=True)})


class Domain(source.Source):
    """The images of one domain; `folders` are those of its splits."""

    def __init__(self, settings, split, folders):
        field = f"{settings.section}.dir"
        self._settings, self.shapes = settings, source.images(settings, colour=3)
        files, self.skipped = image_folder.of_split(folders, split, settings, field)
        self._names, self._paths = list(files), list(files.values())

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        return {"colour": images.fit(images.read(self._paths[index], self._settings.max_pixels), self._settings.size)}

    def name(self, index):
        """The file's, from the folder of its split on."""
        return self._names[index]


def _folders(settings):
    """({split: folder} of a, the same of b)."""
    folder, field = settings.folder, f"{settings.section}.dir"
    sides = [image_folder.split_folders(folder, field, ending) for ending in "AB"]
    if not any(sides):
        splits = image_folder.split_folders(folder, field)
        names = sorted({path.name for place in splits.values() for path in place.iterdir() if path.is_dir()})
        of = lambda name: {split: place / name for split, place in splits.items() if (place / name).is_dir()}
        sides = [of(name) for name in names] if len(names) == 2 else sides
    if not all("train" in side for side in sides):
        found = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*/") if path.is_dir())
        found = found or sorted(path.name for path in folder.iterdir() if path.is_dir())
        right = "trainA/ and trainB/, or train/ with a folder for each of two domains"
        raise InputError(f"{field}: {str(folder)!r} must have {right}, found {found}")
    return sides
