"""What systems have in common that translate between many domains by one generator, as StarGAN does (Choi et al. 2018).

A label [batch, domains] of numbers from 0 to 1 says of which domains an image is. The discriminator also says it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.engine.system import System
from vision_gen.errors import InputError
from vision_gen.nets import layers
from vision_gen.nets import stargan as nets
from vision_gen.ops import augment, colour, losses, random


class ManyDomains(System):
    """Discriminator, and once in so many steps the generator.

    A subclass has both networks, `_label`, and of its settings `flip`, `class_weight`, `cycle_weight` and
    `penalty_weight`.
    """

    players = ("discriminator", "generator")
    columns = ("source", "translations")
    explained = {
        "cycle": "mean difference, of at most 2, of an image and what is translated there and back",
        "moved": "mean difference, of at most 2, of an image and its translation; 0: nothing is translated",
    }

    @classmethod
    def check(cls, experiment, source):
        if any(side % 2**nets.DOWN for side in experiment.data.resolution):
            raise InputError(f"config.data.size must be of multiples of {2**nets.DOWN}, got {experiment.data.size}")

    def _label(self, batch):
        """[batch, domains] float32."""
        raise NotImplementedError

    def _translated(self, image, label, *, train=False):
        """Images [batch, height, width, 3] in [-1, 1] in the domains of a label."""
        return self.generator(image, label, train=train)

    def _class_entropy(self, logits, label):
        """Cross-entropy of logits [batch, domains] float32, [batch]: an image is of one domain."""
        return -(label * jax.nn.log_softmax(logits)).sum(-1)

    # Training.

    def forward(self, batch, now):
        return self._forward(batch["colour"], self._label(batch), now)

    def _forward(self, image, origin, now):
        """real, fake [batch, height, width, 3]; origin, target [batch, domains]: labels of both.

        The targets are the labels of the batch in another order.
        """
        image = colour.from_uint8(image)
        if self.model.flip:
            (image,) = augment.flip(random.fold(now.keys, 0), image)
        order = jnp.argsort(layers.all_devices(random.uniform(random.fold(now.keys, 1))))
        target = layers.own_part(layers.all_devices(origin)[order], len(origin))
        fake = self._translated(image, target, train=True)
        return {"real": image, "fake": fake, "origin": origin, "target": target}

    def _class_loss(self, logits, label):
        """Equations 2 and 3: cross-entropy of a class, or the sum of those of all attributes."""
        return self.model.class_weight * self._class_entropy(logits.astype(jnp.float32), label).mean()

    def discriminator_loss(self, out, batch, now):
        """Equations 8 and 5: Wasserstein's with gradient penalty, and the domain of real images."""
        real, logits = self.discriminator(out["real"])
        fake, _ = self.discriminator(out["fake"])
        share = random.uniform(random.fold(now.keys, 2), (1, 1, 1))
        between = share * out["real"] + (1 - share) * out["fake"]
        penalty = losses.gradient_penalty(lambda image: self.discriminator(image)[0], between)
        return {
            "real": -jnp.mean(real.astype(jnp.float32)),
            "fake": jnp.mean(fake.astype(jnp.float32)),
            "class": self._class_loss(logits, out["origin"]),
            "penalty": self.model.penalty_weight * penalty,
        }

    def generator_loss(self, out, batch, now):
        """Equations 8 and 6: critic, domain that was asked for, and the way back."""
        source, logits = self.discriminator(out["fake"])
        back = self._translated(out["fake"], out["origin"], train=True)
        return {
            "gan": -jnp.mean(source.astype(jnp.float32)),
            "class": self._class_loss(logits, out["target"]),
            "cycle": self.model.cycle_weight * losses.l1(back, out["real"]),
        }

    # Tools and figures.

    @classmethod
    def domain_names(cls, experiment, classes):
        """What domains are called, in order; `classes` are the data's."""
        raise NotImplementedError

    @classmethod
    def shown(cls, experiment, sample, classes):
        """A column for each domain; images of a second set in rows below those of the first."""
        names = cls.domain_names(experiment, classes)
        below = lambda columns: np.concatenate([sample[name] for name in columns])
        parts = np.split(below(cls.columns[1::2]), len(names), 2)
        return {"source": below(cls.columns[::2]), **dict(zip(names, parts))}

    def _strip(self, image, asked):
        """Translations beside each other, [batch, height, domains * width, 3].

        `asked` [batch, domains, domains] has for each domain the label to ask for.
        """
        paint = lambda label: self._translated(image, label)
        return jnp.concatenate(list(jax.lax.map(paint, asked.swapaxes(0, 1))), 2)

    def _there_and_back(self, image, label, asked, judged):
        """What comes of translating images into all domains.

        Args:
          image: [batch, height, width, 3].
          label: [batch, domains], of the images.
          asked: [batch, domains, domains], as of `_strip`.
          judged: function of translations, whatever it gives.

        Returns:
          (figures `moved` and `cycle` [batch], what `judged` gave with a leading axis of domains).
        """
        apart = lambda other: jnp.abs(other - image).mean((1, 2, 3))

        def one(target):
            made = self._translated(image, target)
            return {"moved": apart(made), "cycle": apart(self._translated(made, label))}, judged(made)

        found, judgement = jax.lax.map(one, asked.swapaxes(0, 1))
        return {name: value.mean(0) for name, value in found.items()}, judgement
