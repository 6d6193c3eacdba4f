"""Drawings of smooth shapes, as SVG, each shape with a label of what it is part of; drawn by resvg."""

import contextlib
import io

import numpy as np
from PIL import Image

_STEP = 8  # Between the reds that stand for labels.


class Drawing:
    """Shapes in order. Coordinates are [n, 2], x to the right and y down.

    Attributes:
      box: (left, top, width, height) of what is seen.
    """

    def __init__(self, box):
        self.box = box
        self._colours, self._labels, self._names = [], [], 0

    def add(self, path, fill, label=None, more=""):
        """A filled shape: `path` as of `smooth`, `fill` a colour or paint, `more` attributes of SVG's.

        Without a label it is shading, which changes no label."""
        self._colours.append(f'<path d="{path}" fill="{fill}" {more}/>')
        if label is not None:
            self._labels.append(f'<path d="{path}" fill="#{label * _STEP:02x}0000"/>')

    def line(self, path, colour, width, opacity=1.0, more=""):
        """A stroke with round ends, which changes no label."""
        style = f'stroke="{colour}" stroke-width="{width:.2f}" stroke-opacity="{opacity:.2f}" stroke-linecap="round"'
        self._colours.append(f'<path d="{path}" fill="none" {style} stroke-linejoin="round" {more}/>')

    def put(self, svg):
        """Any SVG, which changes no label."""
        self._colours.append(svg)

    def group(self, matrix, draw):
        """What `draw(drawing, label)` draws, moved by a matrix of SVG's; its label is 1."""
        for part in (self._colours, self._labels):
            part.append(f'<g transform="{matrix}">')
        draw(self, 1)
        for part in (self._colours, self._labels):
            part.append("</g>")

    def define(self, element):
        """A paint, filter or clip "<name ...>", without its id; returns "url(#id)"."""
        self._names += 1
        name = f"n{self._names}"
        head, space, rest = element.partition(" ")
        self._colours.append(f'<defs>{head} id="{name}"{space}{rest}</defs>')
        return f"url(#{name})"

    def gradient(self, start, stop, *stops):
        """A linear gradient between two points: `stops` are (place 0 to 1, colour, opacity)."""
        inside = "".join(f'<stop offset="{p}" stop-color="{c}" stop-opacity="{o}"/>' for p, c, o in stops)
        (x1, y1), (x2, y2) = start, stop
        place = f'gradientUnits="userSpaceOnUse" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        return self.define(f"<linearGradient {place}>{inside}</linearGradient>")

    def glow(self, centre, radius, colour, opacity):
        """A radial gradient from a colour to nothing."""
        inside = "".join(
            f'<stop offset="{p}" stop-color="{colour}" stop-opacity="{opacity * (1 - p) ** 2:.3f}"/>'
            for p in (0, 0.25, 0.5, 0.75, 1)
        )
        place = f'gradientUnits="userSpaceOnUse" cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:.1f}"'
        return self.define(f"<radialGradient {place}>{inside}</radialGradient>")

    @contextlib.contextmanager
    def within(self, path):
        """What is drawn inside, cut to `path`. A group, for each cut costs as much as a picture."""
        name = self.define(f'<clipPath ><path d="{path}"/></clipPath>')
        self._colours.append(f'<g clip-path="{name}">')
        yield
        self._colours.append("</g>")

    def colours(self, size):
        """[height, width, 4] float32 in 0..1, of `size` (width, height); colours are not multiplied with alpha."""
        return np.asarray(_drawn(self._colours, self.box, size), np.float32) / 255

    def labels(self, size):
        """[height, width] uint8 labels, 255 where nothing is."""
        found = np.asarray(_drawn(self._labels, self.box, size, 'shape-rendering="crispEdges"'))
        return np.where(found[..., 3] > 127, (found[..., 0] + _STEP // 2) // _STEP, 255).astype(np.uint8)


def _drawn(elements, box, size, more=""):
    import resvg_py

    view = " ".join(f"{n:g}" for n in box)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" preserveAspectRatio="none" {more}>{"".join(elements)}</svg>'
    width, height = size
    png = resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height, skip_system_fonts=True)
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGBA")


def smooth(points, closed=True, corners=()):
    """A path of SVG's through points [n, 2]: a Catmull-Rom spline, with corners at those numbers."""
    points = np.asarray(points, float)
    around = np.concatenate([points[-1:], points, points[:2]]) if closed else np.concatenate([points[:1], points, points[-1:]])
    slope = (around[2:] - around[:-2]) / 6
    slope[list(corners)] = 0
    text = [f"M{points[0, 0]:.1f} {points[0, 1]:.1f}"]
    count = len(points)
    for i in range(count if closed else count - 1):
        j = (i + 1) % count
        (a, b), (c, d), (e, f) = points[i] + slope[i], points[j] - slope[j], points[j]
        text.append(f"C{a:.1f} {b:.1f} {c:.1f} {d:.1f} {e:.1f} {f:.1f}")
    return "".join(text) + ("Z" if closed else "")


def polygon(points, closed=True):
    """A path of straight lines through points [n, 2]."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in np.asarray(points)) + ("Z" if closed else "")


def ellipse(x, y, a, b=None):
    """A path around a centre."""
    b = a if b is None else b
    return f"M{x - a:.1f} {y:.1f}A{a:.1f} {b:.1f} 0 1 0 {x + a:.1f} {y:.1f}A{a:.1f} {b:.1f} 0 1 0 {x - a:.1f} {y:.1f}Z"


def shaded(colour, share):
    """A colour "#rrggbb" darker (share < 0) or lighter (> 0), by that share of what there is."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    rgb = rgb * (1 + share) if share < 0 else rgb + (255 - rgb) * share
    return "#" + "".join(f"{round(float(n)):02x}" for n in rgb)
