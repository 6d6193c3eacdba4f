"""Regions of a person by where joints and colours are, for want of a parser: rough, and to be corrected by hand.

Each pixel gets a share of each label: how near it is to where that part of a body lies, times how much its colour is
like that part's, a smooth histogram in CIE Lab of pixels that are surely of it, times whether it is of the person
at all. Shares then spread within edges: neighbours of like colour shall have like shares, a least-squares problem as of
random walks (Grady, PAMI 2006). Hats, glasses and belts go with what they lie on; all that is worn above is upper
clothes.
"""

import numpy as np
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse import linalg
from skimage import color

from vision_gen.data import agnostic

HEIGHT = 256  # At which this is computed.
HAIR, UPPER, TROUSERS, NECK, SKIRT, FACE = 2, 5, 9, 10, 12, 13  # LIP's labels.
LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = 14, 15, 16, 17
LABELS = (0, HAIR, UPPER, TROUSERS, NECK, FACE, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG)
SKIN = (NECK, FACE, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG)
COLOURS = 0.6  # How much colours count: the exponent of their likelihood.
STRANGE = 1e-6  # Likelihood of a colour that no part has.
PRINTS = 4.0  # How much likelier clothes have a colour that no part has.
WIDTH = 4.0  # Deviation by which colours of a part may differ from those that are surely of it, in Lab.
LOWEST, CELL, CELLS = (0, -100, -100), 4, (26, 50, 50)  # Of a histogram of Lab.
TIED = 20.0  # How much more neighbours of one colour count than what a pixel itself says.
STEP = 6.0  # Difference in Lab over which neighbours count for less, by a factor of e.
BARE = 0.1  # Share of skin below the hips from which on a skirt is worn.
SPECK = 0.03  # Share of a label's pixels below which a part of it is none.


def regions(picture, mask, keypoints):
    """LIP's labels [height, width] uint8 of a person.

    Args:
      picture: [height, width, 3] uint8.
      mask: [height, width], the share of each pixel that is of the person, 0 to 1.
      keypoints: [25, 3], OpenPose's. Shoulders must be found; arms are where their joints are.
    """
    scale = HEIGHT / picture.shape[0]
    size = (HEIGHT, max(1, round(picture.shape[1] * scale)))
    small = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))
    mask = np.asarray(Image.fromarray(np.float32(mask)).resize(size[::-1], Image.Resampling.BOX))
    lab = color.rgb2lab(small)
    body = Body(keypoints * [scale, scale, 1], size)
    near = body.near()
    surely = {part: seen & ((mask > 0.7) if part else (mask < 0.1)) for part, seen in body.surely().items()}
    alike = {FACE: _alike(lab, surely.pop(FACE))}
    surely[TROUSERS] &= alike[FACE] < 10 * STRANGE  # Legs may be bare.
    alike |= {part: _alike(lab, seen) for part, seen in surely.items()}
    for part in (UPPER, TROUSERS):  # What is like nothing is of clothes: prints, stripes.
        alike[part] += PRINTS * STRANGE
    shares = np.empty((*size, len(LABELS)))
    for i, label in enumerate(LABELS):
        part = FACE if label in SKIN else label
        inside = np.clip(mask if label else 1 - mask, 0.02, 0.98)
        shares[..., i] = near[label] * inside * alike.get(part, STRANGE) ** COLOURS
    shares = _spread(shares / shares.sum(-1, keepdims=True), lab)
    enlarged = lambda share: Image.fromarray(share).resize(picture.shape[1::-1], Image.Resampling.BICUBIC)
    large = [enlarged(share) for share in np.moveaxis(np.float32(shares), -1, 0)]
    found = np.asarray(LABELS, np.uint8)[np.argmax(large, 0)]
    bare, covered = np.isin(found, (LEFT_LEG, RIGHT_LEG)), found == TROUSERS
    if bare.sum() > BARE * (bare | covered).sum():
        found[covered], bare = SKIRT, np.zeros_like(bare)
    return _without_specks(found, bare)


def with_neck(parse, keypoints):
    """LIP's labels as VITON-HD has them: what is of the face below the chin is the neck, for which LIP has none."""
    body = Body(keypoints, parse.shape)
    return np.where((parse == FACE) & (body.along(body.chin, body.tilt) > 0), np.uint8(NECK), parse)


class Body:
    """Where parts of a body lie, by its joints, in the pixels of a picture."""

    def __init__(self, keypoints, size):
        y, x = np.mgrid[: size[0], : size[1]] + 0.5
        self.pixels = np.stack([x, y], -1)
        there = (keypoints[:, 2] > 0) & keypoints[:, :2].any(-1)
        self.seen = seen = {int(i): keypoints[i, :2] for i in np.flatnonzero(there)}
        right, left = seen[2], seen[5]
        self.neck = (right + left) / 2
        across = np.linalg.norm(left - right)
        hips = [seen[i] for i in (9, 12) if i in seen]
        self.hip = np.mean(hips, 0) if hips else self.neck + [0, agnostic.TORSO * across]
        self.length = max(np.linalg.norm(self.hip - self.neck), 1.0)
        self.down = (self.hip - self.neck) / self.length
        self.side = np.array([self.down[1], -self.down[0]])  # Towards the person's left.
        self.half = max(across, 0.6 * self.length) / 2  # Of somebody who stands sideways too.
        self._head()

    def _head(self):
        """The middle between the eyes, how far apart these are in a face that looks ahead, and where up is."""
        seen = self.seen
        pair = lambda a, b: np.linalg.norm(seen[a] - seen[b]) if a in seen and b in seen else 0.0
        self.unit = max(pair(15, 16), 0.45 * pair(17, 18)) or 0.44 * self.half
        eyes = [seen[i] for i in (15, 16, 0) if i in seen]
        self.eyes = np.mean(eyes[:2], 0) if eyes else self.neck - 3.0 * self.unit * self.down
        tilt = seen[16] - seen[15] if 15 in seen and 16 in seen else self.side
        tilt = tilt / max(np.linalg.norm(tilt), 1e-6)
        self.tilt = np.array([-tilt[1], tilt[0]])  # From the eyes to the chin.
        self.face = self.eyes + 0.45 * self.unit * self.tilt
        self.skull = self.eyes - 0.3 * self.unit * self.tilt
        self.chin = self.eyes + 1.8 * self.unit * self.tilt

    def along(self, origin, direction):
        """How far pixels lie along a direction."""
        return (self.pixels - origin) @ direction

    def from_line(self, a, b):
        """How far pixels are from the line between two places."""
        step = b - a
        share = np.clip((self.pixels - a) @ step / max(step @ step, 1e-6), 0, 1)
        return np.linalg.norm(self.pixels - a - share[..., None] * step, axis=-1)

    def from_face(self):
        """1 on the outline of the face."""
        across, down = self.along(self.face, np.array([self.tilt[1], -self.tilt[0]])), self.along(self.face, self.tilt)
        return np.hypot(across / (1.15 * self.unit), down / (1.4 * self.unit))

    def from_limb(self, joints, hand=0.0):
        """How far pixels are from the bones of a limb, and what is as long as a hand beyond it."""
        places = [self.seen[joint] for joint in joints if joint in self.seen]
        if hand and joints[-1] in self.seen and joints[-2] in self.seen:
            places.append(places[-1] + hand * (places[-1] - places[-2]))
        parts = [self.from_line(a, b) for a, b in zip(places, places[1:])]
        return np.min(parts, 0) if parts else np.full(self.pixels.shape[:2], np.inf)

    def near(self):
        """{label: [height, width], how likely it lies there, as far as joints say}."""
        soft = lambda distance, reach, edge=0.15: 1 / (1 + np.exp(np.clip((distance / reach - 1) / edge, -30, 30)))
        unit, half, length = self.unit, self.half, self.length
        down = self.along(self.neck, self.down) / length  # 0 at the shoulders, 1 at the hips.
        arm = 0.32 * half
        arms = {
            label: soft(self.from_limb(joints, 0.6), arm, 0.2)
            for label, joints in ((LEFT_ARM, (5, 6, 7)), (RIGHT_ARM, (2, 3, 4)))
        }
        sleeves = np.max([soft(self.from_limb(joints), 1.2 * arm, 0.2) for joints in ((5, 6, 7), (2, 3, 4))], 0)
        trunk = [place + share * length * self.down for place, share in ((self.neck, 0.15), (self.hip, 0.2))]
        torso = soft(self.from_line(*trunk), 1.3 * half)
        above = 1 - np.clip((down - 0.5) / 0.8, 0, 1)  # A hem is from below the chest to below the hips.
        face = soft(self.from_face(), 1.0)
        from_skull = np.linalg.norm(self.pixels - self.skull, axis=-1)
        strands = soft(self.from_line(self.skull, self.neck + 0.3 * length * self.down), 2.4 * unit)
        # As it narrows towards the middle of the chest.
        throat = soft(self.from_line(self.chin, self.neck), 1.1 * unit)
        cut = soft(self.from_line(self.neck, self.neck + 0.25 * length * self.down), 1.4 * unit)
        leg, hands = self.along(self.hip, self.side), np.maximum(arms[LEFT_ARM], arms[RIGHT_ARM])
        below = np.clip((down - 1) / 0.3, 0, 1)
        head = (down < 0) * soft(from_skull, 3.0 * unit)
        return {
            0: np.full(face.shape, 0.5),
            HAIR: 1e-3 + (1 - 0.9 * face) * np.maximum(soft(from_skull, 2.2 * unit), 0.5 * strands),
            UPPER: 1e-3 + (1 - face) * (1 - head) * np.maximum(sleeves, np.maximum(torso, 0.05) * above),
            TROUSERS: 1e-3 + (down > 0.3) * (1 - above),
            NECK: 1e-3 + (1 - face) * np.max([throat, 0.4 * cut, 0.03 * torso * above], 0),
            FACE: 1e-3 + face,
            LEFT_ARM: 1e-4 + (1 - face) * arms[LEFT_ARM],
            RIGHT_ARM: 1e-4 + (1 - face) * arms[RIGHT_ARM],
            LEFT_LEG: 1e-4 + below * (leg > 0) * (1 - hands),
            RIGHT_LEG: 1e-4 + below * (leg <= 0) * (1 - hands),
        }

    def surely(self):
        """{label: [height, width] bool, pixels that are of it, where they are of the person}; 0 is what is around."""
        unit, half = self.unit, self.half
        down, across = self.along(self.neck, self.down) / self.length, np.abs(self.along(self.neck, self.side))
        free = np.minimum(self.from_limb((6, 7), 0.6), self.from_limb((3, 4), 0.6)) > 0.5 * half
        from_face = self.from_face()
        over = self.along(self.eyes, self.tilt) < -0.4 * unit
        return {
            0: np.ones(from_face.shape, bool),
            HAIR: over & (from_face > 1.15) & (from_face < 1.7),
            UPPER: (down > 0.2) & (down < 0.5) & (across < 0.7 * half) & free,
            TROUSERS: (down > 1.3) & free,
            FACE: (from_face < 0.65) & (self.along(self.eyes, self.tilt) > 0.1 * unit),
        }


def _without_specks(labels, specks):
    """Labels [height, width], whose small parts, but of 0, and `specks` have become as what is nearest."""
    for label in np.unique(labels):
        parts, count = ndimage.label(labels == label)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        specks |= (label > 0) & (parts > 0) & (sizes < SPECK * sizes.sum())[parts]
    nearest = ndimage.distance_transform_edt(specks, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


def _alike(lab, seen):
    """How likely the colours of a picture are those of some pixels, [height, width]; of too few, as strange as any."""
    cells = np.int32(np.clip((lab - LOWEST) / CELL, 0, np.subtract(CELLS, 1)))
    if seen.sum() < 30:
        return np.full(seen.shape, STRANGE)
    counted = np.zeros(CELLS)
    np.add.at(counted, tuple(cells[seen].T), 1 / seen.sum())
    density = ndimage.gaussian_filter(counted, WIDTH / CELL, mode="constant") / CELL**3
    return density[tuple(np.moveaxis(cells, -1, 0))] + STRANGE


def _spread(shares, lab):
    """Shares [height, width, label] that are alike where colours are."""
    number = np.arange(lab[..., 0].size).reshape(lab.shape[:2])
    pairs, weights = [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        apart = np.linalg.norm(lab[one] - lab[other], axis=-1)
        pairs.append([number[one].ravel(), number[other].ravel()])
        weights.append(TIED * np.exp(-apart.ravel() / STEP))
    (a, b), weights = np.concatenate(pairs, 1), np.concatenate(weights)
    tied = sparse.coo_array((weights, (a, b)), (number.size,) * 2)
    tied = (tied + tied.T).tocsc()
    system = sparse.diags_array(tied.sum(0) + 1) - tied
    return linalg.spsolve(system.tocsc(), shares.reshape(number.size, -1)).reshape(shares.shape)
