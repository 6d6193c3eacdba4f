"""Kinds of values that people give to trained systems and get from them; see `values.kind`."""

from vision_gen.values.cameras import Camera, Cameras
from vision_gen.values.clips import Clip, LabelClip
from vision_gen.values.kind import Kind
from vision_gen.values.numbers import Choice, Latent, Number, Points, Pose, Seed, Shares, Start, Ties
from vision_gen.values.people import Garment, Person, Prepared
from vision_gen.values.pictures import Folder, Image, Images, Labels, Mask, Query, Scribble
from vision_gen.values.words import Attributes, Label, Ranking, Scores, Table, Text, Texts, Traits

__all__ = [
    "Attributes",
    "Camera",
    "Cameras",
    "Choice",
    "Clip",
    "Folder",
    "Garment",
    "Image",
    "Images",
    "Kind",
    "Label",
    "LabelClip",
    "Labels",
    "Latent",
    "Mask",
    "Number",
    "Person",
    "Points",
    "Pose",
    "Prepared",
    "Query",
    "Ranking",
    "Scores",
    "Scribble",
    "Seed",
    "Shares",
    "Start",
    "Table",
    "Text",
    "Texts",
    "Ties",
    "Traits",
]
