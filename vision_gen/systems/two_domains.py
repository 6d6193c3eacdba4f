"""What systems that translate between two domains, a and b, have in common: data and figures.

They are trained on examples with `a_colour` and `b_colour`, which have nothing to do with each other. With a network
that looks (`config.init.features`), evaluation also says how far translations are from the domain, and, where held-out
examples are pairs, from the true counterpart: nearer than the untranslated images are, and than to the counterparts of
others, if the subject was kept.
"""

import jax.numpy as jnp
import numpy as np

from vision_gen.engine.system import System
from vision_gen.errors import InputError
from vision_gen.metrics import distribution
from vision_gen.nets.features import EfficientNetLite0
from vision_gen.ops import resample
from vision_gen.pretrained import features as pretrained

SIDE = 128  # Pixels at which the network looks.
STRIDE = 4  # Pixels of which sides must be multiples.
OF_SET = ("frechet", "frechet_source", "feature_shuffled")


def _explained(side):
    other = "ab".replace(side, "")
    made = f"of what is made of {other}"
    untranslated = f"the same of the untranslated {other}"
    return {
        f"moved_{other}": f"mean difference, of at most 2, of an image of {other} and what is made of it; 0: none",
        f"truth_{side}": f"mean difference, of at most 2, {made} and the {side} beside it: of pairs, the truth",
        f"truth_{side}_source": untranslated,
        f"frechet_{side}": f"Frechet distance (EfficientNet-Lite0, {SIDE} px) {made} from {side}; lower is better",
        f"frechet_{side}_source": untranslated,
        f"feature_{side}": f"1 - cosine of such features {made} and of the {side} beside it: of pairs, the truth",
        f"feature_{side}_source": untranslated,
        f"feature_{side}_shuffled": f"the same {made} and another {side}",
    }


class TwoDomains(System):
    """`sample` of a subclass gives "a" and "b", and what it makes of them, "a as b" and "b as a"."""

    readers = {"features": pretrained.read}
    needs = {"a_colour": (None, None, 3), "b_colour": (None, None, 3)}
    explained = {**_explained("a"), **_explained("b")}

    @classmethod
    def check(cls, experiment, source):
        if any(side % STRIDE for side in experiment.data.resolution):
            raise InputError(f"config.data.size must be of multiples of {STRIDE}, got {experiment.data.size}")

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        parts = [name.split("_") for name in OF_SET if "features" in experiment.init]
        return tuple("_".join([first, side, *rest]) for first, *rest in parts for side in "ab")

    def _looks(self, experiment, rngs):
        """Builds the network that looks, where there is one."""
        if "features" in experiment.init:
            self.features = EfficientNetLite0(rngs=rngs)

    def _seen(self, *images):
        """Features [batch, 1280] of each of several images [batch, height, width, 3]."""
        small = resample.resize(jnp.concatenate(images), (SIDE, SIDE))
        found = self.features(small, intermediates=True)[1]["features"].astype(jnp.float32)
        return jnp.split(found, len(images))

    def _figures(self, found):
        """Figures [batch] of what `sample` gives, and the features of `summarise`."""
        images = {name: found[name] for name in ("a", "b", "a as b", "b as a")}
        apart = lambda one, other: jnp.abs(images[one] - images[other]).mean((1, 2, 3))
        values = {"moved_a": apart("a as b", "a"), "moved_b": apart("b as a", "b")}
        seen = dict(zip(images, self._seen(*images.values()))) if hasattr(self, "features") else {}
        for side, other in ("ab", "ba"):
            made = f"{other} as {side}"
            values |= {f"truth_{side}": apart(made, side), f"truth_{side}_source": apart(other, side)}
            if seen:
                values[f"feature_{side}"] = unlike(seen[made], seen[side])
                values[f"feature_{side}_source"] = unlike(seen[other], seen[side])
        return values | {f"seen {name}": value for name, value in seen.items()}

    @classmethod
    def summarise(cls, values, classes):
        """Frechet distances from a domain, and how unlike an image's counterpart another's is."""
        if "seen a" not in values:
            return {}
        moments = lambda name: (values[name].mean(0), np.cov(values[name], rowvar=False))
        of, found = {name: moments(name) for name in values if name.startswith("seen")}, {}
        for side, other in ("ab", "ba"):
            made = f"seen {other} as {side}"
            far = lambda name, side=side: distribution.frechet_distance(*of[name], *of[f"seen {side}"])
            found |= {f"frechet_{side}": far(made), f"frechet_{side}_source": far(f"seen {other}")}
            others = np.roll(values[f"seen {side}"], 1, 0)
            found[f"feature_{side}_shuffled"] = unlike(values[made], others).mean().item()
        return found


def unlike(a, b):
    """1 - the cosine of vectors [batch, features], [batch]."""
    length = lambda x: (x**2).sum(-1) ** 0.5
    return 1 - (a * b).sum(-1) / (length(a) * length(b) + 1e-12)
