"""Photographs for virtual try-on in the layout of VITON-HD (Choi et al., CVPR 2021), of its first or a later release.

`dir` has `train_pairs.txt` and `test_pairs.txt`, a person's file and a garment's on each line, and in `train/` and in
`test/`:

- `image/`, people, and `cloth/`, garments laid flat, with `cloth-mask/`, light where the garment is;
- `image-parse-v3/` or `image-parse/`, PNG with a palette: LIP's labels, 0 to 19;
- `openpose_json/` or `openpose-json/`, `NAME_keypoints.json` with BODY_25's points;
- `openpose_img/` or `openpose-img/`, `NAME_rendered.png`; without, they are rendered from the points;
- `truth/` and `truth-parse/`, if known: each person in the garment of the pairs file (`write`).

5 percent of the people of "train" are "val". Where both are there, the later release's folder is taken. Its
`agnostic-v3.2` and `image-parse-agnostic-v3.2` are not read: they follow from labels and points.
"""

import concurrent.futures
import logging
import pathlib

import numpy as np
from PIL import Image

from vision_gen.data import image_folder, images, labels, mannequins, openpose, source
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
FIELDS = ("dir", "size", "pairs", "skip_unreadable", "max_pixels")
PARSES, POINTS, POSES = (
    ("image-parse-v3", "image-parse"),
    ("openpose_json", "openpose-json"),
    ("openpose_img", "openpose-img"),
)
UNREAD = ("agnostic-v3.2", "image-parse-agnostic-v3.2", "image-densepose", "agnostic-mask", "gt_cloth_warped_mask")
# LIP's classes by their numbers, and the colours that VITON-HD's files have for them.
CLASSES = (
    "Background", "Hat", "Hair", "Glove", "Sunglasses", "Upper-clothes", "Dress", "Coat", "Socks", "Pants",
    "Torso-skin", "Scarf", "Skirt", "Face", "Left-arm", "Right-arm", "Left-leg", "Right-leg", "Left-shoe", "Right-shoe",
)  # fmt: skip
PALETTE = np.array([
    (0, 0, 0), (128, 0, 0), (254, 0, 0), (0, 85, 0), (169, 0, 51), (254, 85, 0), (0, 0, 85), (0, 119, 220), (85, 85, 0),
    (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 254), (51, 169, 220), (0, 254, 254), (85, 254, 169),
    (169, 254, 85), (254, 254, 0), (254, 169, 0),
], np.uint8)  # fmt: skip
# Without these nobody knows where the torso is; of others follows as much as is known.
NEEDED = ("RShoulder", "LShoulder")


def shapes(settings):
    """As of `mannequins.shapes`, in any size; `truth` where it is known, of unpaired examples."""
    truth = settings.pairs == "unpaired" and bool(settings.dir) and (settings.folder / "test" / "truth").is_dir()
    return mannequins.arrays(settings.resolution, truth)


def open(settings, split):
    """See `shapes`.

    With `pairs` "paired" everybody comes with the garment that has their own name, which they wear; with "unpaired"
    with that of the pairs file, or, where every line of it has one name twice, with that of the next line.

    Raises:
      InputError: a file is missing, broken, of another size than what it belongs to or of another shape than
        `settings.size`; a line of a pairs file has other than two names; labels are unknown, or points missing.
    """
    return TryOnFolder(settings, split)


class TryOnFolder(source.Source):
    """Decoded when asked for."""

    def __init__(self, settings, split):
        self._settings = settings
        self._folder = settings.folder / ("test" if split == "test" else "train")
        pairs = _pairs(settings, split)
        self._parse, self._points, pose = (self._one_of(names) for names in (PARSES, POINTS, POSES))
        self._pose = pose if pose.is_dir() else None
        unread = [name for name in UNREAD if (self._folder / name).is_dir()]
        if unread:
            images.say_once(f"{self._folder}: {', '.join(unread)} are not read")
        if not self._pose:
            images.say_once(f"{self._folder}: no {' or '.join(POSES)}; poses are rendered from the key points")
        self.shapes = mannequins.arrays(settings.resolution, "truth" in shapes(settings) and split == "test")
        with concurrent.futures.ThreadPoolExecutor() as executor:
            problems = dict(zip(pairs, executor.map(self._problem, pairs.items())))
        self._people = [person for person in pairs if not isinstance(problems[person], InputError)]
        self.skipped = tuple(self._folder / "image" / p for p in pairs if isinstance(problems[p], InputError))
        if self.skipped and not settings.skip_unreadable:
            more = f" (and {len(self.skipped) - 1} more people)" if len(self.skipped) > 1 else ""
            first = next(problems[path.name] for path in self.skipped)
            raise InputError(f"{first}{more}; {settings.section}.skip_unreadable=True leaves such people out")
        self._pairs = pairs
        for what in ("not found", "out of the picture", "of more than one person, of whom the first is taken"):
            found = [f"{p}{where}" for p in self._people for kind, where in problems[p] if kind == what]
            if found:
                images.say_once(f"{self._folder}: key points {what}: {len(found)} times, the first: {found[0]}")

    def _one_of(self, names):
        return next(
            (path for path in (self._folder / name for name in names) if path.is_dir()), self._folder / names[-1]
        )

    def _files(self, person, garment):
        """{array: file} of an example."""
        stem = pathlib.Path(person).stem
        garment_stem = pathlib.Path(garment).stem
        files = {
            "image": self._folder / "image" / person,
            "cloth": self._folder / "cloth" / garment,
            "cloth_mask": _beside(self._folder / "cloth-mask", garment, garment_stem),
            "parse": self._parse / f"{stem}.png",
        }
        if self._pose:
            files["pose"] = self._pose / f"{stem}_rendered.png"
        if "truth" in self.shapes:
            files["truth"] = _beside(self._folder / "truth", person, stem)
            files["truth_parse"] = self._folder / "truth-parse" / f"{stem}.png"
        return files

    def _problem(self, pair):
        """An InputError, or what is to be said of the points: (kind, " RWrist") of each."""
        try:
            return self._checked(*pair)
        except InputError as error:
            return error

    def _checked(self, person, garment):
        files = self._files(person, garment)
        for name, path in files.items():
            if not path.is_file():
                hint = ""
                if name == "cloth_mask":
                    hint = "; every garment needs its mask, light where the garment is"
                if name == "cloth" and self._settings.pairs == "paired":
                    hint = f'; {self._settings.section}.pairs="unpaired" takes the garments of the pairs file'
                raise InputError(f"{path}: no such file, which {person} with {garment} needs{hint}")
            why = images.problem(path, decode=self._settings.skip_unreadable, max_pixels=self._settings.max_pixels)
            if why:
                raise InputError(f"{path}: {why}")
        sizes = {name: images.size(path, upright=False) for name, path in files.items()}
        for name, (height, width) in sizes.items():
            of = "cloth" if name.startswith("cloth") else "image"
            if sizes[of] != (height, width):
                other = " x ".join(map(str, sizes[of][::-1]))
                raise InputError(f"{files[name]}: {width} x {height} pixels, but {files[of]} has {other}")
            tall, wide = self._settings.resolution
            if abs(width * tall - height * wide) > max(height, width):
                raise InputError(
                    f"{files[name]}: {width} x {height} pixels, another shape than {self._settings.section}.size, "
                    f"({tall}, {wide}) of height and width; cut it to that shape first"
                )
        for name in ("parse", "truth_parse"):
            if name in files:
                read_labels(files[name])
        if not _inside(files["cloth_mask"]).any():
            raise InputError(f"{files['cloth_mask']}: black everywhere; a mask is light where the garment is")
        points, people = openpose.read(self._keypoints(person))
        found = [("of more than one person, of whom the first is taken", "")] if people > 1 else []
        height, width = sizes["image"]
        for number in (*range(2, 8), 9, 12):  # Those of arms and hips.
            x, y, sure = points[number]
            if sure <= 0 or (x <= 0 and y <= 0):
                found.append(("not found", f" {openpose.JOINTS[number]}"))
            elif not (0 <= x < width and 0 <= y < height):
                found.append(("out of the picture", f" {openpose.JOINTS[number]}"))
        lost = [where.strip() for kind, where in found if kind == "not found" and where.strip() in NEEDED]
        if lost:
            raise InputError(
                f"{self._keypoints(person)}: without {', '.join(lost)}; shoulders must be found, elbows, wrists and "
                "hips may be missing"
            )
        return found

    def _keypoints(self, person):
        return self._points / f"{pathlib.Path(person).stem}_keypoints.json"

    def __len__(self):
        return len(self._people)

    def __getitem__(self, index):
        person = self._people[index]
        size = height, width = self._settings.resolution
        files = self._files(person, self._pairs[person])
        example = {}
        for name in ("image", "cloth", "pose", "truth"):
            if name in files:
                example[name] = images.fit(images.read_rgb(files[name]), size)
        for name in ("parse", "truth_parse"):
            if name in files:
                example[name] = _nearest(read_labels(files[name]), size)
        example["cloth_mask"] = _nearest(np.uint8(255 * _inside(files["cloth_mask"])), size)
        points, _ = openpose.read(self._keypoints(person))
        tall, wide = images.size(files["image"], upright=False)
        example["keypoints"] = points * np.float32([width / wide, height / tall, 1])
        if "pose" not in example:
            example["pose"] = openpose.picture(example["keypoints"], size)
        return example

    def name(self, index):
        """The person's file, without its ending."""
        return pathlib.Path(self._people[index]).stem

    def garment(self, index):
        """The garment's file, without its ending."""
        return pathlib.Path(self._pairs[self._people[index]]).stem


def _beside(folder, name, stem):
    """A file of that name, or of its stem with another ending."""
    return next(
        (path for path in (folder / name, folder / f"{stem}.png", folder / f"{stem}.jpg") if path.is_file()),
        folder / name,
    )


def _inside(path):
    """Where a garment's mask is light, [height, width] bool."""
    return images.read_rgb(path)[..., 0] > 127


def _nearest(array, size):
    """[height, width] as [*size, 1]."""
    return np.asarray(Image.fromarray(array).resize(size[::-1], Image.Resampling.NEAREST))[..., None]


def read_labels(path):
    """LIP's labels [height, width] uint8 of a file: grey, with a palette, or of the colours of `PALETTE`."""
    found = labels.read(path, PALETTE)
    if found.ndim != 2:  # Painted by hand and saved without a palette.
        colours, found = found, labels.of_colours(found, PALETTE)
        if (found == 255).any():
            raise InputError(
                f"{path}: has the colour {colours[found == 255][0].tolist()}, which VITON-HD has for no label; "
                "use its colours, or a palette or grey with the labels 0 to 19"
            )
    unknown = np.unique(found[found >= len(CLASSES)]).tolist()
    if unknown:
        raise InputError(
            f"{path}: has the label(s) {unknown[:5]}, which LIP has not; they must be 0 to {len(CLASSES) - 1}"
        )
    if not found.any():
        raise InputError(f"{path}: is 0 everywhere, so nobody is in it; its labels must be LIP's, 5 of upper clothes")
    return found


def pair_lines(path):
    """The lines of a pairs file. Raises InputError where it cannot be read; names it."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _pairs(settings, split):
    """{person's file: garment's file} of a split."""
    path = settings.folder / ("test_pairs.txt" if split == "test" else "train_pairs.txt")
    if not path.exists():
        raise InputError(f"{settings.section}.dir: no {str(path)!r}; VITON-HD's layout has it")
    pairs = {}
    for number, line in enumerate(pair_lines(path), 1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise InputError(f"{path}: line {number} must be a person's file and a garment's, got {line[:60]!r}")
        for name in names:
            if pathlib.PurePath(name).name != name:
                raise InputError(f"{path}: line {number} must have names of files without folders, got {name[:60]!r}")
        if names[0] in pairs:
            raise InputError(f"{path}: line {number} has {names[0]} again")
        pairs[names[0]] = names[1]
    if not pairs:
        raise InputError(f"{path}: no pairs; each line must be a person's file and a garment's")
    if settings.pairs == "paired":
        pairs = {person: person for person in pairs}
    elif all(person == garment for person, garment in pairs.items()):
        people = list(pairs)
        pairs = dict(zip(people, people[1:] + people[:1]))
    if split == "test":
        return pairs
    chosen = image_folder.divide(pairs, ["val"], str(path))[split]
    return {person: garment for person, garment in pairs.items() if person in chosen}


def write(paired, unpaired, folder, split):
    """Writes a split of `mannequins` in VITON-HD's layout, with everybody's truth in the garment of the pairs file.

    Args:
      paired: a source, opened with `pairs` "paired".
      unpaired: the same with "unpaired"; None, as to train on, for a pairs file of what they wear and without truth.
      folder: where to, a `pathlib.Path`.
      split: "train" or "test".
    """
    put = lambda array, name, *more, **options: save(array, folder / split / name, *more, **options)
    lines = []
    for index in range(len(paired)):
        example, name = paired[index], paired.name(index)
        put(example["image"], f"image/{name}.jpg", quality=95)
        put(example["cloth"], f"cloth/{name}.jpg", quality=95)
        put(example["cloth_mask"][..., 0], f"cloth-mask/{name}.jpg", quality=95)
        put(example["parse"][..., 0], f"image-parse/{name}.png", palette=PALETTE)
        put(example["pose"], f"openpose-img/{name}_rendered.png")
        points = folder / split / "openpose-json" / f"{name}_keypoints.json"
        points.parent.mkdir(parents=True, exist_ok=True)
        points.write_text(openpose.text(example["keypoints"]))
        lines.append(f"{name}.jpg {(unpaired or paired).garment(index)}.jpg")
        if unpaired:
            other = unpaired[index]
            put(other["truth"], f"truth/{name}.jpg", quality=95)
            put(other["truth_parse"][..., 0], f"truth-parse/{name}.png", palette=PALETTE)
    (folder / f"{split}_pairs.txt").write_text("\n".join([*lines, ""]))


def save(array, path, palette=None, **options):
    """Writes a picture in a folder that is made; `palette` makes labels a picture with one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(path, **options)
