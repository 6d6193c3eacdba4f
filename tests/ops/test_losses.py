"""Losses that systems share, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import losses

LOGITS = np.array([[-2.0, 0.5], [3.0, 0.0]])


@pytest.mark.parametrize("real", [True, False])
def test_verdicts_cost_as_their_papers_say(real):
    share = 1 / (1 + np.exp(-LOGITS))
    expected = -np.log(share if real else 1 - share).mean()
    np.testing.assert_allclose(losses.gan(LOGITS, real, "cross_entropy"), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.gan(LOGITS, real, "least_squares"), ((LOGITS - real) ** 2).mean(), rtol=1e-6)
    # The generator does not saturate: where the discriminator is sure, its slope is steepest.
    slope = jax.grad(lambda x: losses.gan(x, real, "cross_entropy"))(jnp.float32(-9.0 if real else 9.0))
    assert slope == pytest.approx(-1 if real else 1, abs=1e-3)
    hinge = np.maximum(0, 1 - LOGITS if real else 1 + LOGITS).mean()
    np.testing.assert_allclose(losses.gan(LOGITS, real, "hinge"), hinge, rtol=1e-6)
    with pytest.raises(ValueError, match="kind must be"):
        losses.gan(LOGITS, real, "wasserstein")


def test_a_generator_that_fools_costs_nothing_or_less():
    assert losses.fooled(LOGITS, "hinge") == pytest.approx(-LOGITS.mean())
    for kind in ("cross_entropy", "least_squares"):
        assert losses.fooled(LOGITS, kind) == losses.gan(LOGITS, True, kind)


def test_a_contrastive_loss_holds_no_more_than_a_chunk_of_the_matrix():
    rows = jax.ShapeDtypeStruct((2048, 8), jnp.float32)

    def temporary(chunk):
        loss = lambda a, b: losses.contrastive(a, b, jnp.arange(2048), 9.0, chunk=chunk)
        compiled = jax.jit(jax.grad(loss, (0, 1))).lower(rows, rows).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(2048) >= 4 * 2048**2
    assert temporary(128) < 4 * 2048**2 / 4


def test_differences_and_gram_matrices():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2, 3, 4, 5))
    np.testing.assert_allclose(losses.l1(a, b), np.abs(a - b).mean(), rtol=1e-5)
    flat = a.reshape(2, 12, 5)
    np.testing.assert_allclose(losses.gram(a), flat.transpose(0, 2, 1) @ flat / 60, rtol=1e-4, atol=1e-6)
