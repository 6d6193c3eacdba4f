"""DALL-E's first stage: a discrete autoencoder, trained through a relaxation of its codes (section 2.1, appendix A)."""

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
import numpy as np

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import Player, System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as image_metrics
from vision_gen.nets import dvae, layers
from vision_gen.ops import colour, losses, random
from vision_gen.pretrained import dalle as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Range

Temperature = Annotated[float, Range(1e-3)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of the autoencoder; the defaults are the published ones."""

    vocabulary: Count = 8192  # Different codes.
    width: Count = 256  # Channels of the largest maps, a multiple of 4.
    initial: Count = 128  # Channels of the decoder's first map.
    groups: Count = 4  # Of blocks; a code stands for a square of 2 ** (groups - 1) pixels.
    blocks: Count = 2  # Of a group.
    temperature: Temperature = 1.0  # Of the relaxation, at the beginning.
    temperature_end: Temperature = 1 / 16  # Of the relaxation, after its steps.
    temperature_steps: CountOrNone = 150_000  # In which it falls, along a cosine.
    kl_weight: NotNegative = 6.6  # Of how far codes are from all alike, after its steps.
    kl_steps: CountOrNone = 5000  # In which it rises from 0, along a cosine.
    usage_weight: NotNegative = 0.0  # Of how far the batch's mean code is from all alike (ours): none dies early. 0: off.
    least_scale: NotNegative = 0.0  # Of pixels' logits; without, flat colours of drawings outweigh all else. 0: none.


def sizes_of(model):
    """The `nets.dvae.Sizes` of settings."""
    return dvae.Sizes(**{field.name: getattr(model, field.name) for field in dataclasses.fields(dvae.Sizes)})


def along_cosine(start, end, steps, step):
    """What lies between `start` and `end` at a step, from 0; after `steps` it is `end`."""
    share = jnp.minimum(step / max(steps, 1), 1) if steps else 1.0
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * share))


def usage(codes, vocabulary):
    """(perplexity, share of dead ones) of codes, numpy: how many codes as often as each other would be as various, and
    the share of the vocabulary that is never used.
    """
    shares = np.bincount(np.ravel(codes), minlength=vocabulary) / np.size(codes)
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum())), float((shares == 0).mean())


class DVAE(System):
    """One player, both networks."""

    title = "Codes of pictures (DALL-E's first stage)"
    Settings = Settings
    players = (Player("autoencoder", modules=("encoder", "decoder")),)
    readers = {"encoder": pretrained.read, "decoder": pretrained.read}
    writers = {name: pretrained.writers(name) for name in ("encoder", "decoder")}
    needs = {"colour": (None, None, 3)}
    columns = ("truth", "output")
    set_figures = ("code_perplexity", "dead_codes")
    explained = {
        "code_perplexity": "how many codes, each as often, would be as various as those of the set",
        "dead_codes": "share of the codes that no picture of the set has",
    }
    legends = {"samples": "Held-out pictures, and what is left of them as codes."}

    def __init__(self, experiment, *, rngs):
        sizes = sizes_of(experiment.model)
        if any(side % sizes.factor for side in experiment.data.resolution):
            raise InputError(
                f"config.data.size must be a multiple of {sizes.factor}, what a code stands for, got "
                f"{experiment.data.size}"
            )
        self.model = nnx.static(experiment.model)
        self.encoder, self.decoder = dvae.Encoder(sizes, rngs=rngs), dvae.Decoder(sizes, rngs=rngs)

    @classmethod
    def tools(cls, experiment, facts):
        return [
            Tool(
                "reconstruct",
                "Shows what is left of a picture as codes.",
                inputs={"image": values.Image()},
                outputs={"image": values.Image()},
                fitting=WholePicture(stride=sizes_of(experiment.model).factor),
            )
        ]

    def reconstruct(self, *, image):
        """Images [batch, height, width, 3] in [-1, 1] by their likeliest codes."""
        return self.decoder.images(self.encoder.codes(image))

    def forward(self, batch, now):
        """Pixels, logits of the codes, and the distribution of pixels by the relaxed codes (Jang et al. 2017)."""
        model = self.model
        pixels = dvae.map_pixels(colour.from_uint8(batch["colour"]))
        logits = self.encoder(pixels)
        uniform = random.uniform(now.keys, logits.shape[1:], 1e-6, 1.0)
        temperature = along_cosine(model.temperature, model.temperature_end, model.temperature_steps, now.step)
        relaxed = jax.nn.softmax((logits - jnp.log(-jnp.log(uniform))) / temperature, -1)
        mean, log_scale = self.decoder(relaxed)
        if model.least_scale:
            log_scale = jnp.maximum(log_scale, np.log(model.least_scale))
        return {"pixels": pixels, "logits": logits, "mean": mean, "log_scale": log_scale}

    def autoencoder_loss(self, out, batch, now):
        """Equation 1, over the numbers of a picture, with a uniform prior."""
        weight = along_cosine(0.0, self.model.kl_weight, self.model.kl_steps, now.step)
        log = jax.nn.log_softmax(out["logits"], -1)
        divergence = jnp.sum(jnp.exp(log) * log, (1, 2, 3)) + log[0, ..., 0].size * np.log(self.model.vocabulary)
        terms = {
            "reconstruction": losses.logit_laplace(out["pixels"], out["mean"], out["log_scale"]).mean(),
            "kl": weight * divergence.mean() / out["pixels"][0].size,
        }
        if self.model.usage_weight:
            mean = layers.all_devices(jnp.exp(log).mean((0, 1, 2))[None]).mean(0)
            terms["usage"] = self.model.usage_weight * jnp.sum(mean * jnp.log(mean * self.model.vocabulary + 1e-9))
        return terms

    def sample(self, batch, keys):
        images = colour.from_uint8(batch["colour"])
        return {"truth": images, "output": self.reconstruct(image=images)}

    def evaluate(self, batch, keys):
        """PSNR and SSIM of pictures by their likeliest codes; the codes."""
        images = colour.from_uint8(batch["colour"])
        codes = self.encoder.codes(images)
        found = self.decoder.images(codes)
        return {
            "psnr": image_metrics.psnr(found, images),
            "ssim": image_metrics.ssim(found, images),
            "codes": codes,
            "vocabulary": jnp.full(len(codes), self.model.vocabulary),
        }

    @classmethod
    def summarise(cls, values, classes):
        """How many of the codes are used; see `usage`."""
        return dict(zip(cls.set_figures, usage(values["codes"], int(values["vocabulary"][0]))))
