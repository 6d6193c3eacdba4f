"""Attention in chunks is attention, and its memory is bounded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import attention


def test_chunks_change_nothing_in_values_or_gradients():
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(2, 30, 8)), jnp.float32) for _ in range(3))

    def dense(q, k, v):
        return attention.attention_map(q, k) @ v

    @jax.jit
    def look(*given):
        """Values and gradients."""
        forms = [dense, *(functools.partial(attention.attend, chunk=chunk) for chunk in (7, 16, 30))]
        values, pulls = zip(*(jax.vjp(form, *given) for form in forms))
        return values, [pull(values[0]) for pull in pulls]

    (expected, *values), (expected_gradients, *gradients) = look(q, k, v)
    for value, pulled in zip(values, gradients, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
        for got, want in zip(pulled, expected_gradients):
            np.testing.assert_allclose(got, want, atol=1e-4)


def test_memory_of_the_gradient_is_that_of_a_chunk():
    n, chunk = 2048, 128
    q = jax.ShapeDtypeStruct((1, n, 16), jnp.float32)

    def temporary(chunk):
        loss = lambda q, k, v: jnp.sum(jnp.sin(attention.attend(q, k, v, chunk=chunk)))
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(q, q, q).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    pairs = n * n * 4
    assert temporary(n) >= pairs
    assert temporary(chunk) < pairs / 2


def test_sixteen_bits_are_exact_to_their_rounding_and_keep_no_float32_scores():
    rng = np.random.default_rng(0)
    shape = (2, 64, 2, 16)
    *inputs, dout = (jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for _ in range(4))
    out, pull = jax.vjp(attention.multi_head, *inputs)
    wide, wide_pull = jax.vjp(attention.multi_head, *(x.astype(jnp.float32) for x in inputs))
    for got, want in zip((out, *pull(dout)), (wide, *wide_pull(dout.astype(jnp.float32)))):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float32(got), want, rtol=0.02, atol=0.02)
    scores = 2 * 2 * 64 * 64
    assert max(x.nbytes for x in jax.tree.leaves(pull)) <= 2 * scores


def test_masks_hide_keys_in_values_and_gradients():
    rng = np.random.default_rng(0)
    q, k, v, dout = rng.normal(size=(4, 2, 5, 2, 8)).astype(np.float32)
    mask = rng.random((5, 5)) < 0.5
    mask[:, 0] = True

    def dense(q, k, v):
        scores = jnp.where(mask, jnp.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5, -jnp.inf)
        return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)

    @jax.jit
    def look(q, k, v, mask):  # Traced, as one of several that a loop takes.
        masked = lambda *given: attention.multi_head(*given, mask=mask)
        forms = masked, dense, lambda *given: attention.multi_head(*given, causal=True)
        outs, pulls = zip(*(jax.vjp(form, q, k, v) for form in forms))
        return outs, [pull(jnp.asarray(dout)) for pull in pulls]

    (found, expected, _), (gradients, expected_gradients, _) = look(q, k, v, mask)
    for got, want in zip((found, *gradients), (expected, *expected_gradients), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(expected).max() > 0.1
    outs, gradients = look(q, k, v, np.tri(5, dtype=bool))
    np.testing.assert_allclose(outs[0], outs[2], atol=1e-6)
    # In 16 bits keys and queries are padded to eights: nothing of that comes back.
    halves = [jnp.asarray(x, jnp.bfloat16) for x in (q, k, v)]
    out, pull = jax.vjp(lambda *given: attention.multi_head(*given, mask=mask), *halves)
    np.testing.assert_allclose(np.float32(out), expected, atol=0.05)
    for got, want in zip(pull(jnp.asarray(dout, jnp.bfloat16)), expected_gradients):
        np.testing.assert_allclose(np.float32(got), want, atol=0.1)


def test_pointing_copies_what_is_alike_near_and_among_the_best():
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=s).astype(np.float32) for s in ((2, 7, 3), (2, 12, 3), (2, 12, 4)))
    at, places = rng.integers(0, 4, (7, 2)).astype(np.float32), rng.integers(0, 4, (12, 2)).astype(np.float32)

    def expected(temperature=1.0, top=12, distance=9):
        scores = np.einsum("bqd,bkd->bqk", query, key) / temperature
        far = np.abs(at[:, None] - places[None]).max(-1) > distance
        scores = np.where(far, -np.inf, scores)
        least = np.sort(scores, -1)[..., -top, None]
        shares = np.exp(np.where(scores >= least, scores, -np.inf))
        return shares / shares.sum(-1, keepdims=True) @ value

    for chunk in (3, 512):
        found = attention.point(query, key, value, temperature=0.5, chunk=chunk)
        np.testing.assert_allclose(found, expected(0.5), rtol=1e-4, atol=1e-5)
        found = attention.point(query, key, value, top=2, reach=(at, places, 2), chunk=chunk)
        np.testing.assert_allclose(found, expected(top=2, distance=2), rtol=1e-4, atol=1e-5)


def test_keys_are_given_away_evenly_by_chunks_too():
    query, key, value = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 7, 4), (2, 5, 4), (2, 5, 3)]))
    weights = attention.attention_map(query, key)
    expected = weights / weights.sum(1, keepdims=True) @ value
    for chunk in (3, 1024):
        found, pull = jax.vjp(lambda *x: attention.attend_evenly(*x, chunk=chunk), query, key, value)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        dquery, dkey, dvalue = pull(jnp.ones_like(found))
        assert not dquery.any() and not dkey.any()
        # The weights of each key sum to 1.
        np.testing.assert_allclose(dvalue, jnp.ones_like(value), atol=1e-5)
