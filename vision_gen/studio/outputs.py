"""HTML for the values of each kind that tools give. Pictures are enlarged pixel by pixel where they are tiny."""

import base64
import html
import io
import json

import numpy as np
import PIL.Image

from vision_gen import values
from vision_gen.data import labels

# Pixels that the longer side of a result takes, and rows of a table.
SIDE, ROWS = 560, 12


def shown(kind, value, side=SIDE):
    """A value of a kind as HTML; text in it is escaped."""
    if isinstance(kind, values.Image):
        return picture(value, side)
    if isinstance(kind, values.Mask):
        return picture(np.uint8(value) * 255, side)
    if isinstance(kind, values.Scribble):
        return picture(value, side)
    if isinstance(kind, values.Labels):
        return picture(labels.PALETTE[value], side)
    if isinstance(kind, values.LabelClip):
        return clip(labels.PALETTE[value], 10, side)
    if isinstance(kind, values.Clip):
        return clip(value, kind.rate, side)
    if isinstance(kind, values.Traits):
        best = {trait: next(iter(shares.items())) for trait, shares in value.items()}
        return bars(
            {f"{trait.replace('_', ' ')}: {name}": share for trait, (name, share) in best.items()},
            len(best),
            alike=True,
        )
    if isinstance(kind, (values.Scores, values.Ranking)):
        return bars(value, ROWS)
    if isinstance(kind, values.Attributes):
        return bars(kind.cells(value), len(value))
    if isinstance(kind, values.Table):
        return table(value)
    if isinstance(kind, values.Number):
        return f'<p class="number">{value:.4g}</p>'
    if isinstance(kind, (values.Latent, values.Points, values.Pose)):
        array = np.asarray(value)
        says = " × ".join(map(str, array.shape))
        return f'<p class="soft">{says} numbers, mean {array.mean():.3g}, standard deviation {array.std():.3g}</p>'
    return f"<p>{html.escape(kind.text(value))}</p>"


def scale(size, side):
    """(width on the page, whether it is enlarged pixel by pixel) of a picture of (height, width)."""
    longest = max(size)
    if longest * 2 <= side:
        return size[1] * (side // longest), True
    return round(size[1] * min(1, side / longest)), False


def picture(value, side=SIDE, caption=True):
    """A picture [height, width] or [..., 1, 3 or 4] uint8."""
    value = value[..., 0] if value.ndim == 3 and value.shape[-1] == 1 else value
    out = io.BytesIO()
    PIL.Image.fromarray(value).save(out, "PNG", compress_level=1)
    return _figure(out.getvalue(), "png", value.shape[:2], side, caption)


def clip(value, rate, side=SIDE):
    """Frames [frames, height, width, 3] uint8, which move."""
    out = io.BytesIO()
    first, *rest = map(PIL.Image.fromarray, value)
    first.save(
        out, "WEBP", save_all=True, append_images=rest, duration=round(1000 / rate), loop=0, lossless=True, method=0
    )
    return _figure(out.getvalue(), "webp", value.shape[1:3], side, True, f", {len(value)} frames")


def _figure(data, kind, size, side, caption, more=""):
    width, tiny = scale(size, side)
    height = round(width * size[0] / size[1])
    times = f", shown {width // size[1]} times as large" if tiny else ""
    says = f"<figcaption>{size[1]} × {size[0]} pixels{more}{times}</figcaption>" if caption else ""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    look = ' class="tiny"' if tiny else ""
    alt = f"{size[1]} by {size[0]} pixels"
    return f'<figure><img{look} src="{source}" alt="{alt}" width="{width}" height="{height}">{says}</figure>'


def bars(figures, most, alike=False):
    """{name: share of 1} as bars, the largest first but where they are `alike`."""
    rows = []
    for number, (name, share) in enumerate(list(figures.items())[:most]):
        wide = 100 * min(1, max(0, abs(share)))
        other = "" if alike or number == 0 else ' class="other"'
        rows.append(
            f'<tr{other}><td>{html.escape(str(name))}</td><td class="bar"><i style="width:{wide:.1f}%"></i></td>'
            f'<td class="figure">{share:.3f}</td></tr>'
        )
    more = len(figures) - most
    rows += [f'<tr><td class="soft" colspan="3">and {more} more</td></tr>'] if more > 0 else []
    return f"<table>{''.join(rows)}</table>"


def table(figures):
    """{name: number or numbers} as a table."""
    cell = lambda value: html.escape(json.dumps(np.round(value, 5).tolist()))
    rows = (
        f'<tr><td>{html.escape(name)}</td><td class="figure">{cell(value)}</td></tr>' for name, value in figures.items()
    )
    return f"<table>{''.join(rows)}</table>"
