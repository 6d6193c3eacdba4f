"""Makes photographs ready for try-on: a person who stands upright, seen from head to thighs, and a garment laid flat.

vision-gen prepare person=me.jpg cloth=shirt.jpg --output=mine
vision-gen prepare person=mine/test/image/me.jpg,mask=mask.png,keypoints=points.json,parse=regions.png --output=mine
vision-gen prepare cloth=shirt.jpg,mask=mask.png --output=mine

Below --output lie pictures, masks, joints and regions in VITON-HD's layout, and in seen/ a sheet of the steps: look at
it. A step that is wrong is corrected by hand and given in place of the automatic one, as in the second line. Joints and
the mask of a person come from MediaPipe's pose model, masks of garments from U2-Net or from a plain ground, regions
from a parser or else from joints and colours, which is rough.
"""

from absl import flags

from vision_gen.engine import commands
from vision_gen.errors import InputError

_OUTPUT = commands.define_path("output", "Folder of what is made.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "test"], "Folder below it, and its pairs file.")
_HEIGHT = flags.DEFINE_integer("height", 1024, "Of pictures, in pixels; they are three quarters as wide.")
_POSE = commands.define_path("pose", "MediaPipe's pose_landmark_full.tflite or pose_landmarker.task.")
_CUTOUT = commands.define_path("cutout", "U2-Net's u2netp.onnx, for garments.")
_PARSER = commands.define_path("parser", "Of Self-Correction for Human Parsing, parsing_lip.onnx or parsing_atr.onnx.")


def main(argv):
    from vision_gen.engine import apply
    from vision_gen.preparing import photographs

    given = apply.named(argv[1:], "prepare")
    for name in given:
        if name not in ("person", "cloth"):
            raise InputError(f"unknown {name!r}; prepare takes person=PICTURE and cloth=PICTURE")
    if not _OUTPUT.value:
        raise InputError("give --output=FOLDER, where to")
    at = {"pose": _POSE.value, "cutout": _CUTOUT.value, "parser": _PARSER.value}
    print(*photographs.prepare(_OUTPUT.value, **given, split=_SPLIT.value, height=_HEIGHT.value, at=at), sep="\n")
