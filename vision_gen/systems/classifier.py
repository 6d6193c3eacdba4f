"""Image classification with a Vision Transformer (Dosovitskiy et al., ICLR 2021).

Trained as its successors do (Touvron et al. 2021; Steiner et al. 2022): AdamW, warm-up, cosine,
RandAugment, mixup and CutMix, label smoothing, stochastic depth.
"""

from flax import nnx
import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from vision_gen.engine.system import System
from vision_gen.errors import InputError
from vision_gen.metrics import accuracy
from vision_gen.nets import vit
from vision_gen.ops import augment, colour, rand_augment, random, resample


class Classifier(System):
    """One player, the network.

    `config.model`: `size`, `patch`, `classes`, `positions`, `pool`, `dropout`, `drop_path` and
    `remat` and `unroll` of `nets.vit.ViT`; `label_smoothing`; augmentation: `flip`, `crop_area`
    (see `augment.resized_crop`; 1 is off), `operations` and `magnitude` of RandAugment, `mixup` and `cutmix` (alpha, 0 is
    off).
    """

    players = ("network",)
    columns = ("image", "attention")

    def __init__(self, config, *, rngs):
        model = config.model
        names = ("size", "patch", "classes", "positions", "pool", "dropout", "drop_path", "remat")
        try:
            self.network = vit.ViT(
                image=config.data.size,
                # Runs from before the field have none.
                unroll=model.get("unroll", 1),
                **{name: model[name] for name in names},
                rngs=rngs,
            )
        except ValueError as error:
            raise InputError(f"config.model: {error}") from error
        self.model = nnx.static(FrozenConfigDict(model))

    def forward(self, batch, keys):
        """Logits [batch, classes] of the augmented images, and the targets they should have."""
        model = self.model
        key = lambda i: random.fold(keys, i)
        images = colour.from_uint8(batch["colour"])
        if model.crop_area < 1:
            images = augment.resized_crop(key(0), images, area=model.crop_area)
        if model.flip:
            (images,) = augment.flip(key(1), images)
        if model.operations:
            images = rand_augment.rand_augment(
                key(2), images, operations=model.operations, magnitude=model.magnitude
            )
        targets = jax.nn.one_hot(batch["label"], model.classes)
        targets += model.label_smoothing * (1 / model.classes - targets)
        if (model.mixup or model.cutmix) and len(images) % 2:
            raise InputError(
                f"mixup and CutMix need an even batch on every device, got {len(images)}; change "
                "config.train.batch_size or set config.model.mixup and config.model.cutmix to 0"
            )
        images, targets = rand_augment.mix(
            key(3), images, targets, mixup=model.mixup, cutmix=model.cutmix
        )
        return {"logits": self.network(images, key(4)), "targets": targets}

    def network_loss(self, out, batch, keys):
        """Cross-entropy against the smoothed and mixed labels."""
        log = jax.nn.log_softmax(out["logits"].astype(jnp.float32))
        return {"cross_entropy": -jnp.mean((out["targets"] * log).sum(-1))}

    def evaluate(self, batch, keys):
        """Top-1 and top-5 accuracy and cross-entropy."""
        logits = self.network(colour.from_uint8(batch["colour"])).astype(jnp.float32)
        label = batch["label"]
        mine = jnp.take_along_axis(logits, label[:, None], 1)[:, 0]
        return {
            "top1": accuracy.top_k(logits, label, 1),
            "top5": accuracy.top_k(logits, label, 5),
            "cross_entropy": jax.nn.logsumexp(logits, -1) - mine,
        }

    def sample(self, batch, keys):
        """Images, and what the decision is made of: attention rollout, light where it looks."""
        images = colour.from_uint8(batch["colour"])
        _, inside = self.network(images, intermediates=True)
        total = vit.rollout(inside["attention"])
        patches = self.network.grid**2
        # Of the class token where there is one, of the mean token otherwise.
        row = total[:, 0] if self.model.pool == "token" else total.mean(1)
        look = row[:, -patches:].reshape(-1, self.network.grid, self.network.grid, 1)
        low, high = (f(look, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
        look = resample.resize((look - low) / jnp.maximum(high - low, 1e-9), images.shape[1:3])
        return {"image": images, "attention": (images + 1) * (0.15 + 0.85 * look) - 1}
