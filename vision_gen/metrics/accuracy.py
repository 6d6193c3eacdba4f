"""Shares of what was found right: classes and points."""

import jax.numpy as jnp


def top_k(logits, label, k):
    """1.0 where fewer than `k` other classes are at least as likely as the label, [batch].

    Equal logits count as ranked before, so that a constant network is right by no chance.

    Args:
      logits: [batch, classes].
      label: [batch], integers.
    """
    mine = jnp.take_along_axis(logits, label[:, None], 1)
    return ((logits >= mine).sum(-1) - 1 < k).astype(jnp.float32)


def pck(found, truth, scale, alpha=0.1, visible=None):
    """Percentage of correct keypoints (Yang & Ramanan 2013) as a share, [batch]; NaN if none is visible.

    Args:
      found, truth: [batch, points, 2].
      scale: [batch], what an error is measured by: the longer side of the object's or image's box.
      alpha: share of `scale` that counts as correct.
      visible: [batch, points] boolean, points that count; all without it.
    """
    hit = jnp.linalg.norm(found - truth, axis=-1) <= alpha * scale[:, None]
    visible = jnp.ones(hit.shape, bool) if visible is None else visible
    return (hit & visible).sum(-1) / visible.sum(-1)
