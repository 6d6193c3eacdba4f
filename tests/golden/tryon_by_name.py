"""Weights and inputs of tryon_reference.npz, from names and seeds alone."""

import zlib

import numpy as np

WIDTH = 4  # Of the published 64.
SIZE = (256, 128)  # Of pictures,
SMALL = (64, 32)  # and at which segmentation looks.
GRID = (40, 24)


def state(shapes):
    """{name: value} of parameters, statistics and singular vectors, of {name: shape}."""
    found = {name: _weight(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    for name in shapes:  # A singular vector that belongs to the other one, so that the value is not near 0.
        if name.endswith("weight_v"):
            kernel, other = (found[name.removesuffix("v") + end] for end in ("orig", "u"))
            found[name] = _unit(kernel.reshape(len(kernel), -1).T @ other)
    return found


def _unit(x):
    return np.float32(x / np.linalg.norm(x))


def _weight(name, shape):
    value = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    if name.endswith("weight_u"):
        return _unit(value)
    if name.endswith("running_var"):
        return np.float32(1 + 0.1 * value**2)
    if len(shape) > 1:
        return np.float32(value * (2 / np.prod(shape[1:])) ** 0.5)
    return np.float32(1 + 0.1 * value if name.endswith("weight") else 0.1 * value)


def inputs():
    """Arrays [1, channel, height, width] by name: what the pipeline takes, of smooth patches, and parts of it."""
    rng = np.random.default_rng(0)
    coarse = lambda n: np.float32(rng.uniform(-1, 1, (1, n, SIZE[0] // 16, SIZE[1] // 16)))
    patches = lambda n: coarse(n).repeat(16, 2).repeat(16, 3)
    labels = np.argmax(patches(13), 1)
    return {
        "agnostic": patches(3),
        "pose": patches(3),
        "cloth": patches(3),
        "mask": np.float32(patches(1) > -0.5),
        "kept": np.float32(np.arange(13)[:, None, None] == labels)[None][0][None],
        "noise": np.float32(rng.uniform(size=(1, 1, *SMALL)) < 0.16),
        "moved": np.float32(rng.uniform(-0.3, 0.3, (2, 50))),
        "map": np.float32(rng.normal(size=(2, 12, 16, 12))),
        "regions": np.float32(rng.uniform(size=(2, 8, 16, 12)) < 0.3),
        "missed": np.float32(np.clip(rng.normal(size=(2, 1, 16, 12)), 0, 1)),
    }


KEYPOINTS = {1: (390, 330), 2: (280, 345), 3: (200, 520), 4: (160, 700), 5: (500, 340), 6: (590, 500), 9: (320, 760),
             12: (480, 770)}  # Of a person 768 x 1024; the left wrist, 7, was not found.


def person():
    """A picture [1024, 768, 3], white, its parse map [1024, 768] and keypoints [25, 3]."""
    parse = np.zeros((1024, 768), np.uint8)
    for label, (left, top, right, bottom) in {
        2: (320, 90, 470, 330), 13: (340, 130, 450, 290), 10: (350, 280, 430, 380), 5: (250, 330, 540, 800),
        14: (520, 330, 640, 720), 15: (130, 340, 290, 760), 9: (290, 720, 520, 1000), 16: (300, 980, 380, 1024),
    }.items():  # fmt: skip
        parse[top:bottom, left:right] = label
    keypoints = np.zeros((25, 3), np.float32)
    for number, place in KEYPOINTS.items():
        keypoints[number] = *place, 0.9
    return np.full((1024, 768, 3), 255, np.uint8), parse, keypoints


def digest(value):
    """A few numbers that tell an array: its norm and 200 entries."""
    flat = np.asarray(value, np.float64).ravel()
    return np.concatenate([[np.linalg.norm(flat)], flat[:: max(1, flat.size // 200)][:200]])
