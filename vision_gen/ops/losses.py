"""Loss functions that several systems share. All reduce in float32 to a scalar."""

import jax
import jax.numpy as jnp


def l1(a, b):
    """Mean absolute difference."""
    return jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))


def gan(logits, real, kind):
    """How far a discriminator's `logits` are from saying `real`.

    Args:
      logits: any shape.
      real: the verdict wanted.
      kind: "cross_entropy" (Goodfellow et al. 2014, non-saturating for the generator),
        "least_squares" (Mao et al. 2017, targets 1 and 0), or "hinge" (Lim & Ye 2017), which is for the discriminator:
        see `fooled`.
    """
    logits = logits.astype(jnp.float32)
    if kind == "cross_entropy":
        return jnp.mean(jax.nn.softplus(-logits if real else logits))
    if kind == "least_squares":
        return jnp.mean((logits - float(real)) ** 2)
    if kind == "hinge":
        return jnp.mean(jax.nn.relu(1 - logits if real else 1 + logits))
    raise ValueError(f'gan: kind must be "cross_entropy", "least_squares" or "hinge", got {kind!r}')


def fooled(logits, kind):
    """The generator's part of `gan`: how far its images are from being taken for real ones."""
    return -jnp.mean(logits.astype(jnp.float32)) if kind == "hinge" else gan(logits, True, kind)


def gradient_penalty(score, images):
    """Mean of (|d score / d image| - 1)^2 (Gulrajani et al. 2017): lengths of a critic's gradients shall be 1.

    Args:
      score: function of images that gives scores of any shape, each of one example alone; an example's are summed.
      images: [batch, height, width, channel].
    """
    slopes = jax.grad(lambda images: score(images).astype(jnp.float32).sum())(images).astype(jnp.float32)
    # A length of 0 has no gradient.
    return jnp.mean((jnp.sqrt(jnp.sum(slopes**2, (1, 2, 3)) + 1e-12) - 1) ** 2)


def r1(score, images):
    """Half the mean of |d score / d image|^2 (Mescheder et al. 2018), and the scores.

    Args:
      score: as of `gradient_penalty`.
      images: [batch, height, width, channel], real ones.
    """

    def total(images):
        scores = score(images)
        return scores.astype(jnp.float32).sum(), scores

    slopes, scores = jax.grad(total, has_aux=True)(images)
    return 0.5 * jnp.mean(jnp.sum(slopes.astype(jnp.float32) ** 2, (1, 2, 3))), scores


def gram(maps):
    """Gram matrices of maps [batch, height, width, channel]: [batch, channel, channel], by size."""
    maps = maps.astype(jnp.float32)
    return jnp.einsum("bhwc,bhwd->bcd", maps, maps) / maps[0].size


def contextual(maps, target, bandwidth=0.1):
    """How unlike the places of maps are to those of a target that are most like them, wherever these are.

    Mechrez et al., ECCV 2018: -log of the mean over places of `maps` of the largest share.

    Args:
      maps, target: [batch, *, *, channel], of any sizes.
      bandwidth: of the shares; less tells places apart more sharply.
    """
    flat = lambda x: x.reshape(x.shape[0], -1, x.shape[-1]).astype(jnp.float32)
    maps, target = flat(maps), flat(target)
    unit = lambda x: x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-12)
    mean = target.mean(1, keepdims=True)
    far = 1 - jnp.einsum("bid,bjd->bij", unit(maps - mean), unit(target - mean))
    far = far / (far.min(-1, keepdims=True) + 1e-3)
    shares = jax.nn.softmax((1 - far) / bandwidth, -1)
    return -jnp.log(shares.max(-1).mean(-1)).mean()


def contrastive(rows, columns, own, scale, *, chunk=1024):
    """Cross-entropy of which column belongs to each row, by scaled products (InfoNCE, van den Oord et al. 2018).

    Rows are taken in chunks whose logits the backward pass computes again, so that of the matrix of all no more than
    one chunk exists at a time.

    Args:
      rows: [n, d].
      columns: [m, d].
      own: the column of each row, [n] int32.
      scale: of the products, a scalar.
      chunk: rows that are compared at a time, at most.

    Returns:
      Mean over the rows, float32.
    """
    count = next(count for count in range(1, len(rows) + 1) if len(rows) % count == 0 and len(rows) // count <= chunk)

    @jax.checkpoint
    def part(rows, own):
        logits = scale * jnp.einsum("nd,md->nm", rows, columns, preferred_element_type=jnp.float32)
        right = jnp.take_along_axis(logits, own[:, None], 1)[:, 0]
        return jnp.sum(jax.nn.logsumexp(logits, -1) - right)

    if count == 1:
        return part(rows, own) / len(rows)
    # Strided, so that each device's rows stay where they are.
    split = lambda x: x.reshape(len(x) // count, count, *x.shape[1:]).swapaxes(0, 1)
    total, _ = jax.lax.scan(lambda total, given: (total + part(*given), None), 0.0, (split(rows), split(own)))
    return total / len(rows)


def logit_laplace(pixels, mean, log_scale):
    """-ln of the density of pixels in (0, 1) whose logit has a Laplace distribution (Ramesh et al. 2021, appendix A.3).

    Args:
      pixels, mean, log_scale: of one shape; of the logit the mean, and the logarithm of the scale.

    Returns:
      That shape, float32.
    """
    pixels, mean, log_scale = (x.astype(jnp.float32) for x in (pixels, mean, log_scale))
    logit = jnp.log(pixels) - jnp.log1p(-pixels)
    return jnp.abs(logit - mean) * jnp.exp(-log_scale) + log_scale + jnp.log(2 * pixels * (1 - pixels))


def cross_entropy(logits, classes):
    """-ln of the probability of classes [...] int32 by logits [..., classes]: [...] float32."""
    logits = logits.astype(jnp.float32)
    right = jnp.take_along_axis(logits, classes[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - right
