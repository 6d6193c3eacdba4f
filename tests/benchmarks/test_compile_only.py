"""What the compile-time tables count, on programs whose counts are known."""

import jax
from jax import lax
import jax.numpy as jnp
import pytest

from benchmarks import compile_only
from vision_gen.errors import InputError


def test_products_in_a_loop_count_as_often_as_it_turns():
    w = jnp.ones((5, 8, 8))
    step = lambda x: lax.scan(lambda x, w: (jax.jit(jnp.dot)(x, w), None), x, w)[0]
    jaxpr = jax.make_jaxpr(step)(jnp.ones((3, 8)))
    assert compile_only.matrix_flops(jaxpr.jaxpr) == 5 * 2 * 3 * 8 * 8
    image, kernel = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 4))
    convolve = lambda x, w: lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    jaxpr = jax.make_jaxpr(convolve)(image, kernel)
    assert compile_only.matrix_flops(jaxpr.jaxpr) == 2 * (2 * 4 * 4 * 4) * (3 * 3 * 3)


def test_collectives_are_read_from_the_program():
    text = """
  %a = f32[4,8]{1,0} all-reduce(%x), replica_groups={}
  %b = (bf16[2]{0}, f32[3]{0}) all-gather-start(%y, %z), dimensions={0}
  %c = f32[8]{0} add(%p, %q)
"""
    assert compile_only.collectives(text) == {"all-reduce": (1, 128.0), "all-gather": (1, 16.0)}


def test_unknown_targets_are_named():
    with pytest.raises(InputError, match="--target must be CHIP:TOPOLOGY .*'tpu:v9:2x2'"):
        compile_only.devices_of("tpu:v9:2x2")
