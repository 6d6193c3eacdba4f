"""NeRF: scenes as neural radiance fields for view synthesis.

`NeRF` is that of Mildenhall, Srinivasan, Tancik, Barron, Ramamoorthi, Ng, ECCV 2020; the field of `HashNeRF` that of Mueller,
Evans, Schied, Keller, SIGGRAPH 2022, and an occupancy grid says where to sample.
"""

import dataclasses
import functools
from typing import Annotated

from flax import nnx
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.metrics import masked
from vision_gen.nets import nerf as net
from vision_gen.ops import chunks, colour, random, rays, volume
from vision_gen.pretrained import nerf as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Share
from vision_gen.values.cameras import Rig


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of NeRF; the defaults are the paper's."""

    white_background: bool = True  # Of what rays see that hit nothing; otherwise black.
    near: NotNegative = 2.0  # Distance from the camera from which rays are sampled,
    far: NotNegative = 6.0  # and to which: the scene must lie between.
    chunk: Count = 4096  # Rays of whole views that are rendered at a time; less takes less memory.
    width: Annotated[int, Range(2)] = 256  # Units of a layer of the MLPs.
    position_octaves: Count = 10  # Of the encoding of positions; fewer make a smoother scene.
    directions: bool = True  # Colours depend on where they are seen from.
    coarse_samples: Count = 64  # Places along a ray, spread evenly,
    fine_samples: CountOrNone = 128  # and further ones where the first found something; 0: none, nor a fine MLP.
    density_noise: NotNegative = 0.0  # In training, noise on densities of this deviation: fewer floating specks.
    ndc: bool = False  # Normalised device coordinates, for captures that face forward.

    def __post_init__(self):
        _check_depths(self)


@dataclasses.dataclass(frozen=True)
class HashSettings:
    """`config.model` of NeRF with a hash grid; the grid's defaults are the paper's."""

    white_background: bool = True  # Of what rays see that hit nothing; otherwise black.
    near: NotNegative = 2.0  # Distance from the camera from which rays are sampled,
    far: NotNegative = 6.0  # and to which: the scene must lie between.
    chunk: Count = 4096  # Rays of whole views that are rendered at a time; less takes less memory.
    bound: Annotated[float, Range(1e-3)] = 1.5  # The grids cover [-bound, bound]^3; the scene must lie within.
    levels: Count = 16  # Grids of rising resolution.
    features: Count = 2  # Numbers at a corner of a cell.
    entries: Count = 2**19  # Corners that a grid has room for, a power of two; more hold more detail.
    coarsest: Count = 16  # Cells along a side of the first grid,
    finest: Count = 2048  # and of the last.
    width: Count = 64  # Units of a layer of the MLPs.
    samples: Count = 64  # Places along a ray where the network is asked.
    occupancy_bins: Count = 128  # Parts of a ray, each left out where the occupancy grid is empty.
    occupancy_resolution: Count = 64  # Cells along a side of that grid.
    occupancy_visited: Count = 8192  # Cells of it that are brought up to date in a step.
    explore: Share = 0.05  # Share of the samples that may fall where it is empty.

    def __post_init__(self):
        _check_depths(self)
        if self.entries & (self.entries - 1):
            raise InputError(f"entries must be a power of two, got {self.entries}")
        if self.coarsest > self.finest:
            raise InputError(f"coarsest is {self.coarsest}; it must be at most finest, {self.finest}")


def _check_depths(model):
    if model.near >= model.far:
        raise InputError(f"near is {model.near:g}; it must be below far, {model.far:g}")


class RadianceField(System):
    """One player, the field, that minimises the squared error of the colours of rays.

    An example to train on is a bundle of rays from all over the scene, one to evaluate on a whole
    view; see `data.scene`. Subclasses have `_march`.
    """

    players = ("field",)
    needs = {"pixel": (None, 2), "pose": (None, 3, 4), "intrinsics": (None, 8), "colour": (None, 4)}
    columns = ("truth", "output", "depth")
    explained = {"psnr_mean_colour": "psnr of each view's mean colour taken for it"}
    legends = {
        "samples": "Held-out views; depth from near (yellow) to far (violet), grey where there is nothing.",
        "orbit": "Around the scene, and its depth.",
    }
    evaluation_batch = 1

    @classmethod
    def units(cls, experiment):
        return "rays", experiment.data.rays

    @classmethod
    def tools(cls, experiment, facts):
        rig = Rig.kept(facts["cameras"])
        picture, clip = {"image": values.Image(), "depth": values.Image()}, values.Clip()
        return [
            Tool(
                "render",
                "Renders a view and its depth, from near (yellow) to far (violet).",
                inputs={"camera": values.Camera(rig)},
                outputs=picture,
            ),
            Tool(
                "film",
                "Films the scene and its depth along a path of cameras.",
                inputs={"cameras": values.Cameras(rig)},
                outputs={"film": clip, "depth": clip},
                turns="cameras",
                unit="view",
            ),
        ]

    def render_rays(self, pixel, pose, intrinsics, keys=None):
        """Rays through pixels.

        Args:
          pixel: [batch, rays, 2]; see `ops.rays.camera_rays`.
          pose: [batch, rays, 3, 4], or one a batch [batch, 1, 3, 4].
          intrinsics: [batch, rays, 8] or [batch, 1, 8].
          keys: [batch], for the random places of samples in training; without it, the middles.

        Returns:
          What `volume.composite` gives, for the fine network; `coarse`, the colours of the coarse
          one, where there is one.
        """
        origin, direction = rays.camera_rays(pixel, pose, intrinsics)
        view = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
        draw = lambda i, n: None if keys is None else random.uniform(
            random.fold(keys, i), (*pixel.shape[1:-1], n)
        )
        return self._march(origin, direction, view, intrinsics, draw, keys)

    def _march(self, origin, direction, view, intrinsics, draw, keys):
        """`render_rays` of rays [batch, rays, 3]; `draw(i, n)` are the i-th draws of n a ray, or None."""
        raise NotImplementedError

    def _background(self):
        return (1.0, 1.0, 1.0) if self.model.white_background else None

    def forward(self, batch, now):
        """Colours of a bundle's rays, [batch, rays, 3] in [0, 1]."""
        found = self.render_rays(batch["pixel"], batch["pose"], batch["intrinsics"], now.keys)
        return {name: found[name] for name in ("colour", "coarse") if name in found}

    def field_loss(self, out, batch, now):
        """Equation 6: the squared error of the fine and of the coarse colours."""
        truth = self._over_background(batch["colour"])
        error = lambda colour: jnp.mean((colour - truth) ** 2)
        terms = {"fine": error(out["colour"])}
        if "coarse" in out:
            terms["coarse"] = error(out["coarse"])
        return terms

    def _over_background(self, colour):
        """[..., 4] uint8 over the background: [..., 3] in [0, 1]."""
        colour = colour.astype(jnp.float32) / 255
        opacity = colour[..., 3:]
        return colour[..., :3] * opacity + (1 - opacity) * float(self.model.white_background)

    def view(self, batch, keys=None):
        """Renders the whole views of a batch: `colour`, of which only the size counts, `pose`, `intrinsics`."""
        size, height, width = batch["colour"].shape[:3]
        pixel = jnp.stack(jnp.meshgrid(jnp.arange(width), jnp.arange(height)), -1) + 0.5
        pixel = jnp.broadcast_to(pixel, (size, height, width, 2))
        return self._render(pixel, batch["pose"], batch["intrinsics"])

    def _render(self, pixel, pose, intrinsics):
        """Renders whole views.

        Memory: that of `config.model.chunk` rays, and the images.

        Args:
          pixel: [batch, height, width, 2].
          pose: [batch, 3, 4].
          intrinsics: [batch, 8].

        Returns:
          dict of `colour` [batch, height, width, 3] and `depth` and `opacity` [..., 1].
        """
        size, height, width = pixel.shape[:3]
        pixel = pixel.reshape(size, height * width, 2)

        def some(pixel):
            found = self.render_rays(pixel, pose[:, None], intrinsics[:, None])
            return jnp.concatenate(
                [found["colour"], found["depth"][..., None], found["opacity"][..., None]], -1
            )

        out = chunks.in_chunks(some, pixel, self.model.chunk).reshape(size, height, width, 5)
        return {"colour": out[..., :3], "depth": out[..., 3:4], "opacity": out[..., 4:]}

    def render(self, *, camera):
        """The view of a camera, `image` [batch, height, width, 3] and `depth` [..., 1], in [-1, 1].

        Args:
          camera: dict of the arguments of `_render`.
        """
        found = self._render(**camera)
        return {"image": found["colour"] * 2 - 1, "depth": colour.of_depth(_seen_depth(found))}

    def film_begin(self, *, cameras):
        """An empty film; `cameras` as of `render`, poses and intrinsics [batch, frames, ...]."""
        size, height, width = cameras["pixel"].shape[:3]
        frames = cameras["pose"].shape[1]
        film = jnp.zeros((size, frames, height, width, 3), jnp.uint8)
        # Its range is known at the end alone.
        depth = jnp.full((size, frames, height, width, 1), jnp.nan, jnp.float16)
        return {**cameras, "film": film, "depth": depth, "count": jnp.zeros(size, jnp.int32)}

    def film_advance(self, state, now):
        """One more frame."""
        at = lambda name: lax.dynamic_index_in_dim(state[name], now.step, 1, keepdims=False)
        found = self._render(state["pixel"], at("pose"), at("intrinsics"))
        put = lambda name, frame: lax.dynamic_update_index_in_dim(
            state[name], frame.astype(state[name].dtype), now.step, 1
        )
        film, depth = put("film", colour.to_uint8(found["colour"] * 2 - 1)), put("depth", _seen_depth(found))
        return {**state, "film": film, "depth": depth, "count": state["count"] + 1}

    def film_finish(self, state):
        """The frames that there are; one range of depths in all."""
        frames = {"film": state["film"], "depth": colour.to_uint8(colour.of_depth(state["depth"]))}
        return {name: {"frames": value, "count": state["count"]} for name, value in frames.items()}

    def sample(self, batch, keys):
        found = self.view(batch)
        return {
            "truth": self._over_background(batch["colour"]) * 2 - 1,
            "output": found["colour"] * 2 - 1,
            "depth": colour.of_depth(_seen_depth(found)),
        }

    def evaluate(self, batch, keys):
        """PSNR and SSIM of views, and PSNR of each view's mean colour taken for it; of a `mask`, what it leaves."""
        truth = self._over_background(batch["colour"]) * 2 - 1
        output = self.view(batch)["colour"] * 2 - 1
        mask, psnr, ssim = batch.get("mask"), metrics.psnr, metrics.ssim
        if mask is not None:
            psnr, ssim = (functools.partial(metric, mask=mask) for metric in (masked.psnr, masked.ssim))
        flat = jnp.broadcast_to(truth.mean((1, 2), keepdims=True, where=mask), truth.shape)
        return {
            "psnr": psnr(output, truth),
            "ssim": ssim(output, truth),
            "psnr_mean_colour": psnr(flat, truth),
        }

    @classmethod
    def figures(cls, model, source, values):
        """`orbit`: a film around the scene, the depth beside the colour."""
        film = model.film(f"{source.cameras['path']}:frames={model.config.data.film_frames}")
        return {"orbit": np.concatenate([film["film"], film["depth"]], 2)}


class NeRF(RadianceField):
    """A coarse and a fine MLP of encoded positions, or the coarse one alone, whose loss then is called "fine"."""

    title = "Scene from photographs (NeRF)"
    Settings = Settings
    readers = {"field": pretrained.read}
    writers = {"field": pretrained.WRITERS}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        names = ("width", "position_octaves", "directions")
        mlp = lambda: net.RadianceMLP(**{name: getattr(model, name) for name in names}, rngs=rngs)
        self.field = nnx.Dict({part: mlp() for part in ("coarse", *(("fine",) if model.fine_samples else ()))})
        self.model = nnx.static(model)

    @classmethod
    def migrate(cls, record):
        model = dict(record["model"])
        system = "nerf.HashNeRF" if model.pop("encoding") == "hash" else record["system"]
        return {**record, "system": system, "model": model}

    def _march(self, origin, direction, view, intrinsics, draw, keys):
        model = self.model
        if model.ndc:
            origin, direction = rays.ndc(origin, direction, intrinsics)
        full = lambda value: jnp.full((*origin.shape[:-1], 1), value)

        def look(field, t, i):
            x = origin[..., None, :] + t[..., None] * direction[..., None, :]
            density, colour = field(x, view[..., None, :])
            if keys is not None and model.density_noise:
                density = density + model.density_noise * random.normal(random.fold(keys, i), density.shape[1:])
            return volume.composite(
                density, colour, t, volume.lengths(t), direction, self._background()
            )

        t = volume.stratified(
            full(model.near), full(model.far), model.coarse_samples, draw(0, model.coarse_samples)
        )
        coarse = look(self.field.coarse, t, 1)
        if not model.fine_samples:
            return coarse
        middles = (t[..., 1:] + t[..., :-1]) / 2
        more, _ = volume.importance(
            middles, coarse["weights"][..., 1:-1], model.fine_samples, draw(2, model.fine_samples)
        )
        fine = look(self.field.fine, jnp.sort(jnp.concatenate([t, more], -1), -1), 3)
        return {**fine, "coarse": coarse["colour"]}


class HashNeRF(RadianceField):
    """Small MLPs of features from a multi-resolution hash grid."""

    title = "Scene from photographs (NeRF, hash grid)"
    Settings = HashSettings

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        names = ("bound", "levels", "features", "entries", "coarsest", "finest", "width")
        self.field = net.HashField(**{name: getattr(model, name) for name in names}, rngs=rngs)
        self.occupancy = net.OccupancyGrid(
            bound=model.bound,
            resolution=model.occupancy_resolution,
            visited=model.occupancy_visited,
        )
        self.model = nnx.static(model)

    def forward(self, batch, now):
        self.occupancy.update(self.field.density)
        return super().forward(batch, now)

    def _march(self, origin, direction, view, intrinsics, draw, keys):
        model = self.model
        near, far = rays.through_box(
            origin, direction, -model.bound, model.bound, model.near, model.far
        )
        bins = model.occupancy_bins
        edges = near + (far - near) * jnp.linspace(0, 1, bins + 1)
        middles = (edges[..., 1:] + edges[..., :-1]) / 2
        at = lambda t: origin[..., None, :] + t[..., None] * direction[..., None, :]
        width = jnp.diff(edges)
        # The grid holds maxima, and a ray may pass an occupied cell by: a bin hides at most a
        # quarter of what lies behind it, so that there are samples behind as well.
        norm = jnp.linalg.norm(direction, axis=-1, keepdims=True)
        density = jnp.minimum(self.occupancy(at(middles)), 0.29 / jnp.maximum(width * norm, 1e-9))
        weights = volume.composite(density, None, middles, width, direction)["weights"]
        # A sample of every bin's neighbourhood: the grid's cells are no finer than the bins.
        weights = jnp.maximum(weights, jnp.maximum(_shift(weights, 1), _shift(weights, -1)))
        weights += (model.explore * weights.sum(-1, keepdims=True) + 1e-6) / bins
        t, length = volume.importance(edges, weights, model.samples, draw(0, model.samples))
        x = at(t)
        density, colour = self.field(x, view[..., None, :])
        return volume.composite(density, colour, t, length, direction, self._background())


def _seen_depth(found):
    """Depths of what is opaque, NaN elsewhere."""
    return jnp.where(found["opacity"] > 0.5, found["depth"], jnp.nan)


def _shift(x, by):
    """Moves the last axis, zeros come in."""
    pad = [(0, 0)] * (x.ndim - 1)
    if by > 0:
        return jnp.pad(x[..., :-by], [*pad, (by, 0)])
    return jnp.pad(x[..., -by:], [*pad, (0, -by)])
