"""People of `mannequin_people` in garments of `mannequin_garments`, with folds, light and shade; garments laid flat.

The worn garment is its panels moved: the torso's by the body's shape and pose, each sleeve's along its arm. Run as a
module, this draws every so manyth example of a split, on standard output (`workers`).
"""

import copy
import io
import random

import numpy as np
from PIL import Image, ImageFilter

from vision_gen.data import mannequin_garments as garments
from vision_gen.data import mannequin_people as people
from vision_gen.data import openpose, workers
from vision_gen.data.mannequin_garments import Garment
from vision_gen.data.mannequin_people import HEIGHT, WIDTH, Person

_WRAP = 0.86  # How much of a half turn of the body is seen, as a sine.
_LIGHT = np.array([-0.55, -0.65])


class Canvas:
    """A picture in the making, `over` times as large as it will be.

    Attributes:
      colours: [height, width, 3] float32 in 0..1.
      labels: [height, width] uint8.
      points: [height, width, 2] float32, where each pixel's middle is in 768 x 1024.
    """

    def __init__(self, size):
        self.over = 2 if size[0] <= 192 else 1
        width, height = size[0] * self.over, size[1] * self.over
        self.box, self.unit = people.BOX, WIDTH / width
        self.colours = np.zeros((height, width, 3), np.float32)
        self.labels = np.zeros((height, width), np.uint8)
        x = (np.arange(width, dtype=np.float32) + 0.5) * self.unit
        y = (np.arange(height, dtype=np.float32) + 0.5) * self.unit
        self.points = np.stack(np.broadcast_arrays(x, y[:, None]), -1)

    @property
    def size(self):
        """(width, height)."""
        return self.labels.shape[::-1]

    def pixels(self, box):
        """The index of a part (left, top, width, height) in steps of 8."""
        left, top, width, height = (round(n / self.unit) for n in box)
        return np.s_[top : top + height, left : left + width]

    def part(self, box):
        """The canvas of a part, on which what is put is put on this one."""
        made, at = copy.copy(self), self.pixels(box)
        made.box, made.colours, made.labels, made.points = box, self.colours[at], self.labels[at], self.points[at]
        return made

    def put(self, colours, alpha, labels=None):
        """Colours [..., 3] over what is there; labels, one or an array, where they are seen."""
        self.colours += (colours - self.colours) * alpha[..., None]
        if labels is not None:
            self.labels[:] = np.where((alpha > 0.5) & (np.asarray(labels) != 255), labels, self.labels)

    def draw(self, drawing):
        """A drawing over what is there."""
        made = drawing.colours(self.size)
        self.put(made[..., :3], made[..., 3], drawing.labels(self.size))

    def shadow(self, alpha, offset, radius, strength, where=None):
        """Darkens by the blurred `alpha` of what lies above, moved by `offset`, all in pixels of 768 x 1024."""
        moved = np.roll(alpha, [round(o / self.unit) for o in offset[::-1]], (0, 1))
        soft = Image.fromarray(np.uint8(moved * 255)).filter(ImageFilter.GaussianBlur(radius / self.unit))
        dark = np.asarray(soft, np.float32) * (strength / 255)
        if where is not None:
            dark = dark * where
        self.colours *= 1 - dark[..., None]

    def done(self):
        """([height, width, 3] uint8, labels [height, width] uint8)."""
        k, (width, height) = self.over, self.size
        mean = self.colours.reshape(height // k, k, width // k, k, 3).mean((1, 3))
        return np.uint8(np.clip(mean * 255 + 0.5, 0, 255)), self.labels[k // 2 :: k, k // 2 :: k]


def worn(person, garment, size):
    """A picture [height, width, 3] uint8 of a person in a garment, and its labels [height, width] uint8 of LIP.

    Args:
      person: a `Person`.
      garment: a `Garment`.
      size: (width, height).
    """
    canvas = Canvas(size)
    canvas.colours[:] = _ground(person, canvas.points)
    canvas.draw(person.back())
    torso = _Torso(canvas, person, garment)
    for side, arm in person.arms.items():
        if arm.behind:
            _arm(canvas, person, garment, side, torso)
    body = (canvas.labels != people.GROUND).astype(np.float32)
    canvas.shadow(torso.alpha, (5, 12), 10, 0.42, body)
    canvas.put(torso.colours, torso.alpha, people.UPPER)
    before = [side for side, arm in person.arms.items() if not arm.behind]
    last = [side for side in before if person.arms[side].pose == "up"]
    for side in sorted(set(before) - set(last), key=lambda side: person.arms[side].pose == "across"):
        _arm(canvas, person, garment, side, torso)
    head = person.head()
    part = canvas.part(head.box)
    face = head.colours(part.size)
    part.shadow(face[..., 3], (4, 12), 9, 0.30, (part.labels != people.GROUND).astype(np.float32))
    part.put(face[..., :3], face[..., 3], head.labels(part.size))
    for side in last:
        _arm(canvas, person, garment, side, torso)
    return canvas.done()


def flat(garment, size):
    """A garment as a shop photographs it: ([height, width, 3] uint8, its mask [height, width] uint8, 0 or 255)."""
    canvas = Canvas(size)
    rng = random.Random(f"{garment._seed} flat")
    drawing = garment.flat()
    made = drawing.colours(canvas.size)
    alpha = made[..., 3]
    white = rng.uniform(0.945, 0.985)
    canvas.colours[:] = white
    canvas.shadow(alpha, (2, 8), 9, 0.20)
    scale, offset = garment.place()
    at = lambda x, y: np.array([x, y]) * scale + offset
    ridges = []
    for side in (1, -1):
        ridges.append((at(side * garment.chest * 0.9, garment.under + 5), at(side * rng.uniform(20, 70), garment.under + rng.uniform(60, 150)), 13, 1.0, 12))
        for _ in range(2):
            x = side * rng.uniform(0.15, 0.85) * garment.waist
            y = rng.uniform(0.5, 0.72) * garment.length
            ridges.append((at(x, y), at(x + rng.uniform(-30, 30), garment.length + 10), rng.uniform(9, 16), rng.uniform(0.4, 0.8), rng.uniform(-14, 14)))
        if garment.sleeve:
            for _ in range(3 if garment.sleeve > 200 else 1):
                t = rng.uniform(0.2, 0.85) * garment.sleeve
                a, b = garment._sleeve_points([(-garment.arm * 0.7, t), (garment.arm * 0.6, t + rng.uniform(10, 60))]) * (side, 1)
                ridges.append((at(*a), at(*b), 10, rng.uniform(0.4, 0.9), rng.uniform(-8, 8)))
    ridges.append((at(rng.uniform(-90, 90), garment.under), at(rng.uniform(-70, 70), garment.length * 0.8), 22, 0.5, rng.uniform(-30, 30)))
    folds, _ = _folds(canvas, ridges, strength=0.75)
    soft = Image.fromarray(np.uint8(alpha * 255)).filter(ImageFilter.GaussianBlur(9 / canvas.unit))
    rim = np.clip((np.asarray(soft, np.float32) / 255 - 0.5) * 2, 0, 1)
    shade = (0.86 + 0.14 * rim) + folds
    canvas.put(_lit(made[..., :3], shade), alpha)
    picture, _ = canvas.done()
    mask = drawing.labels(canvas.size)[canvas.over // 2 :: canvas.over, canvas.over // 2 :: canvas.over]
    return picture, np.where(mask == 1, 255, 0).astype(np.uint8)


def _ground(person, points):
    """A studio's wall, lighter above, and a soft shadow on it."""
    colour = np.float32([int(person.ground[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    down = points[..., 1] / HEIGHT
    far = ((points - np.float32([person.neck[0] + 60, 600])) / np.float32([330, 560])) ** 2
    light = 1.02 - 0.07 * down**2 - 0.10 * np.exp(-1.5 * far.sum(-1))
    return np.minimum(colour * light[..., None], 1)


def _lit(colours, shade):
    """Cloth in light and shade: darker by a share, and where it is light a little towards white."""
    shade = shade[..., None]
    return np.clip(colours * np.minimum(shade, 1.12) + 0.30 * np.clip(shade - 1, 0, 0.4) * (1 - 0.5 * colours), 0, 1)


class _Torso:
    """The torso's panel as it is worn: `colours` and `alpha` of the whole canvas, and where pixels lie in the panel."""

    def __init__(self, canvas, person, garment):
        self.canvas, self.person, self.garment = canvas, person, garment
        x, y = person.upright(canvas.points)
        ys = np.linspace(-90, 660, 160)
        flat_width = garment.width(ys)
        body = person.width(ys)
        slack = np.maximum(0, flat_width - 1.24 * body)
        width = body * 1.03 + 3 + (0.30 + 0.25 * garment.loose) * slack
        wrap = np.arcsin(_WRAP)
        # At the shoulders the seams lie on the joints, or a little out of them where it is wide.
        joint = person.shoulder + 4 + 8 * garment.loose if garment.sleeve else person.shoulder * garment.shoulder / 131
        at_shoulder = joint * _WRAP / np.sin(min(garment.shoulder / garment.chest, 0.98) * wrap)
        share = np.clip((ys - 50) / (garment.under - 40), 0, 1)
        share = share * share * (3 - 2 * share)
        self._ys, self._width = ys, (1 - share) * at_shoulder + share * width
        half = np.interp(y, ys, self._width).astype(np.float32)
        across = np.clip(x / half, -1.12, 1.12)
        inside = np.clip(across * _WRAP, -0.995, 0.995)
        slope = (person.slope - garments.SLOPE) * np.minimum(np.abs(x) / person.shoulder, 1.1) * np.clip(1 - y / 170, 0, 1)
        rise = 10 + 8 * (1 - person.masculine)
        self.y = y + 4 - slope - rise * (1 - across**2) * np.clip(y / 200, 0, 1) * np.clip((garment.length + 80 - y) / 200, 0, 1)
        self.x = np.arcsin(inside) / np.float32(wrap) * garment.width(self.y)
        self.across = across
        folds, push = self._cloth()
        self.x = np.where(np.abs(across) > 1.05, 999, self.x + push[..., 0] * 5)
        panel = _Panel(garment.torso(), garments.TORSO, canvas.unit)
        colours, alpha = panel.at(self.x, self.y + push[..., 1] * 5)
        self.alpha = alpha * np.clip((1 - np.abs(across)) * half / canvas.unit + 0.5, 0, 1)
        round_ = 1.03 - 0.30 * np.abs(across - (-0.18)) ** 2.4 - 0.06 * across
        self.colours = _lit(colours, round_ + folds)
        # Before this line no sleeve is seen: its seam, and from the armpit on a crease inward.
        shoulder, under = garment.shoulder, garment.under
        knots = (garments.SLOPE - 40, garments.SLOPE, 70, 105, under - 45, under + 15)
        seam = np.interp(self.y, knots, shoulder + np.array([2, 0, -11, -13, -16, -80]))
        edge = np.clip((seam - 5 - np.abs(self.x)) / canvas.unit + 0.5, 0, 1) * np.clip((under + 12 - self.y) / 10, 0, 1)
        self.inner = edge * np.clip((self.y + 70) / 20, 0, 1)

    def _cloth(self):
        """Folds of the trunk."""
        person, garment = self.person, self.garment
        rng = random.Random(f"{garment._seed} {person.neck[0]:.3f} trunk")
        width = lambda y: float(np.interp(y, self._ys, self._width))
        loose, end, ridges = garment.loose, garment.length, []
        add = lambda a, b, wide, high, bend=0: ridges.append((*person.place([a, b]), wide, high, bend))
        for side in (1, -1):
            raised = {"up": 1.5, "out": 1.2, "hip": 1.1}.get(person.arms[side].pose, 0.8)
            for _ in range(2):
                y = garment.under - rng.uniform(5, 45)
                add((side * width(y) * 0.93, y), (side * rng.uniform(10, 60), y + rng.uniform(50, 140)), rng.uniform(9, 14), raised * rng.uniform(0.5, 0.9), side * rng.uniform(-10, 22))
            y = rng.uniform(250, 310)
            add((side * width(y) * 0.98, y), (side * width(y) * rng.uniform(0.2, 0.5), y + rng.uniform(25, 60)), rng.uniform(8, 12), 0.5 + 0.4 * loose, side * 12)
            add((side * width(y) * 0.96, y + 26), (side * width(y) * rng.uniform(0.1, 0.4), y + rng.uniform(60, 95)), rng.uniform(8, 12), 0.4 + 0.4 * loose, side * 10)
            if person.masculine < 0.5:  # Below the bust.
                add((side * 14, 196), (side * width(190) * 0.86, 178), 24, -0.55, 26)
                add((side * 20, 140), (side * width(140) * 0.8, 136), 26, 0.40, -14)
        for _ in range(2 + round(4 * loose)):
            x = rng.uniform(-0.85, 0.85)
            top = end - rng.uniform(120, 240)
            add((x * width(top) * 0.9, top), (x * width(end) * 1.02, end + 14), rng.uniform(9, 17), (0.3 + 0.65 * loose) * rng.uniform(0.5, 1), rng.uniform(-14, 14))
        y = rng.uniform(270, 350)
        add((-width(y) * rng.uniform(0.3, 0.8), y), (width(y) * rng.uniform(0.3, 0.8), y + rng.uniform(-30, 40)), rng.uniform(9, 14), 0.5, rng.uniform(-24, 24))
        return _folds(self.canvas, ridges)


def _arm(canvas, person, garment, side, torso):
    """One arm in its sleeve over what is there."""
    arm = person.arms[side]
    made = person.arm(side)
    at, canvas = canvas.pixels(made.box), canvas.part(made.box)
    inner = torso.inner[at]
    skin = made.colours(canvas.size)
    labels = made.labels(canvas.size)
    t, d = _along(canvas, arm, side)
    near = np.clip((150 - t) / 20, 0, 1) if not arm.behind else 0.0
    hidden = inner * near
    alpha = skin[..., 3] * (1 - hidden)
    cloth = np.zeros_like(alpha)
    if garment.sleeve:
        colours, cloth, sleeve_t = _sleeve(canvas, person, garment, side, t, d)
        cloth = cloth * (1 - hidden)
    whole = np.maximum(alpha, cloth)
    if not arm.behind:
        body = (canvas.labels != people.GROUND).astype(np.float32) * np.clip((t - 20) / 60, 0.25, 1)
        canvas.shadow(whole, (7, 10), 9, 0.40, body * (1 - inner * np.clip((200 - t) / 60, 0, 1)))
    canvas.put(skin[..., :3], alpha, labels)
    if garment.sleeve:
        below = np.clip(1 - np.abs(t - garment.sleeve - 6) / 20, 0, 1) * alpha * (1 - cloth)
        canvas.colours *= 1 - 0.34 * below[..., None]  # The cuff's shadow on the arm.
        canvas.put(colours, cloth, people.UPPER)


def _along(canvas, arm, side):
    """Each pixel's place along an arm and across it, outward positive, [height, width] each."""
    points = canvas.points
    best = np.full(points.shape[:2], np.inf, np.float32)
    found_t, found_d = np.full_like(best, 999), np.full_like(best, 999)
    last = len(arm.line) - 2
    for i in range(last + 1):
        start, step = arm.line[i], arm.line[i + 1] - arm.line[i]
        length = float(np.hypot(*step))
        along = step / length
        x, y = points[..., 0] - np.float32(start[0]), points[..., 1] - np.float32(start[1])
        u = x * np.float32(along[0]) + y * np.float32(along[1])
        v = x * np.float32(along[1]) - y * np.float32(along[0])
        held = np.clip(u, -90 if i == 0 else 0, length + (90 if i == last else 0))
        far = np.hypot(u - held, v)
        closer = far < best
        best = np.where(closer, far, best)
        scale = (arm.reach[i + 1] - arm.reach[i]) / length
        found_t = np.where(closer, arm.reach[i] + held * scale, found_t)
        found_d = np.where(closer, np.copysign(far, v), found_d)
    return found_t, found_d * side


def _sleeve(canvas, person, garment, side, t, d):
    """A sleeve's colours and alpha on the whole canvas."""
    radius = person.arm_radius(t)
    flat_width = garment.sleeve_width(t)
    slack = np.maximum(0, flat_width - 1.36 * radius)
    outer, inner = radius * 1.05 + 3 + 0.22 * slack * np.clip(t / 90, 0, 1), radius * 1.03 + 3 + 0.55 * slack
    half = np.where(d > 0, outer, inner)
    round_ = np.hypot(np.minimum(t, 0), d)  # The shoulder is a half disc.
    across = np.clip(np.where(t < 0, np.copysign(round_, d), d) / half, -1.2, 1.2)
    wrap = np.arcsin(_WRAP)
    x = np.arcsin(np.clip(across * _WRAP, -0.995, 0.995)) / np.float32(wrap) * flat_width
    arm = person.arms[side]
    rng = random.Random(f"{garment._seed} {person.neck[0]:.3f} sleeve {side}")
    along = lambda reach: np.array([np.interp(reach, arm.reach, arm.line[:, k]) for k in (0, 1)])
    ridges = []

    def add(t0, s0, t1, s1, wide, high, bend=0.0):
        ends = []
        for where, share in ((t0, s0), (t1, s1)):
            direction = along(where + 6) - along(where - 6)
            direction /= max(np.hypot(*direction), 1e-6)
            normal = np.array([direction[1], -direction[0]]) * side
            ends.append(along(where) + normal * share * float(person.arm_radius(where)) * 1.2)
        ridges.append((*ends, wide, high, bend))

    bent = 1 - float(np.dot(arm.joints[1] - arm.joints[0], arm.joints[2] - arm.joints[1])) / (233 * 203)
    if garment.sleeve > 300:
        for _ in range(5):
            where = 225 + rng.uniform(-55, 45)
            add(where, -0.95, where + rng.uniform(-25, 25), 0.55, rng.uniform(6, 9), (0.35 + 0.9 * min(bent, 1)) * rng.uniform(0.6, 1), rng.uniform(-6, 6))
        for _ in range(3):
            where = rng.uniform(340, 405)
            add(where, rng.uniform(-1, -0.4), where + rng.uniform(-16, 16), rng.uniform(0.3, 1), rng.uniform(5, 8), rng.uniform(0.4, 0.8))
    for _ in range(3):
        where = rng.uniform(55, min(garment.sleeve, 200))
        add(where, -0.9, where - rng.uniform(25, 70), rng.uniform(0.1, 0.7), rng.uniform(8, 12), rng.uniform(0.4, 0.8), rng.uniform(-8, 8))
    folds, push = _folds(canvas, ridges)
    curve = 6 * (1 - across**2)
    panel = _Panel(garment.arm_panel(), garments.SLEEVE, canvas.unit)
    colours, alpha = panel.at(np.where(np.abs(across) > 1, 999, (x + push[..., 0] * 4)) * side, t - curve + push[..., 1] * 4)
    edge = np.clip((1 - np.abs(across)) * half / canvas.unit + 0.5, 0, 1)
    shade = 1.02 - 0.34 * np.abs(across + (-0.15 * side if arm.joints[1][0] > arm.joints[0][0] else 0.15 * side)) ** 2.2 + folds
    return _lit(colours, shade), alpha * edge, t


class _Panel:
    """Cloth to be taken from at any place: its picture, in pixels of `unit`."""

    def __init__(self, drawing, box, unit):
        left, top, width, height = box
        self._corner, self._unit = (left, top), unit
        made = drawing.colours((round(width / unit), round(height / unit)))
        made[..., :3] *= made[..., 3:]
        self._made = np.pad(made, ((1, 2), (1, 2), (0, 0)))

    def at(self, x, y):
        """Colours [..., 3] and alpha [...] at places of the panel, of the four pixels around each."""
        height, width, _ = self._made.shape
        colours = np.zeros((*x.shape, 4), np.float32)
        u = (x - self._corner[0]) / self._unit + 0.5
        v = (y - self._corner[1]) / self._unit + 0.5
        seen = (u > 0) & (u < width - 2) & (v > 0) & (v < height - 2)
        u, v = u[seen].astype(np.float32), v[seen].astype(np.float32)
        i, j = u.astype(np.int32), v.astype(np.int32)
        a, b = (u - i)[:, None], (v - j)[:, None]
        flat, at = self._made.reshape(-1, 4), j * width + i
        upper = flat[at] * (1 - a) + flat[at + 1] * a
        lower = flat[at + width] * (1 - a) + flat[at + width + 1] * a
        colours[seen] = upper * (1 - b) + lower * b
        alpha = colours[..., 3]
        return colours[..., :3] / np.maximum(alpha, 1e-3)[..., None], alpha


def _folds(canvas, ridges, strength=1.0):
    """Light on ridges of cloth [height, width], and their slope [height, width, 2].

    Args:
      canvas: a `Canvas`.
      ridges: of (start [2], stop [2], width, height, how far the middle bends), in pixels of 768 x 1024.
      strength: of the light.
    """
    rows, columns = -(-HEIGHT // 6), WIDTH // 6
    x, y = np.float32(np.arange(columns) * 6 + 3), np.float32(np.arange(rows) * 6 + 3)[:, None]
    field = np.zeros((rows, columns), np.float32)
    for start, stop, wide, high, bend in ridges:
        step = stop - start
        length = max(float(np.hypot(*step)), 1.0)
        a, b = (step / length).astype(np.float32)
        low = np.floor((np.minimum(start, stop) - 3 * wide - abs(bend)) / 6).astype(int).clip(0)
        high_ = np.ceil((np.maximum(start, stop) + 3 * wide + abs(bend)) / 6).astype(int).clip(0)
        part = np.s_[low[1] : high_[1], low[0] : high_[0]]
        dx, dy = x[low[0] : high_[0]] - np.float32(start[0]), y[low[1] : high_[1]] - np.float32(start[1])
        u = (dx * a + dy * b) / np.float32(length)
        v = dx * b - dy * a - np.float32(4 * bend) * u * (1 - u)
        along = np.clip(1 - (2 * u - 1) ** 2, 0, 1)
        field[part] += high * wide * along * np.exp(-((v / wide) ** 2))
    slope = np.stack(np.gradient(field, 6.0)[::-1], -1)
    light = np.clip(-(slope @ np.float32(_LIGHT)) * -0.42 * strength, -0.42, 0.30)
    left, top, width, height = (n / 6 for n in canvas.box)
    box = (left, top, min(left + width, columns), min(top + height, rows))
    image = lambda part: Image.fromarray(np.ascontiguousarray(part))
    large = lambda part: np.asarray(image(part).resize(canvas.size, Image.Resampling.BICUBIC, box))
    return large(light), np.stack([large(slope[..., k]) for k in (0, 1)], -1)


def partner(number):
    """The garment of unpaired example `number`: neighbours change theirs."""
    return number ^ 1


def _example(number, split, width, height, unpaired):
    """What TFDS keeps of an example: pictures as PNG bytes."""
    size = int(width), int(height)
    person = Person(split, number)
    if unpaired == "True":
        truth, labels = worn(person, Garment(split, partner(number)), size)
        return {"truth": _png(truth), "truth_parse": _png(labels)}
    garment = Garment(split, number)
    image, labels = worn(person, garment, size)
    cloth, mask = flat(garment, size)
    keypoints = np.float32(person.keypoints * (size[0] / WIDTH, size[1] / HEIGHT, 1))
    pose = openpose.picture(keypoints, size[::-1])
    pictures = {"image": image, "cloth": cloth, "cloth_mask": mask, "parse": labels, "pose": pose}
    return {name: _png(picture) for name, picture in pictures.items()} | {"keypoints": keypoints}


def _png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    workers.serve(_example)
