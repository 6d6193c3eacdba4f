"""A system and a config that compile in a second, to test what surrounds a system."""

import dataclasses
import typing

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine import defaults
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import Player, System
from vision_gen.engine.tools import Tool
from vision_gen.metrics import image as metrics
from vision_gen.nets import layers
from vision_gen.ops import augment, colour, random


@dataclasses.dataclass(frozen=True)
class Settings:
    ballast: int = 8  # Numbers that only make checkpoints large.


class Toy(System):
    """Paints a drawing by a 1x1 convolution of its lines; noise makes it need its keys."""

    Settings = Settings
    players = (Player("painter", modules=("painter", "ballast")),)
    needs = {"colour": (None, None, 3)}
    columns = ("sketch", "output")

    def __init__(self, experiment, *, rngs):
        self.painter = layers.Conv(1, 3, 1, rngs=rngs)
        self.ballast = nnx.Dict(w=nnx.Param(jax.random.normal(rngs.params(), (experiment.model.ballast,))))

    def forward(self, batch, now):
        sketch = augment.sketches(batch, now.keys)
        noise = random.uniform(now.keys, (), 0, 0.01)[:, None, None, None]
        return {"fake": self.painter(sketch + noise), "target": colour.from_uint8(batch["colour"])}

    def painter_loss(self, out, batch, now):
        return {"square": jnp.mean((out["fake"] - out["target"]) ** 2)}

    @classmethod
    def tools(cls, experiment, facts):
        sketch = values.Image(channels=1, lines=True)
        fitting = WholePicture(size=0, tile=256)
        return [Tool("translate", "Paints a drawing.", {"sketch": sketch}, {"image": values.Image()}, fitting=fitting)]

    def translate(self, *, sketch):
        return self.painter(sketch)

    def sample(self, batch, keys):
        sketch = augment.sketches(batch, keys)
        return {"sketch": sketch, "output": self.painter(sketch)}

    def evaluate(self, batch, keys):
        target = colour.from_uint8(batch["colour"])
        return {"psnr": metrics.psnr(self.painter(augment.sketches(batch, keys)), target)}


class People(Toy):
    """Of people for try-on, whom it only asks for."""

    needs: typing.ClassVar[dict] = {"image": (None, None, 3)}


def get_config():
    return defaults.experiment(
        "tests.engine.toy.Toy",
        data=dict(name="image_folder", size=16),
        players=dict(painter=defaults.player(0.01, ema_half_life=50.0)),
        batch_size=8,
        steps=6,
        log_every=1,
        sample_every=3,
        eval_every=0,
        eval_images=4,
        checkpoint_every=3,
        sample_images=2,
    )
