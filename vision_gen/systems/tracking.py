"""'Tracking emerges by colorizing videos' (Vondrick et al., ECCV 2018).

A network learns to say where in the frames before each place of a frame takes its colour from. What it learns to point
with follows things as they move, so that masks and points of the first frame can be copied in place of colours.
"""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.data import labels as palettes
from vision_gen.engine.fitting import Fitting
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import segmentation
from vision_gen.nets import layers, tracking
from vision_gen.ops import attention, colour, random, resample
from vision_gen.settings import Count, CountOrNone, Range, Share

ALPHAS = 10, 20, 30, 40, 50  # Percent of a person's size: joints that are found so near count as found.
NEAR = 0.1  # Of the picture's longer side: a point that is found so near counts as found.
REACH = f"how far things move from frame to frame at most, in places of {tracking.STRIDE} pixels; 0: any distance"


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model`; the defaults are the paper's."""

    widths: tuple[int, ...] = (64, 128, 256, 256)  # Of ResNet's four stages.
    head: Count = 256  # Width of the convolutions in space and time.
    features: Count = 64  # Of an embedding.
    clusters: Annotated[int, Range(2, 256)] = 16  # Of colours, by k-means over the training frames.
    clusters_steps: Count = 1000  # Steps in which the clusters are found; then they stay.
    channels: Literal["lightness", "lab"] = "lightness"  # What of a frame the network sees.
    colour_dropout: Share = 0.5  # With "lab": share of training clips that come without their colours (CorrFlow).
    flip: bool = True
    temperature: Annotated[float, Range(1e-4)] = 1.0  # Of pointing, while it learns.
    tracking_temperature: Annotated[float, Range(1e-4)] = 0.5  # Of pointing, while it tracks.
    memory: Count = 3  # Frames before that a frame points into while it tracks; one less than the clips' frames.
    keep_first: bool = False  # The first frame stays in the memory (MAST).
    top: CountOrNone = 0  # While tracking, only so many places count; 0: all.
    reach: CountOrNone = 0  # While tracking, only places so near count, in places of the map; 0: all.


class OneSize(Fitting):
    """Clips at their own size, with a mask of the same."""

    def fit(self, kinds, inputs, options, called=None):
        (height, width), mask = inputs["video"].shape[1:3], inputs["mask"].shape
        if mask != (height, width):
            raise InputError(
                f"{(called or {}).get('mask', 'mask')} has {mask[1]} x {mask[0]} pixels, but the clip {width} x {height}; they "
                "must be of one size"
            )
        return super().fit(kinds, inputs, options, called)


class Clusters(nnx.Module):
    """Centres of the colours of frames, by k-means a batch at a time (Sculley 2010)."""

    def __init__(self, count):
        # Grey, then rings of hues around it, a golden angle apart.
        turn, radius = np.arange(count) * 2.39996, 70 * np.sqrt(np.arange(count) / count)
        start = np.stack([radius * np.cos(turn), radius * np.sin(turn)], -1)
        self.centres = nnx.BatchStat(jnp.asarray(start, jnp.float32))
        self.seen = nnx.BatchStat(jnp.zeros(count))

    def nearest(self, ab):
        """Numbers [...] of the nearest centres of colours [..., 2]."""
        centres = self.centres[...].astype(jnp.float32)
        return jnp.argmin(jnp.sum((ab[..., None, :] - centres) ** 2, -1), -1)

    def update(self, ab, learn):
        """Moves each centre to the mean of what was nearest to it so far, where `learn` is true."""
        mine = jax.nn.one_hot(self.nearest(ab).reshape(-1), len(self.seen[...]))
        count = layers.across_devices(mine.sum(0)) * learn
        total = layers.across_devices(mine.T @ ab.reshape(-1, 2)) * learn
        # A tenth of what was seen is forgotten a batch, or centres would stay near where they began.
        old, seen = self.centres[...], 0.9 * self.seen[...]
        found = (old * seen[:, None] + total) / jnp.maximum(seen + count, 1e-6)[:, None]
        self.centres[...] = jnp.where((learn * count)[:, None] > 0, found, old)
        self.seen[...] = jnp.where(learn, seen + count, self.seen[...])


class Tracking(System):
    """One player, the network that embeds the places of frames."""

    title = "Tracking by colorization"
    Settings = Settings
    players = ("network",)
    needs = {"frames": (None, None, None, 3)}
    columns = ("first", "last", "copied", "tracked", "truth")
    evaluation_batch = 4
    explained = {
        "j": "region similarity J: what is marked and should be, over what is or should be; 1 is perfect",
        "j_copy": "j if the first mask stays where it is",
        "j_colour": "j if places point to those of the same colour, without a network",
        "f": "contour accuracy F of the masks; 1 is perfect",
        "f_copy": "f if the first mask stays where it is",
        "f_colour": "f if places point to those of the same colour",
        "pck": f"share of seen points that are found within {NEAR:.0%} of the picture's longer side",
        "pck_copy": "pck if the points stay where they are",
        "pck_colour": "pck if places point to those of the same colour",
        **{
            f"pck{percent}{way}": f"share of joints that are found within {percent}% of 0.6 of the diagonal of the box of all{text}"
            for percent in ALPHAS
            for way, text in {"": "", "_copy": ", if they stay where they are", "_colour": ", by colours alone"}.items()
        },
        "cross_entropy": "of the colour that is copied to the last frame, in nats; lower is better",
    }
    legends = {
        "samples": "First and last frame of held-out clips; the last with colours copied from the first; the drawings of "
        "the first frame, tracked to the last; where they are."
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        if len(model.widths) != 4:
            raise InputError(f"config.model.widths must be four numbers, got {list(model.widths)}")
        check_sides(experiment.data.resolution)
        channels = 1 if model.channels == "lightness" else 3
        self.network = tracking.Embedding(channels, model.widths, model.head, model.features, rngs=rngs)
        self.clusters = Clusters(model.clusters)
        self.model = nnx.static(model)

    @classmethod
    def check(cls, experiment, source):
        frames = source.shapes["frames"].shape[0]
        if frames < 2:
            raise InputError(f"config.data.frames must be at least 2 to copy colours between them, got {frames}")

    @classmethod
    def units(cls, experiment):
        return "frames", experiment.data.frames

    @classmethod
    def tools(cls, experiment, facts):
        return [
            Tool(
                "track",
                "Follows what is marked in the first frame of a clip.",
                inputs={"video": values.Clip(), "mask": values.Labels()},
                outputs={"masks": values.LabelClip(), "overlay": values.Clip(rate=10)},
                options={"reach": values.Number(0, 10_000, experiment.model.reach, whole=True, doc=REACH)},
                fitting=OneSize(),
                turns="video",
                unit="frame",
                previews=True,
            )
        ]

    def track_begin(self, *, video, mask, reach=None):
        """Nothing is tracked yet.

        Args:
          video: [batch, frames, height, width, 3] in [-1, 1].
          mask: [batch, height, width, labels], of the first frame.
          reach: [1], of this call; `config.model.reach` without.
        """
        reach = jnp.full(1, self.model.reach) if reach is None else reach
        batch, count, height, width = video.shape[:4]
        padded = [(0, -n % tracking.STRIDE) for n in (height, width)]
        wider = lambda x, before: jnp.pad(x, [(0, 0)] * before + padded + [(0, 0)], mode="edge")
        frames = wider(video, 2)
        start = resample.average_pool(wider(mask, 1), [n // tracking.STRIDE for n in frames.shape[2:4]])
        first = jnp.argmax(mask, -1).astype(jnp.uint8)
        return {
            "frames": colour.to_uint8(frames),
            "memory": self.begin(frames[:, 0], start),
            "reach": jnp.broadcast_to(jnp.where(reach > 0, reach, jnp.inf), batch),
            "labels": jnp.zeros((batch, count, height, width), jnp.uint8).at[:, 0].set(first),
            "count": jnp.zeros(batch, jnp.int32),
        }

    def track_advance(self, state, now):
        """One more frame; the first is as it was given."""
        height, width = state["labels"].shape[2:]
        frame = colour.from_uint8(jax.lax.dynamic_index_in_dim(state["frames"], now.step, 1, keepdims=False))

        def follow(state):
            memory, copied = self.advance(state["memory"], frame, reach=state["reach"][:, None, None])
            found = self._labels(copied[:, None], frame.shape[1:3])[:, :, :height, :width].astype(jnp.uint8)
            labels = jax.lax.dynamic_update_slice_in_dim(state["labels"], found, now.step, 1)
            return {**state, "memory": memory, "labels": labels}

        state = jax.lax.cond(now.step > 0, follow, lambda state: state, state)
        return {**state, "count": state["count"] + 1}

    def track_finish(self, state):
        """The labels of all frames, and the clip painted with them."""
        labels = state["labels"]
        height, width = labels.shape[2:]
        painted = _painted(colour.from_uint8(state["frames"][:, :, :height, :width]), labels)
        part = lambda frames: {"frames": frames, "count": state["count"]}
        return {"masks": part(labels), "overlay": part(colour.to_uint8(painted))}

    track_preview = track_finish

    def forward(self, batch, now):
        """`shares` of clusters that are copied to each place of the last frame, and as `target` the one it has."""
        frames = colour.from_uint8(batch["frames"])
        if self.model.flip:
            flipped = random.bernoulli(random.fold(now.keys, 0), 0.5)[:, None, None, None, None]
            frames = jnp.where(flipped, frames[:, :, :, ::-1], frames)
        seen = self._seen(frames, random.fold(now.keys, 1))
        features = self.network(seen, train=True)
        ab = self._colours(frames, features.shape[2:4])
        self.clusters.update(ab, now.step < self.model.clusters_steps)
        return self._copied(features, ab)

    def _copied(self, features, ab):
        number = jax.nn.one_hot(self.clusters.nearest(ab), self.model.clusters)
        return {"shares": self._point(features, number[:, :-1], self.model.temperature), "target": number[:, -1]}

    def network_loss(self, out, batch, now):
        """Equation 3, over clusters."""
        return {"cross_entropy": _cross_entropy(out).mean()}

    def _seen(self, frames, keys=None):
        """What the network sees of frames: L / 50 - 1, and a and b / 110; without colours where `keys` say so."""
        lab = colour.rgb_to_lab((frames + 1) / 2)
        lightness, ab = lab[..., :1] / 50 - 1, lab[..., 1:] / 110
        if self.model.channels == "lightness":
            return lightness
        if keys is not None:
            dropped = random.bernoulli(keys, self.model.colour_dropout)
            ab = ab * ~dropped[:, None, None, None, None]
        return jnp.concatenate([lightness, ab], -1)

    @staticmethod
    def _colours(frames, size):
        """Colours a and b of the places: [batch, frames, *size, 2]."""
        batch, count = frames.shape[:2]
        small = resample.average_pool(frames.reshape(-1, *frames.shape[2:]), size)
        return colour.rgb_to_lab((small + 1) / 2)[..., 1:].reshape(batch, count, *size, 2)

    def _point(self, features, values, temperature, *, top=0, reach=None):
        """Values [batch, frames, height, width, channel] of the frames before, copied to the last."""
        batch, count, height, width, channel = features.shape
        near = None
        if reach is not None:
            rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
            places = jnp.stack([rows, columns], -1).reshape(-1, 2).astype(jnp.float32)
            near = places, jnp.tile(places, (count - 1, 1)), reach
        copied = attention.point(
            features[:, -1].reshape(batch, -1, channel),
            features[:, :-1].reshape(batch, -1, channel),
            values.reshape(batch, (count - 1) * height * width, -1),
            temperature=temperature,
            top=top,
            reach=near,
        )
        return copied.reshape(batch, height, width, -1)

    def begin(self, frame, values):
        """The memory of a clip whose first frame is known, for `advance`.

        Args:
          frame: [batch, height, width, 3] in [-1, 1].
          values: [batch, height / 8, width / 8, channel] of its places.
        """
        repeat = lambda x: jnp.repeat(x[:, None], self.model.memory, 1)
        return repeat(frame), repeat(values)

    def advance(self, memory, frame, embed=None, temperature=None, reach=None):
        """(the memory afterwards, values [batch, height / 8, width / 8, channel] copied to a frame).

        Args:
          memory: as `begin` gives it.
          frame: [batch, height, width, 3] in [-1, 1].
          embed, temperature: in the place of the network and of `config.model.tracking_temperature`.
          reach: [batch, 1, 1] in the place of `config.model.reach`.
        """
        frames, values = memory
        clip = jnp.concatenate([frames, frame[:, None]], 1)
        features = (embed or (lambda clip: self.network(self._seen(clip))))(clip)
        model = self.model
        reach = (model.reach or None) if reach is None else reach
        copied = self._point(
            features, values, temperature or model.tracking_temperature, top=model.top, reach=reach
        )
        kept = int(model.keep_first and model.memory > 1)
        shift = lambda old, new: jnp.concatenate([old[:, :kept], old[:, kept + 1 :], new[:, None]], 1)
        return (shift(frames, frame), shift(values, copied)), copied

    def _propagate(self, frames, values, **more):
        """Values of the first frame's places, in all frames: [batch, frames, height / 8, width / 8, channel]."""
        step = lambda memory, frame: self.advance(memory, frame, **more)
        _, copied = jax.lax.scan(step, self.begin(frames[:, 0], values), jnp.moveaxis(frames[:, 1:], 1, 0))
        return jnp.concatenate([values[:, None], jnp.moveaxis(copied, 0, 1)], 1)

    def _raw(self, clip):
        """Colours of the places in place of embeddings, so that alike ones have the highest product: L, a and b."""
        batch, count, height, width = clip.shape[:4]
        size = height // tracking.STRIDE, width // tracking.STRIDE
        lab = colour.rgb_to_lab((resample.average_pool(clip.reshape(-1, height, width, 3), size) + 1) / 2)
        # The product of these is -|x - y|^2 but for what all places of a frame that points have in common.
        square = jnp.sum(lab**2, -1, keepdims=True)
        one = jnp.ones_like(square)
        asks, answers = (jnp.concatenate(x, -1).reshape(batch, count, *size, 4) for x in ([2 * lab, one], [lab, -square]))
        return jnp.concatenate([answers[:, :-1], asks[:, -1:]], 1)

    def evaluate(self, batch, keys):
        """J, F and points of drawings, or joints of people, tracked from the first frame to each that follows."""
        frames = colour.from_uint8(batch["frames"])
        found = {"cross_entropy": self._held_out_entropy(frames)}
        if "joints" in batch:
            return found | self._of_joints(frames, batch["joints"])
        if "labels" not in batch:
            return found
        labels, points = batch["labels"], batch["points"]
        size = labels.shape[2:]
        map_size = size[0] // tracking.STRIDE, size[1] // tracking.STRIDE
        objects = points.shape[2]
        points = points.reshape(*points.shape[:2], objects * points.shape[3], 3)
        masks = jax.nn.one_hot(labels[:, 0], objects + 1)
        start = jnp.concatenate([resample.average_pool(masks, map_size), self._heat(points[:, 0], size, map_size)], -1)
        found |= self._figures(labels[:, :1], points[:, :1, :, :2], labels, points, objects, "_copy")
        for way, more in {"": {}, "_colour": dict(embed=self._raw, temperature=100.0)}.items():
            copied = self._propagate(frames, start, **more)
            tracked = self._labels(copied[..., : objects + 1], size)
            found |= self._figures(tracked, self._places(copied[..., objects + 1 :], size), labels, points, objects, way)
        return found

    def _of_joints(self, frames, joints):
        """PCK as papers on JHMDB have it, but the mean over clips of each clip's share."""
        size = frames.shape[2:4]
        start = self._heat(joints[:, 0], size, (size[0] // tracking.STRIDE, size[1] // tracking.STRIDE))
        ways = {"": {}, "_colour": dict(embed=self._raw, temperature=100.0)}
        places = {way: self._places(self._propagate(frames, start, **more), size) for way, more in ways.items()}
        places["_copy"] = joints[:, :1, :, :2]
        seen = (joints[..., 2:] > 0) & (joints[:, :1, :, 2:] > 0)
        box = jnp.max(jnp.where(seen, joints[..., :2], -jnp.inf), 2) - jnp.min(jnp.where(seen, joints[..., :2], jnp.inf), 2)
        scale = 0.6 * jnp.linalg.norm(box, axis=-1)[:, 1:, None]
        asked, there = seen[:, 1:, :, 0], joints[:, 1:, :, :2]
        found = {}
        for way, place in places.items():
            off = jnp.linalg.norm(jnp.broadcast_to(place, joints[..., :2].shape)[:, 1:] - there, axis=-1)
            for percent in ALPHAS:
                near = asked & (off <= percent / 100 * scale)
                found[f"pck{percent}{way}"] = near.sum((1, 2)) / asked.sum((1, 2))
        return found

    def _held_out_entropy(self, frames):
        """The loss [batch] of the frames that the memory holds and the next."""
        frames = frames[:, : self.model.memory + 1]
        features = self.network(self._seen(frames))
        return _cross_entropy(self._copied(features, self._colours(frames, features.shape[2:4]))).mean((1, 2))

    @staticmethod
    def _heat(points, size, map_size):
        """One place of the map for each point: [batch, *map_size, points]; none where it is not seen."""
        column, row = (
            jnp.clip(jnp.floor(points[..., i] * map_size[1 - i] / size[1 - i]), 0, map_size[1 - i] - 1) for i in (0, 1)
        )
        place = (row * map_size[1] + column).astype(jnp.int32)
        heat = jax.nn.one_hot(place, map_size[0] * map_size[1], axis=1) * points[:, None, :, 2]
        return heat.reshape(len(points), *map_size, -1)

    @staticmethod
    def _figures(found, places, labels, points, objects, way):
        """Means over the frames after the first, of what is seen in the first.

        Args:
          found, labels: [batch, frames, height, width]; the first may be of one frame, for all.
          places: [batch, frames, things, 2]; `points` [batch, frames, things, 3].
        """
        size = labels.shape[2:]
        found, places = (jnp.broadcast_to(x, like.shape) for x, like in ((found, labels), (places, points[..., :2])))
        mean = lambda x, counts: jnp.sum(jnp.where(counts, x, 0), (1, 2)) / jnp.sum(counts, (1, 2))
        number = jnp.arange(1, objects + 1)
        ours, truth = (jnp.moveaxis(x[:, 1:, ..., None] == number, -1, 2) for x in (found, labels))
        there = jnp.any(labels[:, 0, ..., None] == number, (1, 2))[:, None] & jnp.ones(ours.shape[:3], bool)
        off = jnp.linalg.norm(places[:, 1:] - points[:, 1:, :, :2], axis=-1)
        asked = (points[:, 1:, :, 2] > 0) & (points[:, :1, :, 2] > 0)
        return {
            f"j{way}": mean(segmentation.intersection_over_union(ours, truth), there),
            f"f{way}": mean(segmentation.boundary_f(ours, truth), there),
            f"pck{way}": mean((off <= NEAR * max(size)).astype(jnp.float32), asked),
        }

    @staticmethod
    def _labels(values, size):
        """The likeliest label of every pixel: [batch, frames, *size]."""
        batch, count = values.shape[:2]
        large = resample.resize(values.reshape(-1, *values.shape[2:]), size)
        return jnp.argmax(large, -1).reshape(batch, count, *size)

    @staticmethod
    def _places(heat, size):
        """The hottest place of each point, in pixels: [batch, frames, points, 2]."""
        height, width = heat.shape[2:4]
        place = jnp.argmax(heat.reshape(*heat.shape[:2], height * width, -1), 2)
        return (jnp.stack([place % width, place // width], -1) + 0.5) * jnp.array([size[1] / width, size[0] / height])

    def sample(self, batch, keys):
        """First and last frame, the last in colours copied from the first, and painted with what was tracked."""
        frames = colour.from_uint8(batch["frames"])
        size = frames.shape[2:4]
        map_size = size[0] // tracking.STRIDE, size[1] // tracking.STRIDE
        objects = batch["points"].shape[2] if "labels" in batch else 0
        labels = batch.get("labels", jnp.zeros(frames.shape[:-1], jnp.uint8))
        masks = resample.average_pool(jax.nn.one_hot(labels[:, 0], objects + 1), map_size)
        start = jnp.concatenate([masks, self._colours(frames[:, :1], map_size)[:, 0]], -1)
        last = self._propagate(frames, start)[:, -1:]
        ab = resample.resize(last[:, 0, ..., -2:], size)
        lightness = colour.rgb_to_lab((frames[:, -1] + 1) / 2)[..., :1]
        return {
            "first": _painted(frames[:, 0], labels[:, 0]),
            "last": frames[:, -1],
            "copied": 2 * colour.lab_to_rgb(jnp.concatenate([lightness, ab], -1)) - 1,
            "tracked": _painted(frames[:, -1], self._labels(last[..., : objects + 1], size)[:, 0]),
            "truth": _painted(frames[:, -1], labels[:, -1]),
        }


def check_sides(size, name="config.data.size"):
    """Refuses frames whose sides are no multiples of the network's stride."""
    if any(side % tracking.STRIDE for side in size):
        raise InputError(f"{name} must be multiples of {tracking.STRIDE}, got {list(size)}")


def _painted(image, labels):
    """Images [..., height, width, 3] with their labels in PASCAL VOC's colours, brightened; the ground as it is."""
    colours = colour.from_uint8(jnp.asarray(palettes.PALETTE)[labels])
    return jnp.where((labels > 0)[..., None], 0.4 * image + 0.6 * (0.6 * colours + 0.4), image)


def _cross_entropy(out):
    return -jnp.sum(out["target"] * jnp.log(jnp.maximum(out["shares"], 1e-6)), -1)
