"""VITON-HD's third stage: the picture of the person in the bent garment (section 3.4).

The painter is trained with the true regions and the garment that a trained second stage has bent. Discriminators at two
scales see the regions too; hinge, feature matching and a perceptual term, with the weights of HR-VITON's training code,
as this paper's was not released. What it evaluates and its tool are those of all three stages.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax.numpy as jnp

from vision_gen.errors import InputError
from vision_gen.nets.patchgan import MultiscaleDiscriminator
from vision_gen.nets.tryon import REGIONS
from vision_gen.ops import losses
from vision_gen.pretrained import features
from vision_gen.pretrained.tryon import FILES
from vision_gen.settings import Count, NotNegative
from vision_gen.systems import cocosnet
from vision_gen.systems.tryon import dress, stages

# Settings of each network that looks, and the layers that are compared.
LOOKS = {**cocosnet.LOOKS, "vgg19": ({"classes": 0}, tuple(f"relu{block}_1" for block in range(1, 6)))}


@dataclasses.dataclass(frozen=True)
class Settings(dress.Settings):
    """`config.model`; the defaults are the released painter's and HR-VITON's, but for the network that looks."""

    discriminator_width: Count = 64  # Channels of the discriminators' first convolutions.
    scales: Count = 2  # Discriminators, each of which sees images of half the size.
    feature_weight: NotNegative = 10.0  # Of the error of the discriminators' features,
    perceptual_weight: NotNegative = 10.0  # and of those of a network that looks.
    perceptual: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"  # That network; paper: "vgg19".


class Synthesis(dress.TryOn):
    """The painter, then the discriminator, each step."""

    Settings = Settings
    players = ("synthesis", "discriminator")
    readers = {**dress.TryOn.readers, "perceptual": features.read}
    needs = stages.NEEDS

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        model = experiment.model
        self.model = nnx.static(model)
        self.perceptual = features.NETWORKS[model.perceptual](**LOOKS[model.perceptual][0], rngs=rngs)
        self.discriminator = MultiscaleDiscriminator(
            REGIONS + 3, width=model.discriminator_width, scales=model.scales, norm="spectral", rngs=rngs
        )

    @classmethod
    def default_init(cls, settings):
        return {"perceptual": settings.perceptual}

    @classmethod
    def check(cls, experiment, source):
        for name in ("segmentation", "warp"):
            if name not in experiment.init:
                found = f"a run of tryon.{name}.{name.capitalize()}, or {FILES[name]}"
                raise InputError(f"config.init.{name} must be {found}: the painter stands on the stages before it")
        super().check(experiment, source)

    def forward(self, batch, now):
        """regions [batch, height, width, 7], image and fake [..., 3]."""
        given = stages.read(batch)
        regions = stages.regions(given["truth_classes"])
        warped, mask, _ = stages.bent(self.warp, regions[..., stages.UPPER : stages.UPPER + 1], given)
        seen = stages.synthesis_input(regions, warped, mask, given)
        return {"regions": regions, "image": given["truth"], "fake": self.synthesis(*seen, now.keys, train=True)}

    def _judged(self, out, name):
        """[(logits, features by layer)] of each scale."""
        return self.discriminator(out["regions"], out[name], train=True, intermediates=True)

    def synthesis_loss(self, out, batch, now):
        """Adversarial, feature matching and perceptual (equation 8 of the supplement)."""
        model, fake, real = self.model, self._judged(out, "fake"), self._judged(out, "image")
        matching = [losses.l1(a[name], b[name]) for (_, a), (_, b) in zip(fake, real) for name in a]
        seen = [self.perceptual(out[name], intermediates=True)[1] for name in ("fake", "image")]
        apart = [losses.l1(*(maps[name] for maps in seen)) for name in LOOKS[model.perceptual][1]]
        perceptual = sum(share * term for share, term in zip(cocosnet.SHARES, apart, strict=True))
        return {
            "gan": sum(losses.fooled(logits, "hinge") for logits, _ in fake) / len(fake),
            "feature": model.feature_weight * sum(matching) / len(fake),
            "perceptual": model.perceptual_weight * perceptual,
        }

    def discriminator_loss(self, out, batch, now):
        """Hinge, at every scale."""
        look = lambda name, real: jnp.mean(
            jnp.stack([losses.gan(logits, real, "hinge") for logits, _ in self._judged(out, name)])
        )
        return {"real": look("image", True), "fake": look("fake", False)}
