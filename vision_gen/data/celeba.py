"""CelebA (Liu et al., ICCV 2015) as it is distributed, or any faces in its layout.

`dir` has `img_align_celeba/`, the images; `list_attr_celeba.txt`: how many images, the names of the attributes, then a
line for each image, its file and 1 or -1 for each attribute; `list_eval_partition.txt`: a line for each image, its file
and 0, 1 or 2, for "train", "val" and "test". `write` writes this layout.

Or as StarGAN's released code has it: `images/` and no list of splits. Then 1,999 images are "test", those of that code,
or a tenth where that is less; of the others a twentieth is "val", which that code trains on.
"""

import random

import numpy as np

from vision_gen.data import faces, image_folder, images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "labels", "label", "attributes", "skip_unreadable", "max_pixels")
IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
STARGAN = "images"  # The images, in the layout of StarGAN's code.


def shapes(settings):
    """As of `faces.shapes`; of a trait for each attribute, whose values are "no" and "yes".

    Raises:
      InputError: `dir` has no list of attributes.
    """
    return faces.shapes(settings, *kinds(settings))


def kinds(settings):
    """(traits, attributes); see `faces.Faces`."""
    return _kinds(_header(settings)[1])


def open(settings, split):
    """See `shapes`; `label` is "Smiling" unless `settings.label` names another attribute.

    Raises:
      InputError: a list is missing, a line of one is wrong, or lists and images do not agree; names the file.
    """
    return CelebA(settings, split)


class CelebA(faces.Faces):
    """The middle of each image in the shape of `size`: of CelebA's 178 x 218, 178 x 178 for a square."""

    def __init__(self, settings, split):
        count, names = _header(settings)
        super().__init__(settings, *_kinds(names), "Smiling")
        self._settings = settings
        folder = settings.folder
        answers = _lines(folder / ATTRIBUTES, 2, len(names), ("-1", "1"))
        if len(answers) != count:
            raise InputError(f"{folder / ATTRIBUTES}: says {count} images in its first line, but has {len(answers)}")
        if (folder / STARGAN).is_dir() and not (folder / IMAGES).exists():
            place, parts = folder / STARGAN, _shuffled(list(answers), folder)
        else:
            place, parts = folder / IMAGES, _lines(folder / PARTITION, 0, 1, ("0", "1", "2"))
            _same(answers, folder / ATTRIBUTES, parts, folder / PARTITION)
            parts = {name: source.SPLITS[int(part)] for name, (part,) in parts.items()}
        found = images.find(place, f"{settings.section}.dir")
        found = {path.relative_to(place).as_posix(): path for path in found}
        _same(answers, folder / ATTRIBUTES, found, place)
        chosen = [name for name, part in parts.items() if part == split]
        paths, self.skipped = images.readable([found[name] for name in chosen], settings)
        self._names = [path.relative_to(place).as_posix() for path in paths]
        self._paths = paths
        self._values = np.array([[answer == "1" for answer in answers[name]] for name in self._names], np.int8)

    def __len__(self):
        return len(self._paths)

    def image(self, index):
        return images.fit(images.read(self._paths[index], self._settings.max_pixels), self._settings.size)

    def values(self, index):
        return self._values[index].astype(np.int32)

    def name(self, index):
        """The image's file."""
        return self._names[index]


def write(sources, folder):
    """Writes faces in CelebA's layout, for programs that read it; images as PNG.

    Args:
      sources: {split: `faces.Faces`}, all of the same attributes, opened with `labels`.
      folder: where to, a `pathlib.Path`; made if it is not there.
    """
    from PIL import Image

    (folder / IMAGES).mkdir(parents=True)
    answers, parts = [], []
    for split, faces_of in sources.items():
        for index in range(len(faces_of)):
            example, name = faces_of[index], f"{len(answers) + 1:06d}.png"
            Image.fromarray(example["colour"]).save(folder / IMAGES / name)
            answers.append(f"{name} {' '.join('1' if true else '-1' for true in example['attributes'])}")
            parts.append(f"{name} {source.SPLITS.index(split)}")
    names = " ".join(next(iter(sources.values())).attributes)
    (folder / ATTRIBUTES).write_text("\n".join([str(len(answers)), names, *answers, ""]))
    (folder / PARTITION).write_text("\n".join([*parts, ""]))


def _kinds(names):
    """(traits, attributes), as `faces.Faces` takes them."""
    return dict.fromkeys(names, faces.ANSWERS), {name: (name, faces.ANSWERS[1:]) for name in names}


def _text(path):
    """Lines of a list."""
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        has = f"{IMAGES}/, {ATTRIBUTES} and {PARTITION}"
        raise InputError(f"{path}: cannot be read ({error}); CelebA's layout has {has}") from error


def _header(settings):
    """(number of images, names of attributes) of the list of attributes."""
    path = settings.folder / ATTRIBUTES
    lines = _text(path)
    if len(lines) < 2 or not lines[0].strip().isdigit() or not lines[1].split():
        raise InputError(f"{path}: must begin with a line of the number of images and one of the names of attributes")
    names = lines[1].split()
    if len(set(names)) < len(names):
        raise InputError(f"{path}: names an attribute twice")
    return int(lines[0]), names


def _lines(path, start, count, allowed):
    """{file: its values} of a list, from line `start` on."""
    found = {}
    for number, line in enumerate(_text(path)[start:], start + 1):
        name, *values = line.split() or [""]
        if not name:
            continue
        if len(values) != count or not set(values) <= set(allowed):
            right = f"a file and {count} of {' or '.join(allowed)}"
            raise InputError(f"{path}: line {number} must be {right}, got {line[:60]!r}")
        if name in found:
            raise InputError(f"{path}: line {number} has {name} again")
        found[name] = values
    return found


def _shuffled(names, folder):
    """{file: split} of a list of files, in its order, as StarGAN's code divides it."""
    random.Random(1234).shuffle(names)
    count = min(1999, len(names) // 10)
    found = dict.fromkeys(names[:count], "test")
    parts = image_folder.divide(names[count:], ["val"], str(folder / ATTRIBUTES))
    return found | {name: part for part, chosen in parts.items() for name in sorted(chosen)}


def _same(first, first_path, second, second_path):
    """Raises InputError where two lists are not of the same images."""
    sides = (first, first_path), (second, second_path)
    for (here, where), (there, other) in (sides, sides[::-1]):
        missing = here.keys() - there.keys()
        if missing:
            raise InputError(f"{where}: {len(missing)} of its images are not in {other}, the first: {min(missing)}")
