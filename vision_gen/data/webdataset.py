"""Tars of pictures and captions, as WebDataset and img2dataset make them: `000000012.jpg` and `000000012.txt` in
`00000.tar`.

Members that have one name up to its first dot belong together; what is neither picture nor text is left aside. `dir` is
a folder of tars; with subfolders `train` and `val` or `test` these are the splits, otherwise, and of a split that has
none, 5 percent of the training examples are `val` and 10 are `test`, each by a hash of its own name. Tars are read
where they lie, none is unpacked.
"""

import functools
import tarfile

from vision_gen.data import described, image_folder, images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "max_pixels")


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: there is no tar, one is damaged, a picture has no text or a text no picture, or a text is empty or not
        UTF-8;
        names it.
    """
    field, folder = f"{settings.section}.dir", settings.folder
    folders = image_folder.split_folders(folder, field) or {"train": folder}
    if "train" not in folders and split not in folders:
        raise InputError(f"{field}: no {split!r} in {str(folder)!r}, only {sorted(folders)}")
    held = split in folders and split != "train"
    pictures, texts = _members(folders[split if held else "train"], folder, field)
    if not held:
        missing = [name for name in image_folder.SHARES if name not in folders]
        chosen = image_folder.divide(pictures, missing, f"{field}: {str(folder)!r}")[split]
        pictures = {name: read for name, read in pictures.items() if name in chosen}
    return described.Described(settings, pictures, {name: texts[name] for name in pictures})


def _members(folder, root, field):
    """({name: function that reads a picture}, {name: captions}) of all tars below a folder."""
    pictures, texts = {}, {}
    tars = sorted(folder.rglob("*.tar"))
    if not tars:
        raise InputError(f"{field}: no .tar below {str(folder)!r}")
    for path in tars:
        of_picture, of_text = {}, {}
        for member in _listed(path):
            where, _, rest = member.name.rpartition("/")
            key, _, suffix = rest.partition(".")
            kind = of_picture if f".{suffix.lower()}" in images.SUFFIXES else of_text if suffix == "txt" else None
            if kind is not None and member.isfile():
                name = f"{where}/{key}" if where else key
                if name in kind:
                    raise InputError(f"{path}: has {kind[name].name} and {member.name}, two of one name")
                kind[name] = member
        for one, other, what in (
            (of_text, of_picture, "a text without a picture"),
            (of_picture, of_text, "a picture without a text"),
        ):
            alone = [member.name for name, member in one.items() if name not in other]
            if alone:
                raise InputError(f"{path}: {alone[0]} is {what} of its name")
        shard = path.relative_to(root).as_posix()
        for name, member in of_picture.items():
            pictures[f"{shard}/{name}"] = functools.partial(
                _picture, path, member.name, member.offset_data, member.size
            )
            text = of_text[name]
            texts[f"{shard}/{name}"] = described.lines(
                _bytes(path, text.offset_data, text.size), f"{path}: {text.name}"
            )
    return pictures, texts


def _listed(path):
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: cannot be read as a tar, which must not be compressed ({error})") from error
    end = max((member.offset_data + member.size for member in members), default=0)
    # Where a header is cut tarfile ends without a word: behind the last member there must be nothing but zeros.
    with path.open("rb") as file:
        file.seek(-(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        rest = file.read(tarfile.BLOCKSIZE)
    if end > path.stat().st_size or rest.strip(b"\0"):
        raise InputError(f"{path}: ends early, after {members[-1].name}")
    return members


def _picture(path, name, offset, size):
    return images.Named(_bytes(path, offset, size), f"{path}: {name}")


def _bytes(path, offset, size):
    """A part of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        found = file.read(size)
    if len(found) < size:
        raise InputError(f"{path}: ends early")
    return found
