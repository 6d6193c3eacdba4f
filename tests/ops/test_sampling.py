"""Draws from logits, against numpy."""

import jax
import numpy as np

from vision_gen.ops import sampling

LOGITS = np.log(np.float32([[0.5, 0.05, 0.15, 0.3], [0.1, 0.2, 0.3, 0.4]]))


def kept(**settings):
    return np.isfinite(np.asarray(sampling.restricted(LOGITS, **settings))).tolist()


def test_what_is_not_to_be_drawn_is_left_out():
    np.testing.assert_allclose(sampling.restricted(LOGITS, temperature=0.5), 2 * LOGITS, rtol=1e-5)
    assert kept(top_k=2) == [[True, False, False, True], [False, False, True, True]]
    assert kept(top_k=0) == kept(top_k=9) == [[True] * 4] * 2
    # 0.5 + 0.3 is the first to reach 0.75, and 0.4 + 0.3 + 0.2 in the second row.
    assert kept(top_p=0.75) == [[True, False, False, True], [False, True, True, True]]
    assert kept(top_p=1e-9) == [[True, False, False, False], [False, False, False, True]]
    assert kept(top_p=0.75, top_k=1) == kept(top_k=1)
    # Of the sharpened chances 0.5 ** 2 / 0.365 suffices.
    assert kept(top_p=0.65, temperature=0.5)[0] == [True, False, False, False]


def test_values_come_as_often_as_they_are_likely():
    keys = jax.random.split(jax.random.key(0), 4000)
    found = np.asarray(jax.jit(sampling.draw)(keys, np.repeat(LOGITS[:1], 4000, 0)))
    np.testing.assert_allclose(np.bincount(found, minlength=4) / 4000, np.exp(LOGITS[0]), atol=0.03)
