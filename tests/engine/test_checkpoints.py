"""What checkpoints call the parts of a state."""

import jax

from vision_gen.engine import checkpoints as ckpt


def test_names_come_in_the_order_of_the_leaves():
    tree = {"b": {i: jax.numpy.full(2, i) for i in range(12)}, "a": jax.numpy.zeros(1)}
    assert ckpt.leaf_names(tree) == ["a", *(f"b/{i}" for i in range(12))]
    values = [int(leaf[0]) for leaf in jax.tree.leaves(tree["b"])]
    assert values == list(range(12))
