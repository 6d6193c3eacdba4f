"""StyleCLIP's latent mapper (Patashnik et al., ICCV 2021, section 5): a network that changes latents by one text.

Trained for that text on latents that are drawn, or of a file; the networks that judge it stay as they are. As released:
w' = w + 0.1 M(w), losses of CLIP, squared distance and identity, and Ranger.
"""

import dataclasses
import logging
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import latent_mapper as nets
from vision_gen.pretrained import latent_mapper as pretrained
from vision_gen.settings import NotNegative
from vision_gen.systems import texts
from vision_gen.systems.styleclip import editing

log = logging.getLogger("vision_gen")


@dataclasses.dataclass(frozen=True)
class Settings(editing.Settings):
    """`config.model` of the mapper, beside those of `editing.Settings`."""

    text: str | tuple[int, ...] = "a person with purple hair"  # What pictures become, or its tokens.
    space: Literal["w+", "s", "s with colours"] = "w+"  # That is mapped: latents, or styles, all or no colours'.
    coarse: bool = True  # In w+: change the first four layers, poses and shapes,
    medium: bool = True  # the next four,
    fine: bool = True  # the rest, colours.
    normalised: nets.NORMALISED = "layers"  # In w+: over what w is normalised; "layers" as released.
    step: NotNegative = 0.1  # Of what the mapper gives, the share that is added.
    clip_weight: NotNegative = 1.0
    l2_weight: NotNegative = 0.8
    identity_weight: NotNegative = 0.1  # Where config.init.identity names a network of faces.

    def __post_init__(self):
        if not (self.text if isinstance(self.text, tuple) else self.text.strip()):
            raise InputError("text is empty; it must say what pictures become")
        if not (self.coarse or self.medium or self.fine):
            raise InputError("coarse, medium and fine are all False; nothing would change")


class Mapper(editing.StyleCLIP):
    """One player; the tools of `StyleCLIP` are there too."""

    title = "One change by a text (StyleCLIP's mapper)"
    Settings = Settings
    players = ("mapper",)
    readers = {"mapper": pretrained.read, **editing.StyleCLIP.readers}
    needs = {"seed": ()}
    columns = ("before", "after")
    explained = {
        "similarity": "cosine of the edited picture and the text, by CLIP; of the picture before in similarity_before",
        "l2": "mean squared distance of latents before and after",
        "identity": "1 - cosine of the faces before and after",
    }
    legends = {"samples": "Pictures of latents that were not trained on, before and after."}

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        model, settings = experiment.model, self.generator.settings
        if model.space == "w+":
            # Generators of less than 64 px have no fine layers.
            levels = [n for n, part in nets.LEVELS.items() if getattr(model, n) and part.start < settings.layers]
            self.mapper = nets.LevelsMapper(settings.w_size, levels, model.normalised, rngs=rngs)
        else:
            widths = [layer.affine.kernel.shape[1] for layer in self.generator.synthesis.styled]
            chosen = [i for i, moves in enumerate(self.movable) if moves or model.space == "s with colours"]
            self.mapper = nets.StyleMapper(widths, chosen, rngs=rngs)
        self.model = nnx.static(model)
        self.encode = nnx.static(texts.clip_encoder(experiment))

    @classmethod
    def check(cls, experiment, source):
        shape = editing.latent_shape(experiment)
        given = source.shapes["latent"].shape if "latent" in source.shapes else shape
        if given != shape:
            raise InputError(f"config.data.dir: its latents are {list(given)}; the generator's are {list(shape)}")
        if isinstance(experiment.model.text, str):
            texts.clip_encoder(experiment)(experiment.model.text)
        if "identity" not in experiment.init and experiment.model.identity_weight:
            log.warning("config.init.identity names no network of faces: the term of identity is off")

    @classmethod
    def tools(cls, experiment, facts):
        others = super().tools(experiment, facts)
        image, start = values.Image(), others[0].inputs["latent"]
        edit = Tool(
            "edit",
            f"Changes a picture to {experiment.model.text!r}, for which this was trained.",
            inputs={"latent": start},
            outputs={"image": image, "before": image, "latent": values.Latent(start.shape)},
            options={
                "strength": values.Number(-100, 100, 1.0, doc="how far, 1 as trained"),
                "truncation": others[0].options["truncation"],
            },
        )
        return [edit, *others]

    def edit(self, *, latent, strength, truncation):
        """Pictures after and before, and in w+ the latent afterwards."""
        place = self._place(self._started(latent, truncation))
        moved = place + strength.reshape(-1, *(1,) * (place.ndim - 1)) * self.model.step * self._move(place)
        found = {"image": self.paint(moved), "before": self.paint(place)}
        return found | ({"latent": moved} if moved.ndim == 3 else {})

    def _place(self, ws):
        """Where `ws` are in the space that is mapped."""
        return ws if self.model.space == "w+" else self.styles(ws)

    def _move(self, place):
        """What the mapper makes of a place, of its shape."""
        if place.ndim == 3:
            return self.mapper(place)
        return jnp.concatenate(self.mapper(self.layers(place)), 1)

    def _text(self):
        tokens = self.model.text if isinstance(self.model.text, tuple) else self.encode(self.model.text)
        return self.read_text(jnp.asarray(tokens, jnp.int32).reshape(1, -1))

    def forward(self, batch, now):
        """Places before and after, and pictures."""
        place = self._place(batch["latent"] if "latent" in batch else self.drawn(batch["seed"]))
        moved = place + self.model.step * self._move(place)
        return {"place": place, "moved": moved, "before": self.paint(place), "after": self.paint(moved)}

    def _distance(self, out):
        """Mean squared distance [batch]; of style space the sum over its layers."""
        square = (out["moved"] - out["place"]) ** 2
        if square.ndim == 3:
            return square.mean((1, 2))
        return sum(layer.mean(1) for layer in self.layers(square))

    def mapper_loss(self, out, batch, now):
        """Equation 4."""
        model = self.model
        terms = {
            "clip": model.clip_weight * self.unlike_text(out["after"], self._text()).mean(),
            "l2": model.l2_weight * self._distance(out).mean(),
        }
        if hasattr(self, "identity"):
            face = jax.lax.stop_gradient(self.face(out["before"]))
            terms["identity"] = model.identity_weight * self.unlike_face(out["after"], face).mean()
        return terms

    def sample(self, batch, keys):
        out = self.forward(batch, None)
        return {name: out[name] for name in self.columns}

    def evaluate(self, batch, keys):
        out, text = self.forward(batch, None), self._text()
        found = {
            "similarity": 1 - self.unlike_text(out["after"], text),
            "similarity_before": 1 - self.unlike_text(out["before"], text),
            "l2": self._distance(out),
        }
        if hasattr(self, "identity"):
            found["identity"] = self.unlike_face(out["after"], self.face(out["before"]))
        return found
