"""A data set of crudely drawn people in plain garments, as `mannequins` and `tryon_folder` give them, for tests."""

import numpy as np

from vision_gen.data import source

FIELDS = ("size",)


def shapes(settings):
    pictures = source.images(settings, image=3, cloth=3, cloth_mask=1, parse=1, pose=3)
    return pictures | {"keypoints": source.ShapeDtype((25, 3), np.dtype(np.float32))}


def open(settings, split):
    return People(settings)


def person(number, size):
    """An example: a head, a garment and two bare arms."""
    rng, (height, width) = np.random.default_rng(number), size
    parse, mask = np.zeros((*size, 1), np.uint8), np.zeros((*size, 1), np.uint8)
    at = lambda top, bottom, left, right: np.s_[
        int(top * height) : int(bottom * height), int(left * width) : int(right * width)
    ]
    shift = rng.uniform(-0.05, 0.05)
    for label, (top, bottom, left, right) in {
        13: (0.1, 0.28, 0.4, 0.6), 10: (0.28, 0.34, 0.45, 0.55), 14: (0.34, 0.7, 0.7, 0.8), 15: (0.34, 0.7, 0.2, 0.3),
        9: (0.7, 1, 0.32, 0.68), 5: (0.34, 0.72, 0.3, 0.7),
    }.items():  # fmt: skip
        parse[at(top, bottom, left + shift, right + shift)] = label
    mask[at(0.2, 0.8, 0.2, 0.8)] = 255
    colours = rng.integers(40, 230, (20, 3), dtype=np.uint8)
    keypoints = np.zeros((25, 3), np.float32)
    places = {
        0: (0.5, 0.2), 1: (0.5, 0.34), 2: (0.33, 0.36), 3: (0.25, 0.5), 4: (0.25, 0.68), 5: (0.67, 0.36),
        6: (0.75, 0.5), 7: (0.75, 0.68), 8: (0.5, 0.7), 9: (0.4, 0.7), 12: (0.6, 0.7),
    }  # fmt: skip
    for joint, (x, y) in places.items():
        keypoints[joint] = (x + shift) * width, y * height, 1
    return {
        "image": colours[parse[..., 0]],
        "cloth": np.where(mask > 0, colours[5], np.uint8(255)),
        "cloth_mask": mask,
        "parse": parse,
        "pose": np.repeat(np.uint8(40) * parse % 251, 3, -1),
        "keypoints": keypoints,
    }


class People(source.Source):
    def __init__(self, settings):
        self._size, self.shapes = settings.resolution, shapes(settings)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return person(int(index), self._size)

    def name(self, index):
        return f"person{index}"
