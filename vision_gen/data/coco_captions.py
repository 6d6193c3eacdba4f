"""COCO's captions as they are distributed, or any in their layout.

`dir` has `annotations/captions_NAME.json` and the images in `NAME/`, NAME being `train2017` and `val2017` say, by what
it begins with. "test" is "val" there, as the test images have no public captions, and 5 percent of "train" are "val";
where there is "train" alone, 5 percent of it are "val" and 10 are "test". Which ones follows from a hash of each file's
name.
"""

import json

from vision_gen.data import described, image_folder, images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "skip_unreadable", "max_pixels")
RIGHT = '{"images": [{"id": 9, "file_name": "9.jpg"}, ...], "annotations": [{"image_id": 9, "caption": "..."}, ...]}'


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: a list is not as COCO has it, a caption is of no image or an image without one, or an image is not
        there;
        names it.
    """
    folder, field = settings.folder, f"{settings.section}.dir"
    files = {}
    for path in sorted((folder / "annotations").glob("captions_*.json")):
        name = path.stem.removeprefix("captions_")
        begun = [split for split in source.SPLITS if name.startswith(split)]
        if begun and begun[0] not in files:
            files[begun[0]] = path, folder / name
    if "train" not in files:
        raise InputError(f"{field}: no annotations/captions_train*.json in {str(folder)!r}; COCO's layout has it")
    if "test" not in files and "val" in files:
        files["test"] = files.pop("val")
    chosen, among = (
        (split, None)
        if split in files and split != "train"
        else ("train", [s for s in ("test", "val") if s not in files])
    )
    texts = _read(*files[chosen])
    if among is not None:
        kept = image_folder.divide(texts, among, f"{field}: {str(folder)!r}")[split]
        texts = {path: found for path, found in texts.items() if path in kept}
    whole, skipped = images.readable(list(texts), settings)
    name = lambda path: path.relative_to(folder).as_posix()
    return described.Described(settings, {name(p): p for p in whole}, {name(p): texts[p] for p in whole}, skipped)


def _read(path, folder):
    """{image file: captions} of a list."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files = {image["id"]: folder / image["file_name"] for image in record["images"]}
        found = [(one["image_id"], one["caption"]) for one in record["annotations"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: not as {RIGHT} ({error!r})") from error
    texts = {file: () for file in files.values()}
    for number, (image, caption) in enumerate(found, 1):
        if image not in files:
            raise InputError(f"{path}: caption {number} is of the image {image!r}, which is not among its images")
        texts[files[image]] += (described.text(caption, f"{path}: caption {number}"),)
    for file, captions in texts.items():
        if not captions:
            raise InputError(f"{path}: {file.name} has no caption")
        if not file.is_file():
            raise InputError(f"{path}: {file} is not there")
    return texts
