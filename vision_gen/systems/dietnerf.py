"""DietNeRF (Jain, Tancik, Abbeel, ICCV 2021): NeRF from few views, to look like its scene from elsewhere too.

At every k-th step a whole view from a random pose is rendered, small, and compared with a random training view in the
feature space of a frozen network (equation 5); pixels cannot be compared, as there is no picture from there. The term
is the loss of a player that joins the field's (`engine.system.Player.joins`): at such a step the gradient is that of
squared error and semantic consistency together, in one move of Adam, neither multiplied by k nor with corrected betas,
as in the released code. What differs from that code: its first step with the term is the k-th, here it is the first;
a batch mixes rays of all views, and is never cropped to their middles.
"""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.engine.system import Player
from vision_gen.errors import InputError
from vision_gen.nets import clip, features, layers
from vision_gen.ops import chunks, conv, random, rays, resample
from vision_gen.pretrained import clip as pretrained_clip
from vision_gen.pretrained import features as pretrained_features
from vision_gen.pretrained import named
from vision_gen.settings import Count, NotNegative, Range
from vision_gen.systems import nerf

RUN = "run"  # Of `Consistency.encoder`: a CLIP of another run.
Networks = Literal["efficientnet-lite0", "RN50", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336", "run"]
POSE = 100  # First number of the draws of the consistency term; those of rays are lower.


@dataclasses.dataclass(frozen=True)
class Consistency:
    """`config.model` of the semantic consistency; the defaults are the paper's but for the network of features."""

    render: Annotated[int, Range(2)] = 168  # Rays along a side of the view that is compared.
    jitter: bool = True  # These rays are whole pixels apart, from a random corner on; otherwise from edge to edge.
    sampled_targets: bool = False  # Training views are seen by as many pixels as renders; as released, whole.
    theta: tuple[float, float] = (-180.0, 180.0)  # Degrees around z between which cameras of such views stand,
    phi: tuple[float, float] = (-90.0, 0.0)  # degrees from the horizon, above it negative as nerf_synthetic has them,
    radius: tuple[float, float] = (3.5, 4.5)  # and their distance from the origin.
    fine_weight: NotNegative = 0.1  # Of the cosine of the fine colours' features
    coarse_weight: NotNegative = 0.1  # and of the coarse ones'.
    encoder: Networks = "efficientnet-lite0"  # The network: this, one of CLIP's, or the CLIP of a run.
    token: bool = True  # Of CLIP's ViT: its class token before the last normalisation, as released; or the embedding.
    encoder_size: Count = 224  # Pixels of a side that views are resized to before the network sees them.

    def __post_init__(self):
        super().__post_init__()
        for name in ("theta", "phi", "radius"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name} is {low:g} to {high:g}; it must rise")
        if self.radius[0] <= 0:
            raise InputError(f"radius must be above 0, got {self.radius[0]:g}")


@dataclasses.dataclass(frozen=True)
class Settings(Consistency, nerf.Settings):
    """`config.model` of DietNeRF."""


@dataclasses.dataclass(frozen=True)
class HashSettings(Consistency, nerf.HashSettings):
    """`config.model` of DietNeRF with a hash grid."""


def read(path, network):
    """A published file of the network of features; see `pretrained.clip.read` and `pretrained.features.read`."""
    reader = pretrained_clip if isinstance(network, clip.CLIP) else pretrained_features
    return reader.read(path, network)


def dimension(network, *, token):
    """How many numbers a feature of `look` is."""
    if not isinstance(network, clip.CLIP):
        return network.fc.kernel.shape[0]
    of_token = token and isinstance(network.image, clip.VisionTransformer)
    return network.sizes.image_width if of_token else network.sizes.embedding


def look(network, images, *, size, token):
    """Features [batch, dimension], of length 1.

    Args:
      network: a `nets.clip.CLIP`, or a network of `nets.features` that has `features`.
      images: [batch, height, width, 3] in [0, 1]; resized bilinearly as torch does, without a wider kernel.
      size: pixels of a side that they are resized to.
      token: of a ViT of CLIP the class token before it is normalised and projected, instead of the embedding.
    """
    images = resample.resize(images, (size, size), antialias=False) * 2 - 1
    if not isinstance(network, clip.CLIP):
        found = network(images, intermediates=True)[1]["features"]
    elif token and isinstance(network.image, clip.VisionTransformer):
        found = network.image(clip.normalised(images), intermediates=True)[1]["token"]
    else:
        found = network.encode_image(images)
    return clip.unit(found)


def clamped(x):
    """x in [0, 1]; at a bound, where rays that hit nothing are, the gradient is whole as torch's and not halved."""
    return jnp.where(x > 1, 1, jnp.where(x < 0, 0, x))


def consistency(found, target, weight):
    """Equation 5 without its constant: -weight times the cosine of features [dimension] of length 1."""
    return -weight * jnp.vdot(target, found)


def grid(corner, size, count, jitter):
    """Places of the rays of a whole view, in pixels, for each of `count` x `count` numbers: a function of these.

    With `jitter` they are size // count pixels apart, so that a view whose side is no multiple of `count` is not
    covered to its edges: where in what is left they begin, `corner` says. That is the released code's.

    Args:
      corner: [2] in [0, 1), (x, y).
      size: [2], (width, height) of the view.
      count: rays along a side.
      jitter: see above; otherwise from the first pixel's middle to the last one's.
    """
    if jitter:
        stride = jnp.floor(size / count)
        first = corner * (size - stride * count)
    else:
        stride, first = (size - 1) / (count - 1), 0.0
    return lambda index: first + 0.5 + stride * jnp.stack([index % count, index // count], -1)


class Consistent(nerf.RadianceField):
    """What both fields have in common: the second player, which needs no rays of the batch."""

    players = ("field", Player("consistency", ("field",), forward="none", joins="field"))
    readers = {"encoder": read}

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        model, views = experiment.model, experiment.data.views
        if not views:
            raise InputError("config.data.views must number the views to train on, such as 26,86,2,55,75,93,16,73")
        if model.encoder == RUN:
            self.encoder = experiment.network("encoder", rngs=rngs)
            if not isinstance(self.encoder, clip.CLIP):
                raise InputError("config.init.encoder must be the network of a clip.CLIP, as runs/x:network")
        elif model.encoder in clip.PRESETS:
            self.encoder = clip.CLIP(clip.PRESETS[model.encoder], rngs=rngs)
        else:
            self.encoder = features.EfficientNetLite0(rngs=rngs)
        # Of the training views, which `prepare` looks at: their features, and the camera of the first. Until then any.
        count, side = dimension(self.encoder, token=model.token), float(model.render)
        self.targets = nnx.Dict(
            features=nnx.BatchStat(jnp.full((len(views), count), count**-0.5)),
            intrinsics=nnx.BatchStat(jnp.array([side, side, side / 2, side / 2, 0, 0, 0, 0])),
            size=nnx.BatchStat(jnp.full(2, side)),
        )

    @classmethod
    def default_init(cls, settings):
        return {"encoder": settings.encoder} if settings.encoder == "efficientnet-lite0" else {}

    @classmethod
    def check(cls, experiment, source):
        """Whole views of one size around the origin, and a network of features that somebody has trained."""
        pictures, model = source.scene.pictures, experiment.model
        if "encoder" not in experiment.init:
            raise InputError(
                f"config.init.encoder must be a file of {model.encoder}, or a run with config.model.encoder={RUN!r}"
            )
        if pictures.mask is not None:
            raise InputError("config.data.views: views with masks, or of several sizes, cannot be compared as wholes")
        if source.cameras["path"] != "orbit":
            raise InputError("config.data.name: the cameras stand before the scene, but are drawn around the origin")
        side = min(pictures.sizes[0])
        if model.jitter and model.render > side:
            raise InputError(f"config.model.render is {model.render}; it must be at most the views' side, {side}")
        (low, high), place = model.radius, source.scene.pose[:, :, 3]
        distance = float(np.linalg.norm(place, axis=1).mean())
        if not low / 2 <= distance <= 2 * high:
            found = f"the training cameras stand {distance:.3g} from the origin"
            raise InputError(f"config.model.radius is {low:g} to {high:g}, but {found}")

    @classmethod
    def prepare(cls, experiment, source, weights):
        """The targets."""
        system = nnx.eval_shape(lambda: experiment.system(experiment, rngs=nnx.Rngs(0)))
        network, parameters = nnx.split(named.put(system.encoder, weights["encoder"]))
        see = lambda parameters, image: system._look(nnx.merge(network, parameters), image[None])[0]
        see = jax.jit(see, compiler_options=conv.compiler_options())
        scene, model = source.scene, experiment.model
        size = jnp.float32(scene.pictures.sizes[0][::-1])
        views = [system._over_background(view) for view in scene.colour]
        if model.sampled_targets:
            x, y = grid(jnp.full(2, 0.5), size, model.render, model.jitter)(jnp.arange(model.render**2)).astype(int).T
            views = [view[y, x].reshape(model.render, model.render, 3) for view in views]
        found = [see(parameters, view) for view in views]
        return {"targets": {"features": jnp.stack(found), "intrinsics": jnp.asarray(scene.intrinsics[0]), "size": size}}

    def _look(self, network, images):
        return look(network, images, size=self.model.encoder_size, token=self.model.token)

    def consistency_loss(self, out, batch, now):
        """Minus the cosines of a whole view's features, by both fields, and of one training view's, weighted."""
        model = self.model
        key = jax.random.wrap_key_data(layers.all_devices(jax.random.key_data(now.keys))[0])
        draw = lambda i, *arguments: jax.random.uniform(jax.random.fold_in(key, POSE + i), *arguments)
        between = lambda i, bounds: draw(i, (), jnp.float32, *bounds)
        pose = rays.spherical_pose(between(0, model.theta), between(1, model.phi), between(2, model.radius))
        target = self.targets["features"][...]
        target = target[jax.random.randint(jax.random.fold_in(key, POSE + 3), (), 0, len(target))]
        views = self._whole(pose, draw(4, (2,)), now.keys)
        seen = self._look(self.encoder, clamped(views))
        weights = {"fine": model.fine_weight, "coarse": model.coarse_weight}
        return {name: consistency(seen[i], target, weights[name]) for i, name in enumerate(list(weights)[: len(seen)])}

    def _whole(self, pose, corner, keys):
        """A whole view by the fine field and by the coarse one, where there is one: [1 or 2, render, render, 3].

        The batch's devices share its rays. At most `config.model.chunk` of them, on all devices together, are rendered
        at a time, and again for the gradient, so that memory does not grow with the view.
        """
        count, size, intrinsics = self.model.render, self.targets["size"][...], self.targets["intrinsics"][...]
        batch = layers.across_devices_count(len(keys))
        each = -(-(count**2) // batch)
        place = grid(corner, size, count, self.model.jitter)
        number = layers.own_part(jnp.arange(batch * each).reshape(batch, each), len(keys))

        def some(number):
            drawn = random.fold(random.fold(keys, POSE + 5), number[0, 0] % each)  # Others in every chunk.
            found = self.render_rays(place(number), pose[None, None], intrinsics[None, None], drawn)
            return jnp.stack([found[name] for name in ("colour", "coarse") if name in found], -2)

        found = chunks.in_chunks(some, number, max(1, self.model.chunk // batch))
        found = layers.all_devices(found).reshape(batch * each, -1, 3)[: count**2]
        return found.swapaxes(0, 1).reshape(-1, count, count, 3)


class DietNeRF(Consistent, nerf.NeRF):
    """Of MLPs, as published."""

    title = "Scene from few photographs (DietNeRF)"
    Settings = Settings
    readers = nerf.NeRF.readers | Consistent.readers


class DietHashNeRF(Consistent, nerf.HashNeRF):
    """Of a hash grid."""

    title = "Scene from few photographs (DietNeRF, hash grid)"
    Settings = HashSettings
