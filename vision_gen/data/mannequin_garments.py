"""Upper garments for the people of `mannequin_people`: cut, colours, pattern and print, as two panels of cloth.

A garment is a function of split and number alone. The torso's panel has its origin between the shoulders at the neck,
in the pixels of a torso in 768 x 1024; the sleeve's is upright, its origin at the shoulder and its axis down the arm.
Both sleeves are the same, mirrored.
"""

import functools
import random

import numpy as np

from vision_gen.data import emoji, vector
from vision_gen.data.mannequin_people import HEIGHT, WIDTH
from vision_gen.data.vector import ellipse, polygon, shaded, smooth

TORSO = (-240, -90, 480, 760)  # Boxes of the panels: left, top, width, height.
SLEEVE = (-120, -80, 240, 580)
SLOPE = 34  # Of the shoulder, down from the neck.
_COLOURS = (
    "#f4f4f2 #f4f4f2 #e9e2d3 #1b1c20 #23262e #2a3a5e #1f4e8c #3a7bd0 #7fb2e5 #b9d7ee #0f5c5c #2f8f83 #8fcabb #2f6b3c #6f9a4a "
    "#b8c46a #f2d24b #eda93a #e2762f #d6452f #b3202c #7c1f30 #e58a94 #f3c1c6 #c05a8c #7d4a8f #b79ad0 #6a4b36 #a9805a #cfb393 "
    "#8d9096 #c9ccd1 #4d5057 #e94f64"
).split()
_PATTERNS = {
    "plain": 10, "stripes": 5, "thin stripes": 3, "bands": 3, "upright": 3, "gingham": 3, "plaid": 3, "dots": 4, "diamonds": 2,
    "motif": 4, "halves": 2, "chest": 2,
}  # fmt: skip
_NECKS = {"crew": 7, "scoop": 4, "v": 4, "boat": 2, "square": 1.5, "high": 2, "shirt": 3}
_WORDS = "HELLO COAST NOVA RIVER OSLO LIMA MOON WAVE CLUB DREAM SUNNY 1984 77 KYOTO WILD ECHO LOVE BLOOM ATLAS ZERO".split()
_HELD_WORDS = "TIGER POLAR 42 JAZZ VEGA MANGO HAVEN 2026 FABLE QUARTZ".split()


class Garment:
    """Garment `number` of a split.

    Attributes:
      sleeve: how far down the arm it reaches, 0 without.
      length: of the torso, from the neck.
      loose: 0 where it is tight, 1 where it is wide.
    """

    def __init__(self, split, number):
        self.rng = rng = random.Random(f"mannequins {split} garment {number}")
        u = rng.uniform
        self.neck = rng.choices(list(_NECKS), list(_NECKS.values()))[0]
        kind = rng.choices(("none", "short", "half", "long"), (4 if self.neck not in ("high", "shirt") else 1, 9, 3, 9))[0]
        self.sleeve = {"none": 0, "short": u(115, 165), "half": u(215, 270), "long": u(405, 424)}[kind]
        self.loose = loose = u(0, 1) if self.neck != "high" else u(0, 0.6)
        self.chest = 148 + 34 * loose
        self.length = u(405, 500) + 15 * loose if rng.random() < 0.85 else u(330, 390)
        self.waist = self.chest * (1 - (0.10 - 0.09 * loose) * u(0.6, 1))
        self.hem = self.chest * (1.0 + u(-0.02, 0.05) + 0.03 * loose)
        self.under = 150 + 18 * loose
        self.shoulder = u(128, 134) + 9 * loose if kind != "none" else u(98, 116)
        self.neck_width, self.neck_depth = {
            "crew": (u(56, 62), u(34, 44)), "scoop": (u(64, 76), u(66, 96)), "v": (u(54, 62), u(88, 128)),
            "boat": (u(80, 92), u(16, 24)), "square": (u(66, 76), u(58, 78)), "high": (u(50, 54), 0), "shirt": (u(52, 56), u(58, 74)),
        }[self.neck]  # fmt: skip
        self.neck_width = min(self.neck_width, self.shoulder - 22)
        cuff = {"none": 0, "short": 46 + 16 * loose, "half": 38 + 14 * loose, "long": 27 + 8 * loose}[kind]
        if kind in ("half", "long") and rng.random() < 0.15:
            cuff += 26
        self.arm = 50 + 11 * loose
        self.cuff = cuff
        self.curved = self.neck == "shirt" or rng.random() < 0.15
        self.colour = rng.choice(_COLOURS)
        self.second = rng.choice([c for c in _COLOURS if _apart(c, self.colour) > 150])
        self.third = rng.choice([c for c in _COLOURS if _apart(c, self.colour) > 90])
        self.pattern = rng.choices(list(_PATTERNS), list(_PATTERNS.values()))[0]
        self.print = ""
        if self.pattern in ("plain", "halves") and self.neck != "shirt" and self.neck_depth < 100 and rng.random() < 0.8:
            self.print = rng.choices(("drawing", "word", "both", "small", "number"), (6, 3, 3, 1.5, 1.5))[0]
        drawings = emoji.openmoji_drawings(split)
        self._drawing = rng.choice(drawings)
        self._word = rng.choice(_HELD_WORDS if split == "test" else _WORDS)
        self.ribbed = self.neck not in ("shirt",) and rng.random() < 0.6
        self.sleeve_colour = self.second if self.pattern in ("plain", "chest") and rng.random() < 0.18 else self.colour
        self.trim = rng.choice((shaded(self.colour, -0.16), shaded(self.colour, -0.16), self.second, self.colour))
        self._seed = rng.random()
        self.angle = np.deg2rad(u(44, 58) if kind == "short" else u(30, 42) if kind == "half" else u(20, 30))

    # Shapes, [n, 2] in the panels.

    def width(self, y):
        """Half of the torso panel's width at a height, without armholes."""
        knots = (-90, self.under, (self.under + self.length) / 2, self.length, 700)
        return np.interp(y, knots, (self.chest, self.chest, self.waist, self.hem, self.hem))

    def sleeve_width(self, t):
        """Half of a sleeve's width, so far down the arm."""
        end = max(self.sleeve, 1)
        return np.interp(t, (-80, 0, 0.45 * end, end), (self.arm, self.arm, 0.6 * self.arm + 0.4 * self.cuff, self.cuff))

    def armhole(self, y):
        """The seam of the sleeve in the torso panel, x by y."""
        s = self.shoulder
        return np.interp(y, (SLOPE - 40, SLOPE, 70, 105, self.under - 18, self.under), (s + 2, s, s - 11, s - 13, s - 4, s + 8))

    def outline(self, back=False):
        """Of the torso panel; its back reaches up between the shoulders."""
        s, w, end, under = self.shoulder, self.neck_width, self.length, self.under
        drop = 16 if self.curved else 0
        tail = end + (22 if self.curved else 5)
        inner = [(s - 9, under - 42)] if self.sleeve else [(s - 6, under - 50), (s + 0.32 * (self.chest - s), under - 12)]
        arm = [(s, SLOPE), (s - 12, 74), *inner, (self.chest, under)]
        right = [(w, 0), *arm, (float(self.width((under + end) / 2)), (under + end) / 2), (self.hem, end - drop), (self.hem * 0.5, tail)]
        right = [(*p, i in (0, 1, len(arm), len(arm) + 2)) for i, p in enumerate(right)]
        d = 12 if back else self.neck_depth
        neck = {
            "v": [(0, d, True)],
            "shirt": [(0, d, True)],
            "square": [(w * 0.93, d, True)],
            "high": [(w * 0.98, -30, False), (w * 0.95, -62, True)],
        }.get("" if back and self.neck != "high" else self.neck, [(w * 0.86, d * 0.55, False), (w * 0.42, d * 0.93, False)])
        if self.neck not in ("v", "shirt") or back:
            neck = neck[::-1] if self.neck == "high" else neck
        order = neck[::-1] if self.neck not in ("high",) and len(neck) > 1 else neck
        middle = [] if len(neck) == 1 and neck[0][0] == 0 else [(0, neck[0][1] if self.neck in ("square", "high") else d, False)]
        half = ([] if middle else order) + ([] if not middle else order) + right
        mirrored = [(-x, y, c) for x, y, c in half[::-1] if x]
        points = middle + half + [(0, tail + (6 if self.curved else 3), False)] + mirrored
        corners = [i for i, (_, _, corner) in enumerate(points) if corner]
        return smooth([(x, y) for x, y, _ in points], corners=corners)

    def sleeve_outline(self, flat=False):
        """Of the sleeve's panel; `flat`, without what lies over the shoulder, where the torso covers only a part."""
        ts = np.array([-78, 0, 0.3, 0.6, 1.0]) * np.array([1, 1, *[self.sleeve] * 3])
        half = [(float(self.sleeve_width(t)), t) for t in ts]
        points = half + [(0, self.sleeve + 2)] + [(-x, t) for x, t in half[::-1]]
        if flat:
            points[0], points[-1] = (half[0][0] - 1, 0), (-half[0][0], -40)
        return smooth(points, corners=(0, 4, 6, 10))

    # Pictures.

    def torso(self):
        """The torso's panel as a drawing of `TORSO`: cloth without light and shade."""
        d = vector.Drawing(TORSO)
        self._torso(d)
        return d

    def arm_panel(self):
        """The sleeve's, of `SLEEVE`."""
        d = vector.Drawing(SLEEVE)
        self._sleeve(d)
        return d

    def _torso(self, d, label=None):
        path = self.outline()
        d.add(path, self.colour, label)
        with d.within(path):
            self._fabric(d, TORSO, self.colour)
            self._trims(d)
        if self.print:
            self._printed(d)
        if self.neck == "shirt":
            self._shirt(d)

    def _sleeve(self, d, label=None):
        path = self.sleeve_outline(flat=label is not None)
        d.add(path, self.sleeve_colour, label)
        with d.within(path):
            if self.sleeve_colour == self.colour:
                self._fabric(d, SLEEVE, self.colour, sleeve=True)
            end, wide = self.sleeve, 150
            if self.ribbed or self.neck == "shirt":
                deep = 26 if self.sleeve > 300 else 13
                d.add(polygon([(-wide, end - deep), (wide, end - deep), (wide, end + 9), (-wide, end + 9)]), self.trim if self.ribbed else shaded(self.sleeve_colour, -0.06))
                d.line(polygon([(-wide, end - deep), (wide, end - deep)], False), shaded(self.sleeve_colour, -0.4), 2, 0.6)
            else:
                d.line(polygon([(-wide, end - 10), (wide, end - 10)], False), shaded(self.sleeve_colour, -0.35), 1.8, 0.6)

    def _trims(self, d):
        """Neckband, hem and armhole seams."""
        dark = shaded(self.colour, -0.4)
        band = 12 if self.neck != "high" else 0
        if band:
            neck = self.outline_neck()
            d.line(neck, self.trim, 2 * band if self.ribbed else 7)
            if self.ribbed:
                d.line(self.outline_neck(band), dark, 1.8, 0.6)
        else:
            for y in np.arange(-60, 0, 7):
                d.line(polygon([(-60, y), (60, y)], False), dark, 1.5, 0.18)
            d.line(smooth([(-self.neck_width, 2), (0, 12), (self.neck_width, 2)], closed=False), dark, 2.2, 0.55)
        if self.ribbed and not self.curved:
            end = self.length
            d.add(polygon([(-240, end - 22), (240, end - 22), (240, end + 20), (-240, end + 20)]), self.trim)
            d.line(polygon([(-240, end - 22), (240, end - 22)], False), dark, 2, 0.6)
        elif not self.curved:
            d.line(polygon([(-240, self.length - 10), (240, self.length - 10)], False), dark, 1.8, 0.5)
        for s in (1, -1):
            ys = np.linspace(SLOPE, self.under - 2, 9)
            seam = [(s * (float(self.armhole(y)) - (0 if self.sleeve else 5)), y) for y in ys]
            d.line(smooth(seam, closed=False), dark if self.sleeve else self.trim, 2.0 if self.sleeve else 8, 0.55 if self.sleeve else 1)

    def outline_neck(self, inset=0):
        w, depth = self.neck_width + inset, self.neck_depth + inset
        shape = {
            "v": [(w, -8), (0, depth + 0.3 * inset), (-w, -8)],
            "shirt": [(w, -8), (0, depth), (-w, -8)],
            "square": [(w, -8), (w * 0.93, depth), (-w * 0.93, depth), (-w, -8)],
        }.get(self.neck)
        if shape:
            return polygon(shape, False)
        half = [(w, -2), (w * 0.86, depth * 0.55), (w * 0.42, depth * 0.93)]
        return smooth(half + [(0, depth)] + [(-x, y) for x, y in half[::-1]], closed=False)

    def _fabric(self, d, box, colour, sleeve=False):
        """The pattern over a panel's whole box."""
        rng = random.Random(f"{self._seed} {self.pattern}")
        left, top, width, height = box
        right, bottom = left + width, top + height
        band = lambda y, h, c, more="": d.add(polygon([(left, y), (right, y), (right, y + h), (left, y + h)]), c, more=more)
        bar = lambda x, w, c, more="": d.add(polygon([(x - w / 2, top), (x + w / 2, top), (x + w / 2, bottom), (x - w / 2, bottom)]), c, more=more)
        second, third, kind = self.second, self.third, self.pattern
        if kind in ("stripes", "thin stripes", "bands"):
            step = {"stripes": rng.uniform(44, 62), "thin stripes": rng.uniform(26, 34), "bands": rng.uniform(92, 124)}[kind]
            share = {"stripes": rng.uniform(0.4, 0.55), "thin stripes": rng.uniform(0.3, 0.42), "bands": 0.5}[kind]
            for number, y in enumerate(np.arange(-2 * step, bottom, step)):
                if kind == "thin stripes" and not sleeve and y < 60:
                    continue
                band(y + 12, step * share, second if kind != "bands" or number % 2 else third)
        elif kind == "upright":
            step = rng.uniform(24, 44)
            for x in np.arange(0, right + step, step):
                for s in (1, -1):
                    bar(s * (x + step / 2), step * rng.choice((0.4, 0.4)), second)
        elif kind == "gingham":
            step = rng.uniform(36, 58)
            for y in np.arange(-2 * step, bottom, step):
                band(y, step / 2, second, 'fill-opacity="0.6"')
            for x in np.arange(0, right + step, step):
                for s in (1, -1):
                    bar(s * x, step / 2, second, 'fill-opacity="0.6"')
        elif kind == "plaid":
            step = rng.uniform(76, 104)
            for offset, w, c, o in ((0, 0.42, second, 0.55), (0.5, 0.09, third, 0.9), (0.62, 0.04, second, 0.9)):
                for y in np.arange(-2 * step, bottom, step):
                    band(y + offset * step, w * step, c, f'fill-opacity="{o}"')
                for x in np.arange(-3 * step, right + step, step):
                    bar(x + offset * step, w * step, c, f'fill-opacity="{o}"')
        elif kind in ("dots", "diamonds", "motif"):
            step = rng.uniform(42, 60) if kind == "dots" else rng.uniform(64, 84)
            radius = step * rng.uniform(0.17, 0.27)
            shape = rng.choice((_heart, _star, _leaf, _flower))
            for row, y in enumerate(np.arange(top - step, bottom + step, step * 0.86)):
                for x in np.arange(-4 * step + (row % 2) * step / 2, right + step, step):
                    if kind == "dots":
                        d.add(ellipse(x, y, radius), second)
                    elif kind == "diamonds":
                        r = step * 0.5
                        d.add(polygon([(x, y - r * 1.7), (x + r, y), (x, y + r * 1.7), (x - r, y)]), (second, third)[row % 2], more='fill-opacity="0.8"')
                    else:
                        shape(d, x, y, step * 0.3, (second, third)[(row + round(x / step)) % 2])
        elif kind == "halves":
            d.add(polygon([(left, self.length * 0.52), (right, self.length * 0.52), (right, bottom), (left, bottom)]), second if not sleeve else self.colour)
        elif kind == "chest" and not sleeve:
            band(112, 84, second)
            band(196, 12, third)
            band(100, 12, third)

    def _printed(self, d):
        """A drawing, letters or both, on the chest."""
        rng = random.Random(f"{self._seed} print")
        top = max(self.neck_depth + 22, 84)
        ink = self.second
        size = rng.uniform(140, 186)
        if self.print in ("drawing", "both"):
            _openmoji(d, self._drawing, 0, top + size / 2, size, backed=_dark(self.colour))
            if self.print == "both":
                _word(d, self._word, 0, top + size + 40, 150, ink)
        elif self.print == "small":
            _openmoji(d, self._drawing, 64, top + 50, 64, backed=_dark(self.colour))
        elif self.print == "word":
            _word(d, self._word, 0, top + 70, 200, ink)
            d.add(polygon([(-90, top + 84), (90, top + 84), (90, top + 92), (-90, top + 92)]), self.third)
        else:
            _word(d, str(rng.randrange(1, 100)), 0, top + 175, 150, ink)

    def _shirt(self, d):
        """Collar, placket and buttons."""
        w, depth, dark = self.neck_width, self.neck_depth, shaded(self.colour, -0.45)
        light = shaded(self.colour, 0.10)
        d.line(polygon([(0, depth), (0, self.length + 20)], False), dark, 2, 0.6)
        d.line(polygon([(22, depth + 8), (22, self.length + 8)], False), dark, 1.6, 0.5)
        for y in np.arange(depth + 24, self.length - 10, 62):
            d.add(ellipse(11, y, 5.5), shaded(self.second, 0.3))
            d.add(ellipse(11, y, 5.5), "none", more=f'stroke="{dark}" stroke-width="1.4"')
        for s in (1, -1):
            leaf = [(s * (w + 5), -14), (s * (w + 20), 26), (s * 44, depth + 26), (0, depth - 4), (s * (w - 8), 2)]
            path = smooth(leaf, corners=(0, 1, 2, 3, 4))
            d.add(path, light)
            d.line(path, dark, 2.2, 0.8)

    def place(self):
        """(scale, offset [2]) that lay the flat torso panel in the picture."""
        reach, low = self.hem, self.length + 24
        if self.sleeve:
            corners = self._sleeve_points([(self.cuff, self.sleeve), (-self.cuff, self.sleeve)])
            reach, low = max(reach, corners[:, 0].max()), max(low, corners[:, 1].max())
        high = -70 if self.neck == "high" else -18
        scale = min(0.44 * WIDTH / reach, 0.86 * HEIGHT / (low - high), 1.75)
        return scale, np.array([WIDTH / 2, HEIGHT / 2 - scale * (low + high) / 2])

    def _sleeve_points(self, points):
        """Points of the sleeve's panel as the left one lies beside the torso's."""
        a = self.angle
        along, across = np.array([np.sin(a), np.cos(a)]), np.array([np.cos(a), -np.sin(a)])
        base = np.array([self.shoulder - 3, SLOPE + 3]) - across * self.arm
        x, t = np.asarray(points, float).T
        return base + along * t[:, None] + across * x[:, None]

    def flat(self):
        """Laid flat, as a drawing of the whole picture; its label is 1 where the garment is."""
        d = vector.Drawing((0, 0, WIDTH, HEIGHT))
        scale, (x, y) = self.place()
        if self.sleeve:
            base, tip, side = self._sleeve_points([(0, 0), (0, 1), (1, 0)])
            (a, b), (c, e) = side - base, tip - base
        for mirror in (1, -1) if self.sleeve else ():
            corner = np.array([x, y]) + scale * base * (mirror, 1)
            turn = scale * np.array([mirror * a, b, mirror * c, e])
            d.group(f"matrix({' '.join(f'{n:.4f}' for n in (*turn, *corner))})", self._sleeve)
        matrix = f"matrix({scale:.4f} 0 0 {scale:.4f} {x:.2f} {y:.2f})"
        d.group(matrix, self._inside)
        d.group(matrix, self._torso)
        return d

    def _inside(self, d, label):
        """What is seen of the back through the neck."""
        w = self.neck_width
        if self.neck == "high":
            return
        inside = shaded(self.colour, -0.32)
        points = [(-w - 3, 2), (-w * 0.5, 9), (0, 12), (w * 0.5, 9), (w + 3, 2), (w * 0.8, self.neck_depth * 0.9), (0, self.neck_depth + 10), (-w * 0.8, self.neck_depth * 0.9)]
        top = -10 if self.neck != "boat" else 0
        points[:5] = [(-w - 3, 2), (-w * 0.6, top), (0, top + 2), (w * 0.6, top), (w + 3, 2)]
        d.add(smooth(points), inside, label)
        d.line(smooth(points[:5], closed=False), shaded(self.trim, -0.15), 11, 1)
        d.add(polygon([(-15, top + 8), (15, top + 8), (15, top + 28), (-15, top + 28)]), "#f2f0ea")
        d.line(polygon([(-9, top + 15), (9, top + 15)], False), "#7a7a7a", 2)


def _apart(one, other):
    rgb = lambda colour: np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    return np.abs(rgb(one) - rgb(other)) @ (0.6, 1.2, 0.6)


def _dark(colour):
    return _apart(colour, "#000000") < 230


def _openmoji(d, path, x, y, size, backed):
    """A drawing; on dark cloth over a light disc, as its lines are black."""
    if backed:
        d.add(ellipse(x, y, size * 0.53), "#f5f3ee")
    text = path.read_text(encoding="utf-8")
    inside = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    d.put(f'<svg x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size:.1f}" height="{size:.1f}" viewBox="4 4 64 64">{inside}</svg>')


def _word(d, text, x, y, width, colour):
    """Letters of a width, their base at y; at most 0.62 of it high."""
    path, wide, high = _letters(text)
    scale = min(width / wide, 0.62 * width / high)
    d.put(f'<g transform="translate({x - scale * wide / 2:.2f} {y:.2f}) scale({scale:.4f} {-scale:.4f})"><path d="{path}" fill="{colour}"/></g>')


@functools.cache
def _letters(text):
    """(path, width, height) of bold letters, y up."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    made = TextPath((0, 0), text, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    names = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
    parts = [names[code] + (" ".join(f"{n:.1f}" for n in points) if code != 79 else "") for points, code in made.iter_segments(curves=True)]
    box = made.get_extents()
    return "".join(parts), float(box.x1), float(box.y1)


def _heart(d, x, y, r, colour):
    d.add(smooth([(x, y + r), (x - r, y - r * 0.15), (x - r * 0.55, y - r * 0.85), (x, y - r * 0.35), (x + r * 0.55, y - r * 0.85), (x + r, y - r * 0.15)], corners=(0, 3)), colour)


def _star(d, x, y, r, colour):
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, 0.45, 1.1) * r
    d.add(polygon(np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], -1)), colour)


def _leaf(d, x, y, r, colour):
    d.add(smooth([(x - r, y + r * 0.7), (x - r * 0.2, y - r * 0.5), (x + r, y - r * 0.8), (x + r * 0.4, y + r * 0.4)], corners=(0, 2)), colour)


def _flower(d, x, y, r, colour):
    for angle in np.arange(5) * 2 * np.pi / 5:
        d.add(ellipse(x + 0.6 * r * np.sin(angle), y - 0.6 * r * np.cos(angle), r * 0.42), colour)
    d.add(ellipse(x, y, r * 0.34), "#f2c94c")
