"""Style transfer in one pass: a decoder learns to paint what an encoder saw, given the statistics of another picture.

Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017. The encoder is
frozen. Weights of the losses are those of the PyTorch release, whose features are scaled otherwise than those of the
Torch release.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import adain as nets
from vision_gen.nets import features
from vision_gen.ops import augment, colour, random, resample
from vision_gen.pretrained import adain as pretrained
from vision_gen.pretrained import features as feature_weights
from vision_gen.settings import Count, CountOrNone, NotNegative
from vision_gen.systems import restyling

TILE = 1024  # Pixels of the largest side that is computed at once, unless chosen.
LOOKS = {
    "efficientnet-lite0": restyling.Looks(
        features.EfficientNetLite0, ("stem", "expand1", "expand2", "expand4"), "expand4", stride=nets.STRIDE, step=2
    ),
    "vgg19-normalised": restyling.Looks(
        features.NormalisedVGG,
        tuple(f"relu{block}_1" for block in range(1, 5)),
        "relu4_1",
        stride=nets.STRIDE,
    ),
}
CHANNELS = {"efficientnet-lite0": 240, "vgg19-normalised": 512}  # Of the map that content is taken of.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of AdaIN; the defaults are the PyTorch release's, but for the encoder."""

    encoder: Literal["efficientnet-lite0", "vgg19-normalised"] = "efficientnet-lite0"  # Release: "vgg19-normalised".
    width: Count = 64  # Channels of the decoder's last hidden layer.
    content_weight: NotNegative = 1.0
    style_weight: NotNegative = 10.0
    crop: CountOrNone = 0  # Side of the window of each picture that is trained on; 0: all of it.


class AdaIN(System):
    """A frozen encoder and a decoder that learns (equations 8 to 13)."""

    title = "Style transfer at once (AdaIN)"
    Settings = Settings
    players = ("decoder",)
    readers = {"encoder": feature_weights.read, "decoder": pretrained.read}
    writers = {"decoder": pretrained.WRITERS}
    needs = {"content_colour": (None, None, 3), "style_colour": (None, None, 3)}
    columns = ("content", "style", "output")
    explained = {**restyling.EXPLAINED, "objective": "what the decoder learns by, on held-out pictures"}
    legends = {"samples": "Held-out pictures, those whose style they get, and what the decoder paints."}

    def __init__(self, experiment, *, rngs):
        looks = LOOKS[experiment.model.encoder]
        self.looks, self.model = nnx.static(looks), nnx.static(experiment.model)
        self.encoder = looks.network(rngs=rngs)
        self.decoder = nets.Decoder(CHANNELS[experiment.model.encoder], width=experiment.model.width, rngs=rngs)

    @classmethod
    def default_init(cls, settings):
        return {"encoder": settings.encoder} if settings.encoder == "efficientnet-lite0" else {}

    @classmethod
    def check(cls, experiment, source):
        if experiment.model.encoder == "vgg19-normalised" and "encoder" not in experiment.init:
            right = "config.init.encoder must name vgg_normalised.pth"
            raise InputError(f"{right} for config.model.encoder=vgg19-normalised")
        sides = [side for part in cls.needs for side in source.shapes[part].shape[:2]]
        crop = experiment.model.crop
        if any(side % nets.STRIDE for side in ([crop] if crop else sides)) or crop > min(sides):
            field = f"model.crop is {crop}" if crop else f"data.size is {experiment.data.size}"
            raise InputError(f"config.{field}; it must be a multiple of {nets.STRIDE}, and no larger than the pictures")

    @classmethod
    def tools(cls, experiment, facts):
        fitting = WholePicture(stride=nets.STRIDE, tile=TILE, overview="content")
        options = {
            "alpha": values.Number(0, 2, 1.0, doc="how far it goes; 0 is the content, above 1 is too far"),
            "preserve_colour": restyling.KEEP_COLOUR,
        }
        inputs = {"content": values.Image(), "styles": values.Images(folder=True)}
        weights = {"weights": values.Shares(doc="how much each style counts; by default all alike")}
        return [
            Tool(
                "restyle",
                "Paints a picture in the style of another, or in a mixture of several.",
                inputs=inputs,
                outputs={"image": values.Image()},
                options={**weights, **options},
                fitting=fitting,
            ),
            Tool(
                "restyle_region",
                "Paints what is inside a mask in one style; the rest in a second one, or not at all.",
                inputs={**inputs, "mask": values.Mask()},
                outputs={"image": values.Image()},
                options=options,
                fitting=fitting,
            ),
            restyling.distances_tool(WholePicture(stride=nets.STRIDE, size=256, apart=("style",))),
        ]

    def _maps(self, image):
        return self.looks.maps(self.encoder, image)

    def _content(self, image):
        return self._maps(image)[self.looks.content]

    def _moments(self, maps):
        """{layer: [2, batch, 1, 1, channel]}, means and deviations."""
        return {name: jnp.stack(nets.moments(maps[name])) for name in self.looks.style}

    # The step.

    def _pictures(self, batch, keys):
        """Content and style, windows of them where there is a `crop`."""
        images = [colour.from_uint8(batch[name]) for name in self.needs]
        if self.model.crop:
            images = [
                augment.window(random.fold(keys, i), image, size=self.model.crop)[0] for i, image in enumerate(images)
            ]
        return images

    def _painted(self, content, style):
        """The image, the map `target` that it was decoded of, and by layer the style's moments."""
        wanted = self._moments(self._maps(style))
        maps = self._content(content)
        target = nets.adain(maps, nets.moments(maps), wanted[self.looks.content])
        return {"image": self.decoder(target), "target": target, **wanted}

    def forward(self, batch, now):
        return self._painted(*self._pictures(batch, now.keys))

    def decoder_loss(self, out, batch, now):
        """Equations 12 and 13."""
        seen = self.looks.moved(out["image"], random.fold(now.keys, len(self.needs)))
        return {name: term.mean() for name, term in self._terms(out | {"image": seen}).items()}

    def _terms(self, out):
        """Both losses with their weights, [batch] each."""
        maps = self._maps(out["image"])
        square = lambda a, b: jnp.mean((a.astype(jnp.float32) - b) ** 2, (-3, -2, -1))
        style = sum(square(found, out[name]).sum(0) for name, found in self._moments(maps).items())
        content = square(maps[self.looks.content], out["target"])
        return {"content": self.model.content_weight * content, "style": self.model.style_weight * style}

    # Tools.

    def _restyled(self, content, styles, alpha, preserve_colour, overview):
        """(function of moments that gives the map that is decoded, moments of each style).

        The content's own moments are those of the whole picture.
        """
        whole = content if overview is None else overview
        if preserve_colour == "yes":
            styles = [colour.with_colours_of(style, whole) for style in styles]
        maps = self._content(content)
        own = nets.moments(maps if overview is None else self._content(whole))
        wanted = [nets.moments(self._content(style)) for style in styles]
        return lambda wanted: alpha * nets.adain(maps, own, wanted) + (1 - alpha) * maps, wanted

    def restyle(self, *, content, styles, weights, alpha, preserve_colour, overview=None):
        """Images [batch, height, width, 3] of content [batch, height, width, 3] and a tuple of styles, in [-1, 1]."""
        if weights.shape[1] not in (0, len(styles)):
            given = f"weights are {weights.shape[1]} numbers, styles {len(styles)} pictures"
            raise InputError(f"{given}; give one for each")
        if not weights.shape[1]:
            weights = jnp.full((1, len(styles)), 1 / len(styles))
        restyle, wanted = self._restyled(content, styles, alpha, preserve_colour, overview)
        # A mixture of what each style makes of the map: all are the same map, scaled and moved.
        mixed = [sum(weights[0, i] * one[part] for i, one in enumerate(wanted)) for part in range(2)]
        return self.decoder(restyle(mixed))

    def restyle_region(self, *, content, styles, mask, alpha, preserve_colour, overview=None):
        """The same with a mask [batch, height, width, 1] of 0 and 1: inside the first style, outside the second."""
        if len(styles) > 2:
            right = "give one for inside the mask, and one for outside or none"
            raise InputError(f"styles are {len(styles)} pictures; {right}")
        restyle, wanted = self._restyled(content, styles, alpha, preserve_colour, overview)
        inside, *outside = map(restyle, wanted)
        if not outside:
            return jnp.where(mask > 0.5, self.decoder(inside), content)
        share = resample.average_pool(mask, inside.shape[1:3])
        return self.decoder(share * inside + (1 - share) * outside[0])

    def _distances(self, image, content, style):
        """(style's, content's) [batch], relative to what they should be."""
        maps = self._maps(image)
        found, wanted = self._moments(maps), self._moments(self._maps(style))
        far = [restyling.relative(found[name].swapaxes(0, 1), wanted[name].swapaxes(0, 1)) for name in found]
        return sum(far) / len(far), restyling.relative(maps[self.looks.content], self._content(content))

    def distances(self, *, content, style, image):
        """Figures of `restyling.EXPLAINED`."""
        return restyling.figures(self._distances, image, content, style)

    # Figures.

    def sample(self, batch, keys):
        content, style = self._pictures(batch, keys)
        return {"content": content, "style": style, "output": self._painted(content, style)["image"]}

    def evaluate(self, batch, keys):
        """What the decoder learns by, and distances of its pictures, of copies and of matched histograms."""
        content, style = self._pictures(batch, keys)
        out = self._painted(content, style)
        figures = restyling.figures(self._distances, out["image"], content, style)
        return {"objective": sum(self._terms(out).values()), **figures}
