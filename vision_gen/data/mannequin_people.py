"""People to be dressed: bodies, poses, faces, hair and lower garments, drawn by the package itself.

A person is a function of split and number alone. Coordinates are pixels of a picture of 768 x 1024, x to the right and
y down; "left" and "right" are the person's own, as in OpenPose and LIP: the left is seen on the right. `torso` coordinates
have their origin at the base of the neck, and the body upright.
"""

import dataclasses
import random

import numpy as np

from vision_gen.data import vector
from vision_gen.data.vector import ellipse, polygon, shaded, smooth

WIDTH, HEIGHT = 768, 1024
BOX = (0, 0, WIDTH, HEIGHT)
# LIP's numbers of what is drawn.
GROUND, HAIR, UPPER, TROUSERS, NECK, SKIRT, FACE = 0, 2, 5, 9, 10, 12, 13
ARMS, LEGS = {1: 14, -1: 15}, {1: 16, -1: 17}  # By side: 1 is the person's left.
HIP, WAIST, CROTCH = 430, 300, 500  # Of the torso, from the neck down.
_SKINS = "#fbe0cf #f6d2b8 #efc3a0 #e3ad85 #d19a6e #b67c52 #98633f #7b4c31 #5f3a27 #4a2d20".split()
_HAIRS = "#17130f #2b1c14 #442a1a #63401f #8a5a2b #b98746 #d9b26b #e8cf95 #8c3b1d #b5502a #9c9ca2 #d8d8dc".split()
_LOWER = "#1d2433 #2c3e5c #48658e #6f8fb8 #17181a #2d2d31 #8b8d92 #6b5a48 #b9a27f #55603f #6d2430 #d8d3c8 #3a2a4a".split()
_GROUNDS = "#f3f3f4 #eceded #f1efec #e6e8eb #ededf2 #f4f0ee #e3e2e0".split()
_HAIR_STYLES = {  # By how masculine the body is: (feminine, masculine) weights.
    "cropped": (2, 8), "short": (2, 9), "quiff": (1, 7), "bob": (6, 1), "fringe": (5, 0), "long": (9, 1), "wavy": (8, 1),
    "curly": (5, 2), "bun": (6, 1), "tail": (6, 1), "afro": (4, 3), "bald": (0, 3),
}  # fmt: skip
_POSES = {"down": 7, "out": 3, "hip": 4, "front": 3, "across": 2, "behind": 2, "up": 1.5}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm: `line` [n, 2] from shoulder over elbow to wrist, `reach` [n] how far along each point is.

    Attributes:
      joints: [3, 2] shoulder, elbow, wrist.
      hand: the direction in which it points, a unit vector.
      pose: of `_POSES`.
    """

    joints: np.ndarray
    line: np.ndarray
    reach: np.ndarray
    hand: np.ndarray
    pose: str

    @property
    def behind(self):
        """It is drawn before the torso."""
        return self.pose == "behind"


class Person:
    """Person `number` of a split."""

    def __init__(self, split, number):
        self.rng = rng = random.Random(f"mannequins {split} person {number}")
        u = rng.uniform
        self.masculine = masculine = min(1.0, max(0.0, rng.choice((0.1, 0.1, 0.2, 0.75, 0.95)) + u(-0.1, 0.1)))
        self.heavy = heavy = u(-0.6, 1.0) ** 3 + u(-0.15, 0.25)
        self.shoulder = 119 + 25 * masculine + 9 * heavy + u(-5, 5)
        self.slope = u(30, 44)
        chest = self.shoulder * (0.93 + 0.06 * heavy)
        waist = self.shoulder * (0.70 + 0.14 * masculine + 0.20 * heavy)
        hip = self.shoulder * (1.03 - 0.15 * masculine + 0.13 * heavy)
        ys = np.array([-60, 0, 60, 110, 160, WAIST - 20, HIP - 20, CROTCH, 760])
        widths = [self.shoulder * 0.96] * 3 + [chest, chest * 0.98, waist, hip, hip * 1.02, hip * 0.97]
        self._profile = _smoothed(ys, widths)
        self.neck = np.array([384 + u(-28, 28), 292 + u(-14, 14)])
        self.lean = np.deg2rad(u(-4.5, 4.5))
        self.tilt, self.bend = u(-0.05, 0.05), u(-10, 10)
        self.thick = 1 + 0.22 * heavy + 0.12 * masculine
        self.head_turn, self.head_lean = u(-1, 1), np.deg2rad(u(-8, 8)) + 0.5 * self.lean
        self.skin, self.hair = rng.choice(_SKINS), rng.choice(_HAIRS)
        if rng.random() < 0.5:
            self.hair = rng.choice(_HAIRS[:4])
        weights = [(1 - masculine) * f + masculine * m for f, m in _HAIR_STYLES.values()]
        self.style = rng.choices(list(_HAIR_STYLES), weights)[0]
        self.ground = rng.choice(_GROUNDS)
        self.lower = rng.choices(
            ("jeans", "trousers", "skirt", "shorts"), (6, 4, 4 * (1 - masculine), 1.5)
        )[0]
        self.lower_colour = rng.choice(_LOWER[1:4] + _LOWER[4:5] if self.lower == "jeans" else _LOWER)
        self.arms = {side: self._arm(side) for side in (1, -1)}
        self.length = {  # Of long hair, down from the middle of the head.
            "bob": 92, "fringe": 120, "long": u(190, 270), "wavy": u(190, 260), "curly": 125,
        }.get(self.style, 0)  # fmt: skip
        self._seed = rng.random()

    # Places.

    def place(self, points):
        """Points of the upright torso [n, 2] in the picture."""
        x, y = np.moveaxis(np.asarray(points, float), -1, 0)
        moved = np.stack([x + self._sway(y), y + self.tilt * x * _fade(y)], -1) - (0, HIP)
        return moved @ _turned(self.lean).T + self.neck + (0, HIP)

    def upright(self, points):
        """The inverse of `place`."""
        back = (np.asarray(points) - (self.neck + np.array((0, HIP))).astype(np.float32)) @ _turned(self.lean).astype(np.float32)
        across, down = back[..., 0], back[..., 1] + HIP
        y = down
        for _ in range(3):
            x = across - self._sway(y)
            y = down - self.tilt * x * _fade(y)
        return x, y

    def _sway(self, y):
        return self.bend * np.sin(np.clip(y, -60, HIP) * (np.pi / HIP))

    def width(self, y):
        """Half of the body's width at a height of the torso."""
        return np.interp(y, *self._profile)

    def arm_radius(self, t):
        """Half of an arm's width, so far along it."""
        return self.thick * np.interp(t, (0, 25, 60, 150, 235, 290, 360, 435), (26, 31.5, 33, 28.5, 24, 25.5, 20, 16))

    def _arm(self, side):
        rng = self.rng
        u = rng.uniform
        pose = rng.choices(list(_POSES), list(_POSES.values()))[0]
        if side == -1 and pose in ("across", "up", "behind") and self.arms_first == pose:
            pose = "down"
        self.arms_first = pose
        upper, lower = 233 * u(0.97, 1.03), 203 * u(0.97, 1.03)
        shoulder = self.place([[side * (self.shoulder - 4), self.slope + 21]])[0]
        at = lambda x, y: self.place([[side * x, y]])[0]
        if pose in ("down", "out"):
            first = u(5, 15) if pose == "down" else u(20, 48)
            second = first + (u(-13, 5) if pose == "down" else u(-16, 22))
            elbow = shoulder + upper * np.array([side * np.sin(np.deg2rad(first)), np.cos(np.deg2rad(first))])
            wrist = elbow + lower * np.array([side * np.sin(np.deg2rad(second)), np.cos(np.deg2rad(second))])
        else:
            target = {
                "hip": lambda: at(self.width(370) + 2, u(345, 385)),
                "front": lambda: at(u(25, 75), u(290, 370)),
                "across": lambda: at(-u(20, 80), u(215, 285)),
                "behind": lambda: at(u(20, 70), u(335, 385)),
                "up": lambda: at(u(118, 150), u(-150, -85)),
            }[pose]()
            shorter = u(0.86, 0.97) if pose in ("front", "across", "behind") else 1.0
            elbow, wrist = _bent(shoulder, target, upper, lower * shorter, side)
        joints = np.array([shoulder, elbow, wrist])
        # Rounded at the elbow.
        share = 0.22
        a, b = elbow + share * (shoulder - elbow), elbow + share * (wrist - elbow)
        t = np.linspace(0, 1, 8)[:, None]
        line = np.concatenate([[shoulder], (1 - t) ** 2 * a + 2 * t * (1 - t) * elbow + t**2 * b, [wrist]])
        reach = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        forearm = (wrist - elbow) / np.hypot(*(wrist - elbow))
        turn = {"hip": 38, "front": 5, "across": -4, "up": 42}.get(pose, 2) * side
        return Arm(joints, line, reach * (435 / reach[-1]), forearm @ _turned(np.deg2rad(turn)).T, pose)

    @property
    def keypoints(self):
        """BODY_25's points [25, 3]: x and y in pixels of 768 x 1024, and 1, or zeros where they are out of the picture."""
        found = np.zeros((25, 3))
        head = self._head
        shown = {0: head([[0 + 14 * self.head_turn, 36]])[0]}
        shown[1] = (self.arms[1].joints[0] + self.arms[-1].joints[0]) / 2
        for side, first in ((-1, 2), (1, 5)):
            shown |= dict(zip(range(first, first + 3), self.arms[side].joints))
        hips = {side: self.place([[side * self.width(HIP) * 0.55, HIP]])[0] for side in (-1, 1)}
        shown |= {8: (hips[1] + hips[-1]) / 2, 9: hips[-1], 12: hips[1]}
        for side, knee in ((-1, 10), (1, 13)):
            shown[knee] = self.place([[side * self.width(HIP) * 0.56, HIP + 312]])[0]
        for number, x, y in ((15, -27, 4), (16, 27, 4), (17, -64, 16), (18, 64, 16)):
            shown[number] = head([[x + 9 * self.head_turn, y]])[0]
        for number, (x, y) in shown.items():
            if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                found[number] = x, y, 1
        return found

    def _head(self, points):
        """Points of the upright head in the picture: the origin between crown and chin, which are 87 above and below."""
        base = self.place([[0, -24]])[0]
        return (np.asarray(points, float) - (0, 112)) @ _turned(self.head_lean).T + base

    # Pictures.

    def back(self):
        """What lies behind the upper garment: long hair, neck and trunk, legs and the lower garment."""
        d = vector.Drawing(BOX)
        rng = random.Random(f"{self._seed} back")
        self._hair_behind(d)
        self._trunk(d)
        self._legs(d, rng)
        return d

    def _trunk(self, d):
        side = [(self.width(y) - 4, y) for y in (70, 110, 170, 230, 300, 360, 430)]
        n = 41 + 9 * self.masculine + 4 * self.heavy
        top = [(n - 4, -110), (n - 2, -60), (n, -30), (n + 8, -4), (n + 34, self.slope * 0.5 - 5), (self.shoulder * 0.88, self.slope * 0.88 - 3)]
        right = [*top, (self.shoulder + 12, self.slope + 6), (self.shoulder + 8, self.slope + 36), *side]
        outline = self.place(right + [(-x, y) for x, y in right[::-1]])
        path = smooth(outline, corners=(0, len(right) - 1, len(right), 2 * len(right) - 1))
        d.add(path, self.skin, NECK)
        dark, deep = shaded(self.skin, -0.28), shaded(self.skin, -0.5)
        (x, y) = self.place([[0, -42]])[0]
        d.add(path, d.glow((x + 8, y - 6), 92, deep, 0.75))  # Under the chin.
        with d.within(path):
            for s in (1, -1):  # Collar bones, and the neck's sides.
                bone = self.place([(s * 14, 16), (s * 48, 12), (s * 96, self.slope - 20)])
                d.line(smooth(bone, closed=False), dark, 7, 0.35)
                d.line(smooth(bone - (0, 6), closed=False), shaded(self.skin, 0.35), 5, 0.35)
                side = self.place([(s * (n - 8), -50), (s * (n - 16), -10), (s * 16, 12)])
                d.line(smooth(side, closed=False), dark, 6, 0.28)
        left, right = self.place([(-self.shoulder - 26, 200), (self.shoulder + 26, 200)])
        d.add(path, d.gradient(left, right, (0, deep, 0.5), (0.2, dark, 0.12), (0.45, "#ffffff", 0.08), (0.8, dark, 0.2), (1, deep, 0.6)))

    def _legs(self, d, rng):
        w = lambda y: float(self.width(y))
        colour, place = self.lower_colour, self.place
        if self.lower in ("skirt", "shorts"):
            for s in (1, -1):
                leg = place([(s * 6, 470), (s * (w(450) - 3), 470), (s * w(560) * 0.97, 600), (s * w(560) * 0.84, 780), (s * 16, 780)])
                path = smooth(leg, corners=(0, 1, 3, 4))
                d.add(path, self.skin, LEGS[s])
                deep = shaded(self.skin, -0.45)
                d.add(path, d.gradient(leg[0], leg[1], (0, deep, 0.65), (0.35, deep, 0.05), (0.6, "#ffffff", 0.12), (1, deep, 0.5)))
        top = HIP - 130
        if self.lower == "skirt":
            length, flare = rng.uniform(560, 730), rng.uniform(1.0, 1.35)
            right = [(w(top) + 2, top), (w(HIP - 40) + 5, HIP - 40), (w(HIP + 40) + 8, HIP + 40), (w(HIP) * flare + 10, length), (w(HIP) * 0.5 * flare, length + 12)]
            path = smooth(place(right + [(-x, y) for x, y in right[::-1]]), corners=(0, 3, 6, 9))
            d.add(path, colour, SKIRT)
            self._cloth_shade(d, path, colour, top, length)
            with d.within(path):
                count = 7 if flare > 1.12 else 3
                for x in np.linspace(-0.78, 0.78, count) + rng.uniform(-0.05, 0.05):
                    line = place([(x * w(HIP) * 0.7, HIP - 60), (x * w(HIP) * flare * 0.95, length)])
                    d.line(polygon(line, False), shaded(colour, -0.45), 7, 0.26)
                    d.line(polygon(line + (7, 0), False), shaded(colour, 0.4), 5, 0.16)
        else:
            end = 760 if self.lower != "shorts" else rng.uniform(590, 680)
            ease = 4 if self.lower == "jeans" else 10
            inner = 5 if self.lower == "jeans" else 8
            knee = 0.86 if self.lower == "jeans" else 0.98
            for s in (1, -1):
                leg = [(-s * 3, top), (s * (w(top) + 2), top), (s * (w(HIP - 50) + 3), HIP - 50), (s * (w(HIP + 20) + ease), HIP + 20), (s * (w(560) * 0.99 + ease), 600), (s * (w(560) * knee + ease), end), (s * inner * 1.6, end), (s * inner, CROTCH + 40), (-s * 2, CROTCH)]
                leg = place(leg)
                path = smooth(leg, corners=(0, 1, 5, 6, 8))
                d.add(path, colour, TROUSERS)
                self._cloth_shade(d, path, colour, top, end, s)
                with d.within(path):
                    self._creases(d, rng, s, top, end)
            d.line(smooth(place([(0, top), (2, top + 110), (0, CROTCH - 4)]), closed=False), shaded(colour, -0.5), 3, 0.7)
            band = place([(-w(top) - 2, top), (w(top) + 2, top), (w(top + 30) + 3, top + 30), (-w(top + 30) - 3, top + 30)])
            d.add(polygon(band), shaded(colour, -0.14))
            d.line(polygon(band[2:], False), shaded(colour, -0.45), 2.5, 0.8)
            x, y = place([[0, top + 15]])[0]
            d.add(ellipse(x, y, 7), "#b9a06a" if self.lower == "jeans" else shaded(colour, -0.4))

    def _creases(self, d, rng, s, top, end):
        """Of one leg of the lower garment, its pocket and seams."""
        w, colour, place = lambda y: float(self.width(y)), self.lower_colour, self.place
        for _ in range(4):  # From the crotch.
            a = np.array([s * rng.uniform(3, 18), CROTCH + rng.uniform(-25, 45)])
            b = a + (s * rng.uniform(45, 85), rng.uniform(-45, 15))
            crease = _outline(place([a, (a + b) / 2 + (0, 7), b]), np.array([4.5, 3.0, 0.4]))
            d.add(smooth(crease), shaded(colour, -0.4), more='fill-opacity="0.3"')
        if self.lower == "jeans":
            worn = place([[s * w(560) * 0.5, 620]])[0]
            d.add(ellipse(*worn, 95), d.glow(worn, 95, shaded(colour, 0.55), 0.5))
            pocket = place([(s * (w(top) - 2), top + 74), (s * (w(top) - 34), top + 64), (s * (w(top) - 48), top + 24)])
            d.line(smooth(pocket, closed=False), shaded(colour, 0.35), 2.4, 0.8, 'stroke-dasharray="7 4"')
        elif self.lower == "trousers":
            d.line(polygon(place([(s * w(560) * 0.52, HIP + 40), (s * w(560) * 0.52, end)]), False), shaded(colour, 0.3), 3, 0.5)

    def _cloth_shade(self, d, path, colour, top, end, side=None):
        w = float(self.width(HIP)) + 8
        ends = [(-w, top + 150), (w, top + 150)] if side is None else [(0, top + 150), (side * w, top + 150)]
        left, right = self.place(ends)
        deep, light = shaded(colour, -0.62), shaded(colour, 0.45)
        edge = 0.55 if side is None else 0.5
        d.add(path, d.gradient(left, right, (0, deep, edge), (0.3, deep, 0.06), (0.5, light, 0.20), (0.72, deep, 0.08), (1, deep, 0.6)))

    def arm_box(self, side):
        """Where an arm, its sleeve and its shadow are: (left, top, width, height)."""
        arm = self.arms[side]
        ends = np.concatenate([arm.line, [arm.joints[2] + 115 * arm.hand]])
        return boxed(ends.min(0) - 75, ends.max(0) + 75)

    def arm(self, side):
        """One arm with its hand."""
        d = vector.Drawing(self.arm_box(side))
        arm = self.arms[side]
        line = np.concatenate([arm.line, [arm.joints[2] + arm.hand * 14]])
        reach = np.concatenate([arm.reach, [449]])
        fine = np.linspace(0, 449, 26)
        centre = np.stack([np.interp(fine, reach, line[:, k]) for k in (0, 1)], -1)
        path = smooth(_outline(centre, self.arm_radius(fine)), corners=())
        dark, deep = shaded(self.skin, -0.28), shaded(self.skin, -0.5)
        self._hand(d, arm, side)
        d.add(path, self.skin, ARMS[side])
        normal = _normals(centre)
        outer = side * np.sign(normal[4, 0]) or 1
        with d.within(path):
            for offset, colour, width, opacity in ((-0.95, deep, 15, 0.30), (0.98, deep, 12, 0.22), (-0.75, dark, 12, 0.25), (0.15, "#ffffff", 16, 0.13)):
                edge = centre + normal * (outer * offset * self.arm_radius(fine))[:, None]
                d.line(smooth(edge[4::3], closed=False), colour, width, opacity)
        return d

    def _hand(self, d, arm, side):
        along = arm.hand
        across = np.array([-along[1], along[0]])
        inward = -side * np.sign(across[0] or 1)
        if arm.pose in ("across", "front", "hip"):
            inward = np.sign(across[1] or 1) * (-1 if arm.pose != "hip" else 1)
        base, k = arm.joints[2], 0.93 * (1 + 0.12 * self.masculine)
        at = lambda a, b: base + along * a * k + across * (inward * b * k)
        dark = shaded(self.skin, -0.34)
        fingers = ((62, 17, 98, 15, 11), (66, 6, 112, 5, 11.5), (64, -6, 109, -7, 11.5), (58, -17, 96, -20, 10))
        label = ARMS[side]
        for a, b, c, e, width in fingers:
            tip, root = at(c, e - 2), at(a - 20, b)
            mid = at((a + c) / 2, (b + e) / 2 + 1.5)
            tube = _outline(np.array([root, mid, tip]), np.array([width, width * 0.95, width * 0.72]) * k * 0.62)
            d.add(smooth(tube), self.skin, label)
            d.line(smooth(tube, closed=True), dark, 1.6, 0.55)
        palm = [at(-8, 15), at(22, 21), at(58, 24), at(70, 8), at(68, -10), at(58, -24), at(22, -20), at(-8, -15)]
        d.add(smooth(palm), self.skin, label)
        thumb = _outline(np.array([at(18, 17), at(44, 31), at(70, 32)]), np.array([9, 8.5, 6]) * k)
        d.add(smooth(thumb), self.skin, label)
        d.line(smooth([at(30, 19), at(52, 23), at(72, 26)], closed=False), dark, 2.2, 0.6)
        d.add(smooth(palm), d.glow(at(20, -14), 40, shaded(self.skin, -0.5), 0.35))

    def head(self):
        """Face and the hair before it."""
        around = self._head([(-125, -170), (125, -170), (-125, self.length + 60), (125, self.length + 60), (0, 120)])
        d = vector.Drawing(boxed(around.min(0), around.max(0)))
        rng, h = random.Random(f"{self._seed} head"), self._head
        m, skin = self.masculine, self.skin
        dark, deep = shaded(skin, -0.25), shaded(skin, -0.5)
        jaw = 44 + 9 * m + 5 * self.heavy + rng.uniform(-3, 3)
        cheek = 60 + 2 * m + 3 * self.heavy
        half = [(0, -88), (38, -80), (58, -50), (64, -10), (cheek, 26), (jaw + 5, 55), (jaw - 14, 78 + 2 * m), (14, 88)]
        outline = half + [(-x, y) for x, y in half[:0:-1]]
        for s in (1, -1):
            x = s * 62 + 5 * self.head_turn
            ear = [(x, -2), (x + s * 12, -6), (x + s * 14, 14), (x + s * 7, 34), (x - s * 2, 34)]
            d.add(smooth(h(ear)), shaded(skin, -0.06), FACE)
            d.line(smooth(h([(x + s * 8, 2), (x + s * 9, 14), (x + s * 4, 26)]), closed=False), dark, 3, 0.6)
        path = smooth(h(outline))
        d.add(path, skin, FACE)
        left, right = h([(-66, 0), (66, 0)])
        d.add(path, d.gradient(left, right, (0, deep, 0.34), (0.22, dark, 0.10), (0.5, "#ffffff", 0.10), (0.78, dark, 0.14), (1, deep, 0.46)))
        for s in (1, -1):
            place = h([(s * 35 + 8 * self.head_turn, 34)])[0]
            d.add(path, d.glow(place, 34, "#e0604e", 0.26 if m < 0.5 else 0.14))
        low = h([(0, 92)])[0]
        d.add(path, d.glow(low, 46, deep, 0.35))
        if m > 0.5 and rng.random() < 0.55:
            with d.within(path):
                self._beard(d, h, jaw, rng)
        self._features(d, h, rng)
        self._hair_before(d, rng)
        return d

    def _beard(self, d, h, jaw, rng):
        full = rng.random() < 0.5
        t = 9 * self.head_turn
        top = [(-64, 12), (-52, 34), (-26 + t, 42), (t, 46), (26 + t, 42), (52, 34), (64, 12)]
        beard = top + [(jaw + 10, 58), (jaw - 10, 84), (0, 94), (-jaw + 10, 84), (-jaw - 10, 58)]
        style = 'fill-opacity="0.92"' if full else 'fill-opacity="0.36"'
        d.add(smooth(h(beard)), shaded(self.hair, 0.08), more=style)

    def _features(self, d, h, rng):
        t, m = 11 * self.head_turn, self.masculine
        deep = shaded(self.skin, -0.5)
        iris = rng.choice(("#4a2f1b", "#3a2415", "#5d6f3a", "#3f6a92", "#6d8ea3", "#2b2019"))
        brow = shaded(self.hair, -0.25) if self.style != "bald" else "#3a2a20"
        if self.hair in _HAIRS[-6:]:
            brow = shaded(self.hair, -0.45)
        wide, lift = rng.uniform(15, 17.5), rng.uniform(-3, 2)
        tall = rng.uniform(5.6, 7.4)
        lip = shaded(rng.choice(("#b8574f", "#a84848", "#c4666a", "#8f3a3a")) if m < 0.5 else "#a9685a", 0)
        for s in (1, -1):
            x = s * 27 + t
            d.add(ellipse(*h([(x, 2)])[0], 24, 15), d.glow(h([(x, 0)])[0], 24, deep, 0.30))
            lid = [(x - wide, 6), (x - wide * 0.4, 5 - tall), (x + wide * 0.4, 5 - tall), (x + wide, 5 + s * -1)]
            eye = lid + [(x + wide * 0.4, 5 + tall * 0.72), (x - wide * 0.4, 5 + tall * 0.72)]
            path = smooth(h(eye), corners=(0, 3))
            d.add(path, "#f7f3ef")
            look = 2.2 * self.head_turn
            with d.within(path):
                d.add(ellipse(*h([(x + look, 4)])[0], 8.4), iris)
                d.add(ellipse(*h([(x + look, 4)])[0], 4.0), "#0d0a08")
                d.add(ellipse(*h([(x + look - 3, 1)])[0], 2.1), "#ffffff")
            d.line(smooth(h(lid), closed=False), "#22150f", 3.6 if m < 0.5 else 2.8, 0.95)
            d.line(smooth(h([(p, q - 6) for p, q in lid]), closed=False), deep, 1.8, 0.5)
            if m < 0.5:
                d.line(polygon(h([(x + s * wide, 5), (x + s * (wide + 4), 0)]), False), "#22150f", 2.6, 0.9)
            y = -18 + lift + 2 * m
            arch = [(x - s * 16, y + 0.5), (x, y - 4.5 + 2 * m), (x + s * 11, y - 4 + 2 * m), (x + s * 20, y + 3.5)]
            d.line(smooth(h(arch), closed=False), brow, 4.2 + 2.2 * m, 0.85)
        n = 1.25 * t
        d.line(smooth(h([(n - 5, 4), (n - 6, 22), (n - 9, 33)]), closed=False), deep, 3.5, 0.25)
        d.line(smooth(h([(n + 1, 2), (n + 1, 24)]), closed=False), "#ffffff", 7, 0.20)
        w = 11.5 + 2.5 * m
        d.line(smooth(h([(n - w, 35), (n - w * 0.6, 41), (n, 42.5), (n + w * 0.6, 41), (n + w, 35)]), closed=False), deep, 3, 0.5)
        for s in (1, -1):
            d.add(ellipse(*h([(n + s * 5, 40)])[0], 2.9, 1.7), shaded(self.skin, -0.7), more='fill-opacity="0.6"')
        mouth, smile, full = rng.uniform(20, 25), rng.uniform(2, 8), rng.uniform(4.5, 7.5) * (1 - 0.35 * m)
        y = 59
        ends = [(t - mouth, y - smile * 0.7), (t + mouth, y - smile * 0.7)]
        middle = [(t - mouth * 0.4, y + smile * 0.3), (t, y + 1 + smile * 0.3), (t + mouth * 0.4, y + smile * 0.3)]
        upper = [ends[0], (t - mouth * 0.35, y - full), (t, y - full * 0.72), (t + mouth * 0.35, y - full), ends[1], *middle[::-1]]
        below = [ends[0], *middle, ends[1], (t + mouth * 0.45, y + full * 1.35), (t, y + full * 1.75), (t - mouth * 0.45, y + full * 1.35)]
        d.add(smooth(h(below), corners=(0, 4)), shaded(lip, 0.14))
        d.add(smooth(h(upper), corners=(0, 4)), shaded(lip, -0.08))
        d.line(smooth(h([ends[0], *middle, ends[1]]), closed=False), shaded(lip, -0.6), 2.2, 0.85)
        d.line(smooth(h([(t - 8, y + full + 2), (t + 8, y + full + 2)]), closed=False), "#ffffff", 3, 0.28)
        d.line(smooth(h([(t - 12, y + full * 1.8 + 6), (t, y + full * 1.8 + 8), (t + 12, y + full * 1.8 + 6)]), closed=False), deep, 4, 0.22)

    # Hair.

    def _locks(self, d, path, lines, h):
        """Strands over hair: lines in the head's coordinates, dark and light in turn."""
        with d.within(path):
            for number, line in enumerate(lines):
                light = number % 2
                colour = shaded(self.hair, 0.34 if light else -0.42)
                d.line(smooth(h(line), closed=False), colour, 5 if light else 4, 0.34 if light else 0.42)

    def _hair_shape(self, d, points, h, lines=(), corners=(), colour=None):
        path = smooth(h(points), corners=corners)
        d.add(path, colour or self.hair, HAIR)
        top, low = h([(-30, -100), (40, 120)])
        d.add(path, d.gradient(top, low, (0, shaded(self.hair, 0.35), 0.35), (0.4, self.hair, 0), (1, shaded(self.hair, -0.6), 0.5)))
        if len(lines):
            self._locks(d, path, lines, h)

    def _hair_behind(self, d):
        h, style = self._head, self.style
        rng = random.Random(f"{self._seed} hair")
        length = self.length
        dark = shaded(self.hair, -0.32)
        if length:
            wave = {"wavy": 10, "curly": 13}.get(style, 2)
            wide = {"bob": 84, "fringe": 86, "curly": 104}.get(style, 90)
            right = [(0, -112), (48, -102), (78, -66)]
            ys = np.arange(-20, length, 28)
            right += [(wide - 4 + wave * (i % 2) + 8 * np.sin(np.pi * (y + 20) / (length + 40)), y) for i, y in enumerate(ys)]
            right += [(wide - 20, length), (wide * 0.4, length + 8)]
            self._hair_shape(d, right + [(-x, y) for x, y in right[:0:-1]], h, colour=dark)
        elif style == "afro":
            self._hair_shape(d, _bumpy(0, -34, 112, 104, 17, rng, 5), h, colour=dark)
        elif style == "bun":
            self._hair_shape(d, [(0, -150), (36, -140), (40, -108), (20, -88), (-20, -88), (-40, -108), (-36, -140)], h, [[(-25, -110), (0, -140), (26, -112)], [(-20, -100), (4, -124), (24, -100)]])
        elif style == "tail":
            s = rng.choice((1, -1))
            self._hair_shape(d, [(s * 40, -70), (s * 84, -40), (s * 98, 40), (s * 86, 130), (s * 62, 168), (s * 58, 100), (s * 60, 20)], h)

    def _hair_before(self, d, rng):
        h, style = self._head, self.style
        if style == "bald":
            return
        part = rng.uniform(-30, 30)
        line = rng.uniform(-58, -48)
        if style in ("cropped", "short", "quiff"):
            rise = {"cropped": 97, "short": 108, "quiff": 122}[style]
            side = {"cropped": 62, "short": 69, "quiff": 67}[style]
            low = 4 if style == "cropped" else 14
            top = [(-side, low), (-side - 3, -34), (-side + 12, -76), (-26, -rise + 3), (10, -rise), (44, -rise + 10), (side - 8, -70), (side + 3, -34), (side, low)]
            inner = [(58, -18), (52, -40), (30, line + 2), (part * 0.5, line - 5), (-30, line + 2), (-52, -40), (-58, -18)]
            lines = [[(x - 14, line), (x, -rise + 22), (x + 22, -rise + 6)] for x in np.linspace(-48, 44, 9)]
            self._hair_shape(d, top + inner, h, lines, corners=(0, 8))
        elif style in ("bun", "tail"):
            top = [(-65, 8), (-69, -34), (-56, -78), (-26, -101), (0, -105), (26, -101), (56, -78), (69, -34), (65, 8)]
            inner = [(59, -22), (48, -46), (22, line - 4), (0, line - 8), (-22, line - 4), (-48, -46), (-59, -22)]
            lines = [[(x, line - 6), (x * 0.75, -84), (x * 0.3, -110)] for x in np.linspace(-58, 58, 11)]
            self._hair_shape(d, top + inner, h, lines, corners=(0, 8))
        elif style == "afro":
            top = [(-70, 22), (-88, -20), (-86, -70), (-50, -112), (0, -124), (50, -112), (86, -70), (88, -20), (70, 22)]
            inner = [(58, -16), (50, -42), (26, line + 2), (0, line), (-26, line + 2), (-50, -42), (-58, -16)]
            self._hair_shape(d, top + inner, h, [], corners=(0, 8))
            for _ in range(46):
                a, r = rng.uniform(0, 6.3), rng.uniform(0.6, 1.0)
                x, y = 98 * r * np.cos(a), -36 + 92 * r * np.sin(a)
                if y < line - 6 or abs(x) > 66:
                    curl = h([(x - 7, y), (x, y - 7), (x + 7, y), (x, y + 6)])
                    d.line(smooth(curl, closed=False), shaded(self.hair, rng.choice((0.3, -0.5))), 3, 0.4)
        else:
            low = self.length
            wave = {"wavy": 9, "curly": 12}.get(style, 0)
            for s in (1, -1):  # Locks at the sides, over ears and shoulders.
                ys = np.linspace(-20, low, 8)
                spread = {"bob": 20, "fringe": 20, "curly": 36}.get(style, 26)
                outer = [(s * (80 + 8 * np.sin(np.pi * (y + 20) / (low + 40)) + wave * (i % 2) * 0.7), y) for i, y in enumerate(ys)]
                inside = [(s * (80 - spread - (10 if y > 100 else 0) + 6 * np.sin(y / 30) + wave * (i % 2) * 0.7), y) for i, y in enumerate(ys)]
                inside[0] = (s * 57, -22)
                tip = [(s * (74 - spread * 0.3), low + 22)]
                top = [(part, -107), (s * 40 + part * 0.3, -104), (s * 72, -70)]
                fore = [(s * 50, -44), (part + (s * 40 - part) * 0.4, line - 16)]
                shape = top + outer + tip + inside[::-1] + fore
                lines = [
                    [(part, -102), (s * (46 + 8 * q), -80), (s * (64 + 5 * q), -10), (s * (60 + 6 * q + wave * 0.6), low * 0.5), (s * (62 + 5 * q), low)]
                    for q in np.linspace(-0.8, 2.4, 6)
                ]
                self._hair_shape(d, shape, h, lines, corners=(0, len(top) + len(outer)))
            if style == "fringe":
                fringe = [(-62, -20), (-66, -70), (-30, -104), (0, -108), (30, -104), (66, -70), (62, -20), (40, -22), (14, -19), (-14, -19), (-40, -22)]
                self._hair_shape(d, fringe, h, [[(x * 0.6, -104), (x, -70), (x * 1.02, -20)] for x in np.linspace(-54, 54, 11)], corners=(0, 6))


def boxed(low, high):
    """(left, top, width, height) of what lies between two corners, in the picture and in steps of 8."""
    low = np.clip(np.floor(np.asarray(low) / 8) * 8, 0, (WIDTH - 8, HEIGHT - 8)).astype(int)
    high = np.maximum(np.clip(np.ceil(np.asarray(high) / 8) * 8, 0, (WIDTH, HEIGHT)).astype(int), low + 8)
    return (*low.tolist(), *(high - low).tolist())


def _bent(shoulder, target, upper, lower, side):
    """Elbow and wrist of an arm that reaches for a target, the elbow outward."""
    away = target - shoulder
    distance = np.clip(np.hypot(*away), abs(upper - lower) + 30, upper + lower - 2)
    along = away / np.hypot(*away)
    cosine = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)
    angle = np.arccos(np.clip(cosine, -1, 1))
    options = [shoulder + upper * (along @ _turned(a).T) for a in (angle, -angle)]
    elbow = max(options, key=lambda p: side * p[0])
    wrist = shoulder + along * distance
    return elbow, wrist


def _turned(angle):
    """The matrix of a turn, clockwise as it is seen."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _fade(y):
    return 1 - np.clip(y / HIP, 0, 1) ** 2


def _smoothed(ys, values):
    """Knots of a smooth curve through values at ys."""
    from scipy.interpolate import PchipInterpolator

    fine = np.linspace(ys[0], ys[-1], 120)
    return fine, PchipInterpolator(ys, values)(fine)


def _normals(line):
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-6)[:, None]
    return np.stack([-along[:, 1], along[:, 0]], -1)


def _outline(line, radius):
    """The outline of a tube along a line, with round ends: [m, 2]."""
    normal = _normals(line)
    along = np.stack([normal[:, 1], -normal[:, 0]], -1)
    sides = line + normal * radius[:, None], line - normal * radius[:, None]
    turn = np.deg2rad([40, 75, 105, 140])[:, None]
    cap = lambda i, sign: line[i] + radius[i] * (np.sin(turn) * sign * along[i] + np.cos(turn) * sign * normal[i])
    return np.concatenate([sides[0], cap(-1, 1), sides[1][::-1], cap(0, -1)])


def _bumpy(x, y, a, b, count, rng, size):
    """A cloud's outline."""
    angles = np.linspace(0, 2 * np.pi, 2 * count, endpoint=False)
    grow = np.array([size * (i % 2) + rng.uniform(-2, 2) for i in range(2 * count)])
    return np.stack([x + (a + grow) * np.cos(angles), y + (b + grow) * np.sin(angles)], -1)
