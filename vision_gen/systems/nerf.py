"""NeRF: scenes as neural radiance fields for view synthesis.

Mildenhall, Srinivasan, Tancik, Barron, Ramamoorthi, Ng, ECCV 2020; with `config.model.encoding =
"hash"` the field is that of Mueller, Evans, Schied, Keller, SIGGRAPH 2022, and an occupancy grid
says where to sample.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict
import numpy as np

from vision_gen import values
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.nets import nerf as net
from vision_gen.ops import chunks, colour, random, rays, volume
from vision_gen.values.cameras import Rig


class NeRF(System):
    """One player, the field, that minimises the squared error of the colours of rays.

    An example to train on is a bundle of rays from all over the scene, one to evaluate on a whole
    view; see `data.scenes`.

    `config.model`: `encoding` ("positional" or "hash"), `white_background`, `near` and `far` in
    depth, `chunk` (rays rendered at a time).
    With "positional": `width`, `coarse_samples`, `fine_samples`, `density_noise` (standard
    deviation added to raw densities in training), `ndc`.
    With "hash": `bound`, `levels`, `features`, `entries`, `coarsest`, `finest`, `width`, `samples`
    a ray, `occupancy_bins` a ray looked up in the occupancy grid, `occupancy_resolution`,
    `occupancy_visited` cells a step, `explore` (share of the samples spread over all bins).
    """

    players = ("field",)
    columns = ("truth", "output", "depth")
    evaluation_batch = 1

    def __init__(self, config, *, rngs):
        model = config.model
        if model.encoding == "positional":
            self.field = nnx.Dict(
                coarse=net.RadianceMLP(width=model.width, rngs=rngs),
                fine=net.RadianceMLP(width=model.width, rngs=rngs),
            )
        elif model.encoding == "hash":
            if model.entries & (model.entries - 1):
                raise InputError(f"config.model.entries must be a power of two, got {model.entries}")
            names = ("bound", "levels", "features", "entries", "coarsest", "finest", "width")
            self.field = net.HashField(**{name: model[name] for name in names}, rngs=rngs)
            self.occupancy = net.OccupancyGrid(
                bound=model.bound,
                resolution=model.occupancy_resolution,
                visited=model.occupancy_visited,
            )
        else:
            raise InputError(
                f'config.model.encoding must be "positional" or "hash", got {model.encoding!r}'
            )
        self.model = nnx.static(FrozenConfigDict(model))

    @classmethod
    def units(cls, config):
        return "rays", config.data.rays

    @classmethod
    def tools(cls, experiment, facts):
        rig = Rig.kept(facts["cameras"])
        picture, clip = {"image": values.Image(), "depth": values.Image(channels=1)}, values.Clip()
        return [
            Tool("render", "Renders a view and its depth, near is light.", {"camera": values.Camera(rig)}, picture),
            Tool(
                "film",
                "Films the scene and its depth along a path of cameras.",
                inputs={"cameras": values.Cameras(rig)},
                outputs={"film": clip, "depth": clip},
                turns="cameras",
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
        model = self.model
        origin, direction = rays.camera_rays(pixel, pose, intrinsics)
        view = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
        draw = lambda i, n: None if keys is None else random.uniform(
            random.fold(keys, i), (*pixel.shape[1:-1], n)
        )
        if model.encoding == "hash":
            return self._render_hash(origin, direction, view, draw)
        if model.ndc:
            origin, direction = rays.ndc(origin, direction, intrinsics)
        return self._render_positional(origin, direction, view, draw, keys)

    def _background(self):
        return (1.0, 1.0, 1.0) if self.model.white_background else None

    def _render_positional(self, origin, direction, view, draw, keys):
        model = self.model
        full = lambda value: jnp.full((*origin.shape[:-1], 1), value)

        def look(field, t, i):
            x = origin[..., None, :] + t[..., None] * direction[..., None, :]
            density, colour = field(x, view[..., None, :])
            if keys is not None and model.density_noise:
                noise = jax.vmap(lambda k: jax.random.normal(k, density.shape[1:]))
                density = density + model.density_noise * noise(random.fold(keys, i))
            return volume.composite(
                density, colour, t, volume.lengths(t), direction, self._background()
            )

        t = volume.stratified(
            full(model.near), full(model.far), model.coarse_samples, draw(0, model.coarse_samples)
        )
        coarse = look(self.field.coarse, t, 1)
        middles = (t[..., 1:] + t[..., :-1]) / 2
        more, _ = volume.importance(
            middles, coarse["weights"][..., 1:-1], model.fine_samples, draw(2, model.fine_samples)
        )
        fine = look(self.field.fine, jnp.sort(jnp.concatenate([t, more], -1), -1), 3)
        return {**fine, "coarse": coarse["colour"]}

    def _render_hash(self, origin, direction, view, draw):
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

    def forward(self, batch, keys):
        """Colours of a bundle's rays, [batch, rays, 3] in [0, 1]."""
        if self.model.encoding == "hash":
            self.occupancy.update(self.field.density)
        found = self.render_rays(batch["pixel"], batch["pose"], batch["intrinsics"], keys)
        return {name: found[name] for name in ("colour", "coarse") if name in found}

    def field_loss(self, out, batch, keys):
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
        return {"image": found["colour"] * 2 - 1, "depth": self._shade(found)}

    def film_begin(self, *, cameras):
        """An empty film; `cameras` as of `render`, poses and intrinsics [batch, frames, ...]."""
        size, height, width = cameras["pixel"].shape[:3]
        frames = cameras["pose"].shape[1]
        empty = lambda channel: jnp.zeros((size, frames, height, width, channel), jnp.uint8)
        return {**cameras, "film": empty(3), "depth": empty(1), "count": jnp.zeros(size, jnp.int32)}

    def film_advance(self, state, now):
        """One more frame."""
        at = lambda name: lax.dynamic_index_in_dim(state[name], now.step, 1, keepdims=False)
        found = self.render(camera=dict(pixel=state["pixel"], pose=at("pose"), intrinsics=at("intrinsics")))
        put = lambda name, frame: lax.dynamic_update_index_in_dim(
            state[name], colour.to_uint8(frame), now.step, 1
        )
        film, depth = put("film", found["image"]), put("depth", found["depth"])
        return {**state, "film": film, "depth": depth, "count": state["count"] + 1}

    def film_finish(self, state):
        """The frames that there are."""
        return {name: {"frames": state[name], "count": state["count"]} for name in ("film", "depth")}

    def _shade(self, found):
        near, far = self.model.near, self.model.far
        shade = 1 - 2 * (found["depth"] - near) / (far - near)
        return jnp.clip(jnp.where(found["opacity"] > 0.5, shade, -1), -1, 1)

    def sample(self, batch, keys):
        found = self.view(batch)
        return {
            "truth": self._over_background(batch["colour"]) * 2 - 1,
            "output": found["colour"] * 2 - 1,
            "depth": self._shade(found),
        }

    def evaluate(self, batch, keys):
        """PSNR and SSIM of views, and PSNR of each view's mean colour taken for it."""
        truth = self._over_background(batch["colour"]) * 2 - 1
        output = self.view(batch)["colour"] * 2 - 1
        flat = jnp.broadcast_to(truth.mean((1, 2), keepdims=True), truth.shape)
        return {
            "psnr": metrics.psnr(output, truth),
            "ssim": metrics.ssim(output, truth),
            "psnr_mean_colour": metrics.psnr(flat, truth),
        }

    @classmethod
    def figures(cls, model, source):
        """`orbit`: a film around the scene, the depth beside the colour."""
        film = model.film(f"{source.cameras['path']}:frames={model.config.data.film_frames}")
        return {"orbit": np.concatenate([film["film"], film["depth"]], 2)}


def _shift(x, by):
    """Moves the last axis, zeros come in."""
    pad = [(0, 0)] * (x.ndim - 1)
    if by > 0:
        return jnp.pad(x[..., :-by], [*pad, (by, 0)])
    return jnp.pad(x[..., -by:], [*pad, (0, -by)])
