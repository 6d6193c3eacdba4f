"""What systems of style transfer share: networks that look at pictures, and how far a result is from both sources."""

from collections.abc import Callable
import dataclasses

import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.tools import Tool
from vision_gen.ops import augment, colour, resample

KEEP_COLOUR = values.Choice(
    ("no", "yes"), "no", "whether the content keeps its colours: the style is given their mean and covariance"
)
# Of a result, of the content taken for it, and of the content with the style's histograms taken for it.
EXPLAINED = {
    "style_distance": "distance of the output from the style; lower is better",
    "style_distance_copy": "style_distance of the content taken for the output",
    "style_distance_histogram": "style_distance of the content with the histogram of each of the style's channels",
    "content_distance": "distance of the output from the content; lower is better",
    "content_distance_copy": "content_distance of the content itself, 0",
    "content_distance_histogram": "content_distance of the content with the histogram of each of the style's channels",
}


@dataclasses.dataclass(frozen=True)
class Looks:
    """How a network looks at pictures.

    Attributes:
      network: function (rngs=...) that builds it.
      style: names of its intermediates that style is taken of, in order.
      content: of the one that content is taken of.
      stride: pixels along a place of the content's map.
      step: pixels that its first convolution steps over. What is painted and only ever seen from the same places gets
        a pattern of dots, so a painter that learns is looked at moved by up to `step - 1` pixels,
      enlarge: or pictures are made so many times larger before.
    """

    network: Callable
    style: tuple[str, ...]
    content: str
    stride: int
    step: int = 1
    enlarge: int = 1

    def maps(self, network, image):
        """{name: map} of images [batch, height, width, 3] in [-1, 1]."""
        size = [n * self.enlarge for n in image.shape[1:3]]
        found = network(resample.resize(image, size), intermediates=True)[1]
        return {name: found[name] for name in (*self.style, self.content)}

    def moved(self, image, keys):
        """Images moved down and to the right at random, as `step` says; what is new there is what was at the edge."""
        if self.step == 1:
            return image
        before = self.step - 1, 0
        return augment.window(keys, jnp.pad(image, ((0, 0), before, before, (0, 0)), "edge"), size=image.shape[1:3])[0]


def distances_tool(fitting):
    """The tool `distances`: figures of any result, next to those of the baselines."""
    return Tool(
        "distances",
        "Says how far a result is from its style and its content, and how far copying and matched histograms are.",
        inputs={"content": values.Image(), "style": values.Image(), "image": values.Image()},
        outputs={"figures": values.Table()},
        fitting=fitting,
    )


def figures(distances, image, content, style):
    """The figures of `EXPLAINED`, each [batch].

    Args:
      distances: function (image, content, style) that gives (style's, content's), [batch] each.
      image, content, style: [batch, height, width, 3] in [-1, 1].
    """
    guesses = {"": image, "_copy": content, "_histogram": colour.with_histograms_of(content, style)}
    found = {}
    for end, guess in guesses.items():
        found[f"style_distance{end}"], found[f"content_distance{end}"] = distances(guess, content, style)
    return found


def relative(a, b):
    """|a - b|^2 / |b|^2 over all axes but the first, [batch]."""
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    axes = tuple(range(1, a.ndim))
    return ((a - b) ** 2).sum(axes) / jnp.maximum((b**2).sum(axes), 1e-12)
