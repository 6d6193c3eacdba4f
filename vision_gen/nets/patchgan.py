"""The PatchGAN discriminator (Isola et al., CVPR 2017, appendix 6.1.2)."""

from flax import nnx
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops.pool import average_pool


class PatchDiscriminator(nnx.Module):
    """C64-C128-C256-C512 and a 1-channel convolution, all 4x4: a logit for each 70x70 patch.

    Args:
      channel: channels of everything it looks at, condition and image together.
      width: channels of the first convolution; the published 64.
      stages: convolutions of stride 2; 3 gives the 70x70 patch.
      norm: "batch" as published; "instance", of which convolutions have biases and norms nothing to learn; "spectral",
        the same without biases, of kernels over their largest singular values; or "none".
      attention: places look at all others before the last convolution with a norm; maps must be even there.
    """

    def __init__(self, *, channel, width=64, stages=3, norm="batch", attention=False, rngs):
        if norm not in ("batch", "instance", "spectral", "none"):
            raise ValueError(f'norm must be "batch", "instance", "spectral" or "none", got {norm!r}')
        normal = nnx.initializers.normal(0.02)
        scale = lambda key, shape: 1 + normal(key, shape)
        widths = [width * min(2**i, 8) for i in range(stages + 1)]
        norms = {
            "batch": lambda n: layers.BatchNorm(n, scale_init=scale, rngs=rngs),
            "instance": lambda n: layers.InstanceNorm(n, affine=False, rngs=rngs),
        }
        norms["spectral"] = norms["instance"]
        self.convs = nnx.List()
        self.norms = nnx.List()
        self.spectral = nnx.List()
        self.attention = layers.SelfAttention(widths[stages - 1], rngs=rngs) if attention else None
        for i, (inner, outer) in enumerate(zip([channel, *widths], [*widths, 1])):
            plain = i in (0, stages + 1) or norm == "none"
            stride = 2 if i < stages else 1
            self.convs.append(
                layers.Conv(
                    inner, outer, 4, stride=stride, padding=1, bias=plain or norm == "instance", init=normal, rngs=rngs
                )
            )
            self.norms.append(None if plain else norms[norm](outer))
            self.spectral.append(layers.SpectralNorm(outer, rngs=rngs) if norm == "spectral" and not plain else None)

    def __call__(self, *images, train, intermediates=False):
        """Logits of patches.

        Args:
          *images: [batch, height, width, *], stacked by channel.
          train: batch statistics, and the running ones updated.
          intermediates: also return what happens inside.

        Returns:
          [batch, h, w, 1], and with `intermediates` a dict: `conv1` [batch, height / 2, width / 2,
          width], ... `conv{stages + 1}`, the maps after each convolution's activation, of which
          feature matching (Wang et al. 2018) is made.
        """
        x, out = jnp.concatenate(images, -1), {}
        for i, (conv, norm, spectral) in enumerate(zip(self.convs, self.norms, self.spectral)):
            if self.attention is not None and i == len(self.convs) - 2:
                x = self.attention(x, train=train)
            x = conv(x, kernel=None if spectral is None else spectral(conv.kernel[...], train=train))
            x = x if norm is None else norm(x, train=train)
            if i < len(self.convs) - 1:
                x = out[f"conv{i + 1}"] = layers.leaky_relu(x)
        return (x, out) if intermediates else x


class MultiscaleDiscriminator(nnx.Module):
    """PatchGANs for an image with what it shall fit to, for both at half their size, and so on (Wang et al. 2018)."""

    def __init__(self, channel, *, width=64, scales=2, norm="instance", attention=False, rngs):
        one = lambda: PatchDiscriminator(channel=channel, width=width, norm=norm, attention=attention, rngs=rngs)
        self.scales = nnx.List(one() for _ in range(scales))

    def __call__(self, *images, train, intermediates=False):
        """Logits of images [batch, height, width, *], stacked by channel: what each scale gives, finest first."""
        x, found = jnp.concatenate(images, -1), []
        for discriminator in self.scales:
            found.append(discriminator(x, train=train, intermediates=intermediates))
            x = average_pool(x, 3, stride=2, padding=1)
        return found
