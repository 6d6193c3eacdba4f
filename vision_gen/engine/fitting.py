"""How pictures of any size are brought to what networks take, and results back, with no pixel off.

Convolutional networks run at the size of the picture (`WholePicture`), padded by reflection to sides that they can take
and cut out again; classifiers see a central square (`CentralSquare`). Padded sides are of a few lengths an octave, so
that a thousand sizes of pictures compile a few programs.
"""

import dataclasses
import fractions
import functools
import logging
import math

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image

from vision_gen import values
from vision_gen.data import images
from vision_gen.errors import InputError
from vision_gen.ops import colour, gamut, guided, regions, resample, sketch

log = logging.getLogger("vision_gen")
# Of the three that training draws from; see `ops.augment.sketches`.
XDOG_SIGMA = 0.4
# Pixels of the tiles in which lines are made of a photograph.
LINES_TILE = 1024
# A picture with such shares of paper and colours is taken for a line drawing: all of OpenMoji's, few of its coloured.
LEAST_PAPER, MOST_COLOUR = 0.6, 0.02
PAPER = 230  # Of a picture's channels, the least that white paper has.
# A picture that is computed at a size of its own is at most so many times as long as that.
LONGEST = 16
PICTURES = (values.Image, values.Mask, values.Scribble)


class Fitted:
    """Inputs as a system takes them, and the way back.

    Args:
      parts: arrays by name, for each part of the picture that is computed on its own.
      pictures: function of an input's name that gives it as large as the results that lie on it, uint8.

    Attributes:
      parts: as given.
      progress: of the call, see `tools.Tool.help`; where `Fitting.prepares`, what is prepared is reported to it.
    """

    progress = None

    def __init__(self, parts, pictures=None):
        self.parts, self._pictures = parts, pictures

    def each(self, call):
        """The result for the whole of `call(arrays)` for each part; `call(arrays, method)` is of another method."""
        return call(self.parts[0])

    def option(self, kind, value, name):
        """What a system is given for the value of one of the tool's own options; `name` is for messages."""
        return kind.array(value)

    def output(self, kind, array):
        """The value of a result for the picture as it was given."""
        if getattr(kind, "under", ""):
            array = colour.multiply(array, self.parts[0][kind.under])
        if getattr(kind, "lit", ""):
            array = colour.lit(self.parts[0][kind.lit], array)
        return kind.value(self._coloured(kind, array))

    def _coloured(self, kind, array):
        """A result with the lightness of the picture that it is to have it of."""
        name = getattr(kind, "lightness", "")
        return _with_lightness(array, self._pictures(name)[None]) if name else array


@dataclasses.dataclass(frozen=True)
class Fitting:
    """Values as they are given, pictures at their own size.

    Attributes:
      prepares: the first call may take long, for what serves all that follow.
    """

    prepares = False

    def options(self, inputs):
        """Kinds by name of what can be chosen, for a tool with these inputs."""
        if not any(isinstance(kind, values.Image) and kind.lines for kind in inputs.values()):
            return {}
        doc = "how lines are made of a photograph; auto: by XDoG, if it is one"
        return {"lines": values.Choice(("auto", "given", "xdog", "sobel"), "auto", doc)}

    def fit(self, kinds, inputs, options, called=None):
        """Brings inputs to what the system takes.

        Args:
          kinds, inputs: kinds and checked values by name.
          options: values by name.
          called: {input: how messages call it}, where that is not its name.

        Returns:
          A `Fitted`.

        Raises:
          InputError: pictures do not go together.
        """
        made = lines_of_all(kinds, inputs, options, called)
        parts = [{name: array_of(kind, inputs[name], made[name]) for name, kind in kinds.items()}]
        return Fitted(parts, inputs.__getitem__)


def array_of(kind, value, lines, sigma=XDOG_SIGMA):
    """`kind.array`, of the lines that `lines` makes where it is one of "xdog" and "sobel"; `sigma` is XDoG's."""
    if lines == "given":
        return kind.array(value)
    # The blur of XDoG is a product with matrices of a side's length squared: by tiles, large pictures have room.
    plan = Plan.of(value.shape[:2], stride=1, size=0, tile=LINES_TILE)
    extended = plan.extended(value)
    parts = [{"picture": values.Image().array(extended[rows, columns])} for rows, columns in plan.tiles]
    drawn = _FittedPicture(parts, plan, None, {}).each(lambda arrays: _drawn(arrays["picture"], lines, sigma))
    return np.asarray(drawn)[:, *plan.inner]


@functools.partial(jax.jit, static_argnums=1)
def _drawn(image, lines, sigma):
    """Lines [batch, height, width, 1] of images [..., 3], in [-1, 1]."""
    return sketch.sobel(image) if lines == "sobel" else sketch.xdog(image, jnp.full(len(image), sigma))


def lines_of_all(kinds, inputs, options, called):
    """`lines_of` each input, by name."""
    return {name: lines_of(kind, inputs[name], (called or {}).get(name, name), options) for name, kind in kinds.items()}


def lines_of(kind, value, name, options):
    """How lines are made of an input: "given" (they are not), "xdog" or "sobel"."""
    if not (isinstance(kind, values.Image) and kind.lines):
        return "given"
    if options["lines"] != "auto":
        return options["lines"]
    paper, coloured = looks(value)
    chosen = "given" if paper >= LEAST_PAPER and coloured <= MOST_COLOUR else "xdog"
    log.info(
        "%s: %s (%.0f%% paper, %.0f%% coloured; lines=given|xdog|sobel chooses)",
        name,
        "taken for a line drawing" if chosen == "given" else "taken for a photograph, and made into lines by XDoG",
        100 * paper,
        100 * coloured,
    )
    return chosen


def looks(picture):
    """(share of paper, share of colours) of a picture [height, width, 3] uint8."""
    step = max(1, math.isqrt(picture.shape[0] * picture.shape[1]) // 512)
    some = picture[::step, ::step].astype(np.float32)
    grey = some @ np.float32([0.299, 0.587, 0.114])
    light = max(float(np.percentile(grey, 90)), 150.0)
    return float((grey > 0.85 * light).mean()), float((np.ptp(some, axis=-1) > 48).mean())


@dataclasses.dataclass(frozen=True)
class CentralSquare(Fitting):
    """The central square of every picture, or rectangle, resized as for training and evaluation.

    Attributes:
      size: pixels of the side, or (height, width).
      multiple: other sizes that are chosen must be multiples of it.
    """

    size: int | tuple[int, int]
    multiple: int = 1

    def options(self, inputs):
        doc = "pixels of the shorter side at which it is computed"
        doc += f", a multiple of {self.multiple}" if self.multiple > 1 else ""
        sides = values.Number(self.multiple, 16384, int(np.min(self.size)), whole=True, doc=doc)
        return {**super().options(inputs), "size": sides}

    def fit(self, kinds, inputs, options, called=None):
        size = options["size"]
        if size % self.multiple:
            raise InputError(f"size must be a multiple of {self.multiple}, got {size}")
        sides = tuple(n * size // int(np.min(self.size)) for n in np.broadcast_to(self.size, 2))
        one = lambda kind, value: images.fit(value, sides) if isinstance(kind, values.Image) else value
        cut = lambda kind, value: tuple(one(kind, x) for x in value) if isinstance(value, tuple) else one(kind, value)
        return super().fit(kinds, {name: cut(kind, inputs[name]) for name, kind in kinds.items()}, options, called)


@dataclasses.dataclass(frozen=True)
class AtSize(Fitting):
    """Values of kinds that can be `resized`, such as people and garments, at one size.

    Attributes:
      size: (height, width).
    """

    size: tuple[int, int]

    def fit(self, kinds, inputs, options, called=None):
        call = lambda name: (called or {}).get(name, name)
        inputs = {name: kind.resized(inputs[name], self.size, call(name)) for name, kind in kinds.items()}
        return super().fit(kinds, inputs, options, called)


@dataclasses.dataclass(frozen=True)
class WholePicture(Fitting):
    """Pictures of any size and shape, whole.

    A picture is extended by reflection to sides that the network takes and computed at its own size, or with `size` at
    a smaller or larger one, both sides by one factor; the result is brought to the size of the picture, guided by its
    own lights and darks, and the extension cut off. Pictures that lie on each other (all that are not `apart`) must
    be of one size.

    Attributes:
      stride: sides must be multiples of it.
      size: pixels of the shorter side at which pictures are computed, unless chosen; 0: their own.
      tile: largest side that is computed at once, unless chosen; larger ones in overlapping tiles that are blended. 0:
        all at once, for networks in which every place sees the whole.
      apart: inputs with a size of their own that the results do not lie on, such as references; with a `tile` they are
        made smaller until they fit into one.
      paper: they, images, are laid on white paper of the size of the first that is not; see `on_paper`.
      overview: of this input each tile also gets the whole picture, made smaller until it fits into a tile, as
        `overview`; where there are no tiles there is no such argument.
    """

    stride: int = 1
    size: int = 0
    tile: int = 0
    apart: tuple[str, ...] = ()
    paper: bool = False
    overview: str = ""

    def options(self, inputs):
        doc = "pixels of the shorter side at which it is computed; 0: the picture's own"
        found = {**super().options(inputs), "size": values.Number(0, 16384, self.size, whole=True, doc=doc)}
        if "lines" in found:
            doc = "one colour in each region that lines close, gaps of so many pixels too; 0: as painted"
            found["flat"] = values.Number(0, 100, 0, whole=True, doc=doc)
        if self.tile:
            doc = "larger pictures are computed in tiles of so many pixels"
            found["tile"] = values.Number(2 * self.stride, 16384, self.tile, whole=True, doc=doc)
        return found

    def fit(self, kinds, inputs, options, called=None):
        inputs = dict(inputs)
        alone = lambda name, kind: name in self.apart or isinstance(kind, values.Images)
        together = [name for name, kind in kinds.items() if isinstance(kind, PICTURES) and not alone(name, kind)]
        frame = self._frame(kinds, inputs, together, called or {})
        plan = functools.partial(Plan.of, stride=self.stride, size=options["size"], tile=options.get("tile", 0))
        whole = plan(frame)
        made = lines_of_all(kinds, inputs, options, called)
        fixed, tiled = {}, {}
        for name, kind in kinds.items():
            value = inputs[name]
            if isinstance(kind, PICTURES):
                array = functools.partial(array_of, kind, lines=made[name])
                if name in together:
                    tiled[name] = whole.computed(kind, value), array
                else:
                    fixed[name] = self._apart(kind, value, plan, inputs[together[0]]), array
                if name == self.overview and len(whole.tiles) > 1:
                    fixed["overview"] = _smaller(plan, value.shape[:2]).computed(kind, value), array
            else:
                value = np.float32(whole.inside(value)) if isinstance(kind, values.Points) else value
                fixed[name] = value, kind.array
        fixed = {name: array(value) for name, (value, array) in fixed.items()}
        parts = [
            {**fixed, **{name: array(value[rows, columns]) for name, (value, array) in tiled.items()}}
            for rows, columns in whole.tiles
        ]
        lines = {name: functools.partial(array, value) for name, (value, array) in tiled.items()}
        pictures = lambda name: whole.extended(inputs[name])
        guide = self._guide(kinds, inputs, together, made, whole)

        def place(name, point, number):
            """A point (x, y) of an input, or of one of several pictures, where it lies in what is computed."""
            several = inputs[name] if isinstance(kinds[name], values.Images) else (inputs[name],)
            if number > len(several):
                raise InputError(f"there is no {name} {number}; there are {len(several)}")
            picture = several[number - 1]
            height, width = picture.shape[:2]
            if not (0 <= point[0] <= width and 0 <= point[1] <= height):
                at = f"{point[0]:g},{point[1]:g}"
                raise InputError(f"{at} lies outside {name}, which has {width} x {height} pixels")
            if name in together:
                return whole.inside(point)
            if self.paper:
                return whole.inside(Paper.of(picture, inputs[together[0]]).inside(point))
            return plan(picture.shape[:2]).inside(point)

        flat = None
        if options.get("flat"):
            flat = next(name for name in together if getattr(kinds[name], "lines", False)), options["flat"]
        return _FittedPicture(parts, whole, guide, lines, pictures, place, flat)

    def _apart(self, kind, value, plan, other):
        """A picture that lies on no other as it is computed with, or several."""
        if isinstance(kind, values.Images):
            return tuple(self._apart(values.Image(), one, plan, other) for one in value)
        value = on_paper(value, other) if self.paper else value
        return _smaller(plan, value.shape[:2]).computed(kind, value)

    def _guide(self, kinds, inputs, together, made, whole):
        """Lines at the size of the picture, if there are some and results are brought to it."""
        drawn = [name for name in together if getattr(kinds[name], "lines", False)]
        if not drawn or whole.scale == 1 or made[drawn[0]] == "sobel":
            return None
        # Blurred by as much more as it is larger, the picture gives the lines that were computed with.
        sigma = XDOG_SIGMA * float(whole.scale)
        return array_of(kinds[drawn[0]], whole.extended(inputs[drawn[0]]), made[drawn[0]], sigma)

    def _frame(self, kinds, inputs, together, called):
        """(height, width) of the pictures that lie on each other; strokes are drawn on it."""
        frame = None
        for name in together:
            if isinstance(inputs[name], tuple):
                continue
            size = inputs[name].shape[:2]
            if frame and frame[1] != size:
                raise InputError(
                    f"{called.get(name, name)} has {size[1]} x {size[0]} pixels, but {frame[0]} {frame[1][1]} x "
                    f"{frame[1][0]}; they must be of one size"
                )
            frame = frame or (called.get(name, name), size)
        if frame is None:
            raise InputError(f"strokes need a picture to lie on; give one of {', '.join(together)}")
        for name in together:
            if isinstance(kinds[name], values.Scribble):
                try:
                    inputs[name] = kinds[name].draw(inputs[name], frame[1])
                except InputError as error:
                    raise InputError(f"{called.get(name, name)}: {error}") from error
        return frame[1]


def _smaller(plan, frame):
    """What `plan` makes of a picture of `frame` = (height, width), but in one tile, made smaller to fit into that."""
    found = plan(frame)
    if len(found.tiles) > 1:
        short = found.tile * min(frame) // max(frame)
        found = plan(frame, size=max(found.stride, short // found.stride * found.stride))
    return dataclasses.replace(found, tile=0)


def on_paper(picture, other):
    """What is drawn in a picture, on white paper of the size of another and over what is drawn there.

    Args:
      picture, other: [height, width, 3] uint8; of each, what is drawn is the box outside which all is white.

    Returns:
      [height, width, 3] uint8 of the other's size. What is drawn keeps its ratio and is at least a third as large as the
      paper allows.
    """
    place = Paper.of(picture, other)
    height, width = place.size
    found = PIL.Image.fromarray(picture[place.cut]).resize((width, height), PIL.Image.Resampling.LANCZOS)
    paper = np.full(other.shape, 255, np.uint8)
    paper[place.top : place.top + height, place.left : place.left + width] = found
    return paper


@dataclasses.dataclass(frozen=True)
class Paper:
    """Where `on_paper` lays a picture.

    Attributes:
      cut: (rows, columns) as slices of the picture, what is drawn there.
      size: (height, width) of it on the paper.
      top, left: of its corner there.
    """

    cut: tuple[slice, slice]
    size: tuple[int, int]
    top: int
    left: int

    @classmethod
    def of(cls, picture, other):
        """For the arguments of `on_paper`."""
        inside, place, size = drawn(picture), drawn(other), np.array(other.shape[:2])
        lengths = [part.stop - part.start for part in inside]
        fits = lambda sides: min(n / m for n, m in zip(sides, lengths))
        scale = max(fits([part.stop - part.start for part in place]), fits(size) / 3)
        sides = np.maximum(1, np.round(np.multiply(lengths, scale))).astype(int)
        centre = [part.start + part.stop for part in place]
        top, left = np.clip((centre - sides) // 2, 0, size - sides).tolist()
        return cls(inside, tuple(sides.tolist()), top, left)

    def inside(self, point):
        """A place (x, y) of the picture on the paper; beside what is drawn, at its edge."""
        (rows, columns), (height, width) = self.cut, self.size
        along = lambda at, part, length: np.clip((at - part.start) / (part.stop - part.start), 0, 1) * length
        return self.left + along(point[0], columns, width), self.top + along(point[1], rows, height)


def drawn(picture):
    """(rows, columns) as slices of a picture [height, width, 3] uint8 outside which all is white; all of an empty one."""
    inked = picture.min(-1) < PAPER
    along = lambda marks: np.flatnonzero(marks) if marks.any() else np.arange(len(marks))
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in (along(inked.any(1)), along(inked.any(0))))


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where a picture lies in what is computed.

    Attributes:
      size: (height, width) of the picture.
      scale: pixels of the picture along a pixel that is computed.
      canvas: (height, width) that are computed.
      tile: largest side that is computed at once; 0: all.
      stride: tiles begin at multiples of it.
    """

    size: tuple[int, int]
    scale: fractions.Fraction
    canvas: tuple[int, int]
    tile: int
    stride: int

    @classmethod
    def of(cls, frame, *, stride, size, tile):
        """For a picture of `frame` = (height, width); the rest as of `WholePicture`."""
        scale = fractions.Fraction(1)
        if size:
            scale = _rounded_up(fractions.Fraction(max(min(frame), -(-max(frame) // LONGEST)), size))
        # Both the canvas and what it covers of the picture must be whole pixels.
        unit = math.lcm(stride, scale.denominator)
        tile = tile // stride * stride
        canvas = tuple(_bucket(math.ceil(n / scale), unit, tile) for n in frame)
        return cls(tuple(frame), scale, canvas, tile, stride)

    @property
    def full(self):
        """(height, width) that the canvas covers, in pixels of the picture."""
        return tuple(int(n * self.scale) for n in self.canvas)

    @property
    def offset(self):
        """Rows and columns that are added before the picture."""
        return tuple((n - m) // 2 for n, m in zip(self.full, self.size))

    def extended(self, picture):
        """A picture extended by reflection to `full`."""
        padding = [(o, n - m - o) for o, n, m in zip(self.offset, self.full, self.size)]
        return np.pad(picture, [*padding, *[(0, 0)] * (picture.ndim - 2)], mode="reflect")

    def computed(self, kind, picture):
        """A picture as it is computed with: extended, and resized if it is not computed at its own size."""
        picture = self.extended(picture)
        if self.scale == 1:
            return picture
        if isinstance(kind, values.Scribble):
            return _hints_at(picture, self.canvas)
        method = PIL.Image.Resampling.LANCZOS if isinstance(kind, values.Image) else PIL.Image.Resampling.NEAREST
        return np.asarray(PIL.Image.fromarray(picture).resize(self.canvas[::-1], method))

    def inside(self, points):
        """Places (x, y) of the picture on the canvas."""
        return (np.asarray(points) + self.offset[::-1]) / float(self.scale)

    def outside(self, points):
        """The inverse of `inside`."""
        return np.asarray(points) * float(self.scale) - self.offset[::-1]

    @property
    def inner(self):
        """(rows, columns) of `full` in which the picture lies, as slices."""
        return tuple(slice(o, o + n) for o, n in zip(self.offset, self.size))

    @functools.cached_property
    def tiles(self):
        """(rows, columns) as slices of the canvas, tile by tile."""
        rows, columns = (self._along(n) for n in self.canvas)
        return [(row, column) for row in rows for column in columns]

    def _along(self, length):
        if not self.tile or length <= self.tile:
            return [slice(0, length)]
        starts = [*range(0, length - self.tile, self.tile - self.overlap), length - self.tile]
        return [slice(start, start + self.tile) for start in starts]

    @property
    def overlap(self):
        """Pixels that neighbouring tiles share, at least."""
        return self.stride * max(1, round(self.tile / 8 / self.stride))

    def weight(self, rows, columns):
        """[height, width, 1] of a tile: it fades towards its edges, where others take over."""

        def along(part):
            n = part.stop - part.start
            distance = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
            return np.minimum(distance / max(self.overlap, 1), 1)

        return np.float32(along(rows)[:, None, None] * along(columns)[None, :, None])


class _FittedPicture(Fitted):
    """Parts are tiles of a canvas, on which the results lie.

    Args:
      parts: as of `Fitted`.
      plan: a `Plan`.
      guide: lines at the size of the picture, where results are brought up to it along them.
      lines: {input: function that gives its array on the whole canvas}.
      pictures: as of `Fitted`.
      place: function (input, (x, y), number) that gives where a place of an input, or of one of several pictures, lies
        in what is computed.
      flat: (input, gap): regions of results that are closed by the lines of the input, see `ops.regions.flat`, get one
        colour each; None: they do not.

    Attributes:
      place: as given.
    """

    def __init__(self, parts, plan, guide, lines, pictures=None, place=None, flat=None):
        super().__init__(parts, pictures)
        self._plan, self._guide, self._lines, self._flat = plan, guide, lines, flat
        self.place = place

    def option(self, kind, value, name):
        if not isinstance(kind, values.Ties):
            return kind.array(value)
        found = []
        for number, (*places, which) in enumerate(value, 1):
            try:
                first, second = self.place(kind.first, places[:2], 1), self.place(kind.second, places[2:], int(which))
                found += [*first, *second, which]
            except InputError as error:
                raise InputError(f"{name}: tie {number} of {len(value)}: {error}") from error
        return kind.array(found)

    def each(self, call):
        if len(self.parts) == 1:
            return call(self.parts[0])
        total, weights = None, np.zeros((*self._plan.canvas, 1), np.float32)
        for arrays, (rows, columns) in zip(self.parts, self._plan.tiles):
            weight = self._plan.weight(rows, columns)
            weights[rows, columns] += weight
            found, structure = jax.tree.flatten(jax.device_get(call(arrays)))
            if total is None:
                total = [np.zeros((1, *self._plan.canvas, x.shape[-1]), np.float32) for x in found]
            for whole, part in zip(total, found, strict=True):
                whole[:, rows, columns] += part * weight
        return jax.tree.unflatten(structure, [whole / weights for whole in total])

    def output(self, kind, array):
        if isinstance(kind, values.Points):
            return np.float32(self._plan.outside(kind.value(array)))
        if not isinstance(kind, PICTURES):
            return kind.value(array)
        guide = self._guide if isinstance(kind, values.Image) and kind.channels == 3 else None
        under = getattr(kind, "under", "")
        if under and guide is None:
            array = colour.multiply(array, self._lines[under]())
        if self._plan.scale != 1:
            array = _resized(array, guide, self._plan.full, bool(under and guide is not None))
        found = kind.value(self._coloured(kind, array))[self._plan.inner]
        if self._flat is None or not isinstance(kind, values.Image) or kind.channels != 3:
            return found
        name, gap = self._flat
        lines = resample.resize(self._lines[name](), self._plan.full) if guide is None else guide
        return regions.flat(found, np.asarray(lines)[0, ..., 0][self._plan.inner], gap)


@jax.jit
def _with_lightness(array, picture):
    """What `values.Image.lightness` says, in [-1, 1], of an array [..., 2 or 3] over a picture [..., 3] uint8."""
    picture = colour.from_uint8(picture)
    ab, share = array[..., :2] * gamut.REACH, array[..., 2:]
    if not share.shape[-1]:
        return colour.with_lightness_of(picture, ab)
    ab = share * ab + (1 - share) * colour.lightness_and_ab(picture)[1]
    return jnp.where(share > 0, colour.with_lightness_of(picture, ab), picture)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _resized(array, lines, size, layer):
    """Results [1, height, width, channel] at `size`, colours brought up along lines [1, *size, 1] if there are some.

    `layer`: the lines are to be multiplied over them.
    """
    if lines is None or array.shape[1] > size[0]:
        array = resample.resize(array, size)
    else:
        array = (guided.layer if layer else guided.upsample)(array, lines)
    return colour.multiply(array, lines) if layer else array


def _hints_at(picture, size):
    """Colour hints, RGBA uint8, at another size: a hint that is smaller than a pixel there is still one.

    Colours between a hint and nothing would be neither: they are means of hints alone.
    """
    there = np.float32(picture[..., 3:] >= 128)
    channels = np.moveaxis(np.concatenate([picture[..., :3] * there, there], -1), -1, 0)
    box = PIL.Image.Resampling.BOX
    resized = [np.asarray(PIL.Image.fromarray(np.float32(x)).resize(size[::-1], box)) for x in channels]
    *colours, there = resized
    found = np.stack([*(x / np.maximum(there, 1e-6) for x in colours), 255.0 * (there > 1e-3)], -1)
    return np.uint8(np.round(np.clip(found, 0, 255)))


def _rounded_up(ratio):
    """The next of eight numbers an octave, so that few pairs of sizes come about."""
    octave = fractions.Fraction(2) ** (math.frexp(float(ratio))[1] - 1)
    return math.ceil(ratio / octave * 8) * octave / 8


def _bucket(length, unit, tile):
    """The next multiple of `unit` that is one of four an octave; where tiles are used, the next multiple."""
    step = unit
    if not tile or length <= tile:
        step *= max(1, round(2 ** (length.bit_length() - 1) / 4 / unit))
    found = -(-length // step) * step
    return min(found, -(-length // unit) * unit if tile and found > tile >= length else found)
