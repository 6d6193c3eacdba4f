"""What XLA must not fuse."""

from jax import lax


def apart(*arrays):
    """`arrays`, on GPU read from memory by what uses them: XLA would compute them again from larger ones for every use.

    Returns:
      A tuple of them.
    """
    return lax.platform_dependent(*arrays, cuda=lambda *x: lax.optimization_barrier(x), default=lambda *x: x)
