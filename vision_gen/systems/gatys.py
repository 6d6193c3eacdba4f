"""Style transfer by optimisation: a picture is moved until a network finds one's content and another's style in it.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. Nothing is trained. The
losses are equations 1 to 7; the sum of squares of each layer is taken relative to that of its target, so that weights
mean the same to every network and size. `variation` is that of Johnson's code: neighbours that differ.
"""

import dataclasses
import functools
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp
import optax

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.nets import features
from vision_gen.ops import colour, losses, random
from vision_gen.pretrained import features as pretrained
from vision_gen.systems import restyling

LOOKS = {
    "efficientnet-lite0": restyling.Looks(
        features.EfficientNetLite0,
        ("stem", "expand1", "expand2", "expand4", "expand6"),
        "expand6",
        stride=8,
        enlarge=2,
    ),
    "vgg19": restyling.Looks(
        functools.partial(features.VGG, 19, classes=0, average=True),
        tuple(f"relu{block}_1" for block in range(1, 6)),
        "relu4_2",
        stride=8,
    ),
}


def lbfgs():
    """L-BFGS without a search along the line, as Johnson's and the authors' code have it.

    Where the loss does not bend upwards along the last move, what is remembered would point uphill; it is forgotten.
    """
    plain = optax.scale_by_lbfgs()

    def update(slope, state, image):
        bends = jnp.vdot(slope - state.updates, image - state.params) > 0
        state = jax.tree.map(lambda old, new: jnp.where(bends, old, new), state, plain.init(image))
        return plain.update(slope, state, image)

    return optax.chain(optax.GradientTransformation(plain.init, update), optax.scale(-1))


OPTIMIZERS = {"lbfgs": lbfgs(), "adam": optax.adam(0.02)}
SIZE = 256  # Pixels of the shorter side, unless chosen.
NOISE = 0.3  # Deviation of the picture that starts as noise.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of style transfer by optimisation."""

    network: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"  # That looks; paper: "vgg19".


class Gatys(System):
    """A network that looks; `restyle` moves a picture."""

    title = "Style transfer by optimisation (Gatys et al.)"
    Settings = Settings
    readers = {"network": pretrained.read}

    def __init__(self, experiment, *, rngs):
        looks = LOOKS[experiment.model.network]
        self.looks = nnx.static(looks)
        self.network = looks.network(rngs=rngs)

    @classmethod
    def default_init(cls, settings):
        return {"network": settings.network}

    @classmethod
    def tools(cls, experiment, facts):
        fitting = WholePicture(stride=LOOKS[experiment.model.network].stride, size=SIZE, apart=("style",))
        weight = lambda default, doc: values.Number(0, 1e6, default, doc=doc)
        restyle = Tool(
            "restyle",
            "Paints a picture in the style of another.",
            inputs={"content": values.Image(), "style": values.Image()},
            outputs={"image": values.Image()},
            options={
                "steps": values.Number(1, 100_000, 200, whole=True, doc="of the optimiser"),
                "content_weight": weight(1.0, "of the difference from the content"),
                "style_weight": weight(30.0, "of the difference from the style"),
                "variation_weight": weight(0.1, "of differences between neighbours"),
                "preserve_colour": restyling.KEEP_COLOUR,
                "optimizer": values.Choice(tuple(OPTIMIZERS), "lbfgs"),
                "start": values.Choice(("content", "noise"), "content", "what is moved"),
                "seed": values.Seed(),
            },
            fitting=fitting,
            turns="steps",
            unit="step",
            previews=True,
        )
        return [restyle, restyling.distances_tool(fitting)]

    def _maps(self, image):
        return self.looks.maps(self.network, image)

    def _grams(self, maps):
        return {name: losses.gram(maps[name]) for name in self.looks.style}

    def _distances(self, maps, grams, content):
        """(style's, content's) [batch] of maps from Gram matrices by layer and the content's map."""
        style = sum(restyling.relative(gram, grams[name]) for name, gram in self._grams(maps).items()) / len(grams)
        return style, restyling.relative(maps[self.looks.content], content)

    def distances(self, *, content, style, image):
        """Figures of `restyling.EXPLAINED`."""

        def distances(image, content, style):
            content = self._maps(content)[self.looks.content]
            return self._distances(self._maps(image), self._grams(self._maps(style)), content)

        return restyling.figures(distances, image, content, style)

    def restyle_begin(self, *, content, style, preserve_colour, optimizer, start, seed, steps, **weights):
        """The state before the first step; pictures [1, height, width, 3] in [-1, 1], weights [1] by their option."""
        if preserve_colour == "yes":
            style = colour.with_colours_of(style, content)
        image = content
        if start == "noise":
            image = NOISE * random.normal(jax.vmap(jax.random.key)(seed), content.shape[1:])
        return {
            "image": image,
            optimizer: OPTIMIZERS[optimizer].init(image),
            "grams": self._grams(self._maps(style)),
            "content": self._maps(content)[self.looks.content],
            "weights": weights,
        }

    def loss(self, image, state):
        """What is made smaller (equation 7 and variation): a scalar."""
        weights = state["weights"]
        style, content = self._distances(self._maps(image), state["grams"], state["content"])
        total = weights["content_weight"] * content + weights["style_weight"] * style
        return jnp.sum(total + weights["variation_weight"] * variation(image))

    def restyle_advance(self, state, now):
        """The state after one more step; colours stay such as can be shown, also where a step is too long."""
        (name,) = OPTIMIZERS.keys() & state.keys()
        image = state["image"]
        slope = jax.grad(self.loss)(image, state)
        move, moments = OPTIMIZERS[name].update(slope, state[name], image)
        return {**state, "image": jnp.clip(image + move, -1, 1), name: moments}

    def restyle_finish(self, state):
        return state["image"]

    restyle_preview = restyle_finish


def variation(image):
    """Mean squared difference of neighbours, [batch]."""
    down, right = jnp.diff(image, axis=1), jnp.diff(image, axis=2)
    return jnp.mean(down**2, (1, 2, 3)) + jnp.mean(right**2, (1, 2, 3))
