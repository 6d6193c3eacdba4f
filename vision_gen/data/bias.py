"""What biased data sets have in common: something that goes with each label in training, and that a network may learn.

An example is *aligned* where its bias is one that goes with its label, *conflicting* where it is not. Labels of bias
are for figures and pictures alone; nothing is trained on them.
"""

import numpy as np

from vision_gen.data import images, source


def shapes(settings):
    """`colour` [height, width, 3]; `label`, `bias` and `aligned` (1 or 0), int32."""
    number = source.ShapeDtype((), np.dtype(np.int32))
    colour = source.ShapeDtype((*settings.resolution, 3), np.dtype(np.uint8))
    return {"colour": colour, "label": number, "bias": number, "aligned": number}


class Biased(source.Source):
    """A subclass reads images, by `image`.

    Args:
      settings: `data.Settings`.
      classes, biases: names of what labels and biases count.
      label, bias: [examples].
      aligned: [examples] bool.
    """

    def __init__(self, settings, classes, biases, label, bias, aligned):
        self.shapes, self.classes, self.biases = shapes(settings), tuple(classes), tuple(biases)
        self._numbers = {"label": np.int32(label), "bias": np.int32(bias), "aligned": np.int32(aligned)}

    def image(self, index):
        """[height, width, 3] uint8."""
        raise NotImplementedError

    def __len__(self):
        return len(self._numbers["label"])

    def __getitem__(self, index):
        return {"colour": self.image(index)} | {name: numbers[index] for name, numbers in self._numbers.items()}

    def column(self, name):
        return self._numbers[name] if name in self._numbers else super().column(name)


def drawn(label, conflicting):
    """A bias for each example to train on: that of its label's number, but for a share of each label's examples.

    Args:
      label: [examples], from 0 on; there are as many biases as labels.
      conflicting: the share; other biases come about equally often in it.

    Returns:
      [examples] int.
    """
    rng, bias = np.random.default_rng(0), np.array(label)
    count = bias.max() + 1
    for own in range(count):
        members = rng.permutation(np.flatnonzero(label == own))
        members = members[: round(conflicting * len(members))]
        others = rng.permutation(count - 1)[np.arange(len(members)) % (count - 1)]
        bias[members] = (own + 1 + others) % count
    return bias


def each(groups, times):
    """The numbers of groups, all of them so many times, each time in another order: [groups * times] int."""
    return np.random.default_rng(0).permuted(np.tile(np.arange(groups), (times, 1)), axis=1).ravel()


class Files(Biased):
    """Of files, decoded when asked for: the middle of each in the shape of `size`.

    Args:
      settings, classes, biases, label, bias, aligned: as of `Biased`; those that are left out do not count.
      paths: [examples], the files.
      names: [examples], what they are called.

    Raises:
      InputError: a file is broken, and `settings.skip_unreadable` does not leave it out; names it.
    """

    def __init__(self, settings, classes, biases, label, bias, aligned, paths, names):
        whole, self.skipped = images.readable(paths, settings)
        kept = set(whole)
        of = lambda values: [value for value, path in zip(values, paths) if path in kept]
        super().__init__(settings, classes, biases, of(label), of(bias), of(aligned))
        self._settings, self._paths, self._names = settings, whole, of(names)

    def image(self, index):
        return images.fit(images.read(self._paths[index], self._settings.max_pixels), self._settings.size)

    def name(self, index):
        """The file's, from the folder on."""
        return self._names[index]
