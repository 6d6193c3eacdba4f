"""A system without players, whose tools show what the mechanism of tools does."""

import jax
import jax.numpy as jnp
from flax import nnx

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Runner, Tool

STRIDE = 8


class Toolbox(System):
    """`copy` gives its picture back; `blend` mixes two; `approach` optimises a picture towards a target."""

    def __init__(self, *, rngs):
        self.gain = nnx.Param(jnp.ones(()))

    @classmethod
    def tools(cls, experiment, facts):
        picture = values.Image()
        fitting = WholePicture(stride=STRIDE, tile=64)
        amount = values.Number(0, 1, default=0.5, doc="of the second")
        rate = values.Number(0, 1, default=0.1)
        turns = values.Number(1, 1000, default=40, whole=True)
        return [
            Tool("copy", "Gives the picture back.", {"image": picture}, {"copy": picture}, fitting=fitting),
            Tool(
                "blend",
                "Mixes two pictures.",
                inputs={"first": picture, "second": picture},
                outputs={"mixed": picture},
                options={"amount": amount},
                fitting=fitting,
            ),
            Tool(
                "approach",
                "Moves a grey picture towards a target.",
                inputs={"target": picture},
                outputs={"image": picture, "error": values.Number(0, 4)},
                options={"rate": rate, "turns": turns, "seed": values.Seed()},
                fitting=WholePicture(stride=STRIDE),
                turns="turns",
                previews=True,
            ),
        ]

    def copy(self, *, image):
        assert image.shape[1] % STRIDE == image.shape[2] % STRIDE == 0
        return image * self.gain[...]

    def blend(self, *, first, second, amount):
        return first + amount * (second - first)

    def approach_begin(self, *, target, rate, turns, seed):
        return {"image": jnp.zeros_like(target), "target": target, "rate": rate, "drawn": jnp.zeros(1)}

    def approach_advance(self, state, now):
        slope = jax.grad(lambda image: jnp.sum((image - state["target"]) ** 2) / 2)(state["image"])
        drawn = state["drawn"] + jax.random.uniform(now.keys[0]) + now.progress
        return {**state, "image": state["image"] - state["rate"] * slope, "drawn": drawn}

    def approach_preview(self, state):
        return {"image": state["image"]}

    def approach_finish(self, state):
        error = jnp.mean((state["image"] - state["target"]) ** 2)
        return {"image": state["image"], "error": error[None] + 0 * state["drawn"]}


def toolbox():
    """-> ({name: tool}, runner)."""
    graphdef, params, rest = nnx.split(Toolbox(rngs=nnx.Rngs(0)), nnx.Param, ...)
    tools = {tool.name: tool for tool in Toolbox.tools(None, {})}
    return tools, Runner(graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
