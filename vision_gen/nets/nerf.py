"""Neural radiance fields: the MLP of Mildenhall et al. (ECCV 2020) and the hash grid of Mueller et
al. (SIGGRAPH 2022).

Fields map `x` [..., 3] and unit view directions `d`, of its shape or with ones in it, to raw density
[...], to be rectified by the renderer, and colour [..., 3] in [0, 1]; with `intermediates`, to
((density, colour), dict of what happens inside).
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import encoding

SKIP_AFTER = 4  # The position enters again before the sixth layer.


class RadianceMLP(nnx.Module):
    """The paper's MLP (appendix A; the reference code where they differ): 8 x 256, view branch 128.

    Args:
      width: of the trunk; the view branch has half of it.
      depth: layers of the trunk.
      position_octaves, direction_octaves: of the positional encodings.
      directions: colours depend on the direction; otherwise they and the density are one linear layer's, as in the
        PyTorch implementation without `use_viewdirs`.

    Intermediates, [..., *]: `encoding` of the position; `trunk1`, ... each layer of the trunk after
    ReLU; `view`, the hidden layer of the view branch, if there is one.
    """

    def __init__(self, *, width=256, depth=8, position_octaves=10, direction_octaves=4, directions=True, rngs):
        self.octaves = position_octaves, direction_octaves
        inputs = 3 * (1 + 2 * position_octaves)
        init = dict(init=nnx.initializers.glorot_uniform(), rngs=rngs)
        self.trunk = nnx.List(
            layers.Linear(
                inputs if i == 0 else width + inputs * (i == SKIP_AFTER + 1), width, **init
            )
            for i in range(depth)
        )
        if not directions:
            self.out = layers.Linear(width, 4, **init)
            return
        self.density = layers.Linear(width, 1, **init)
        self.bottleneck = layers.Linear(width, width, **init)
        self.view = layers.Linear(width + 3 * (1 + 2 * direction_octaves), width // 2, **init)
        self.colour = layers.Linear(width // 2, 3, **init)

    def __call__(self, x, d, *, intermediates=False):
        dtype, out = self.trunk[0].kernel.dtype, {}
        h = encoded = out["encoding"] = encoding.positional(x, self.octaves[0]).astype(dtype)
        for i, layer in enumerate(self.trunk):
            if i == SKIP_AFTER + 1:  # The joined inputs, without joining them.
                inputs = encoded.shape[-1]
                h = encoded @ layer.kernel[:inputs] + (h @ layer.kernel[inputs:] + layer.bias[...])
            else:
                h = layer(h)
            h = out[f"trunk{i + 1}"] = jax.nn.relu(h)
        if hasattr(self, "out"):
            raw = self.out(h)
            found = raw[..., 3], jax.nn.sigmoid(raw[..., :3])
            return (found, out) if intermediates else found
        density = self.density(h)[..., 0]
        # No activation between bottleneck and view layer: their kernels are multiplied, not every point; and what
        # depends on the direction alone is computed once a direction.
        width = h.shape[-1]
        through, beside = self.view.kernel[:width], self.view.kernel[width:]
        view = encoding.positional(d, self.octaves[1]).astype(dtype) @ beside
        view += self.bottleneck.bias[...] @ through + self.view.bias[...]
        hidden = out["view"] = jax.nn.relu(h @ (self.bottleneck.kernel[...] @ through) + view)
        found = density, jax.nn.sigmoid(self.colour(hidden))
        return (found, out) if intermediates else found


class HashField(nnx.Module):
    """Features from a multi-resolution hash grid, read by two small MLPs.

    Args:
      bound: positions lie in [-bound, bound]^3.
      levels, features, entries: of the grid; `entries` a power of two.
      coarsest, finest: cells along a side of the first and the last level.
      width: of the MLPs: one hidden layer for density, two for colour.

    Intermediates, [..., *]: `encoding`, the grid's features; `density_hidden`; `geometry`, the 16
    numbers of which the first is the density's logarithm; `colour_hidden1`, `colour_hidden2`.
    """

    def __init__(
        self,
        *,
        bound,
        levels=16,
        features=2,
        entries=2**19,
        coarsest=16,
        finest=2048,
        width=64,
        rngs,
    ):
        self.bound = bound
        self.resolutions = encoding.resolutions(levels, coarsest, finest)
        self.tables = nnx.List(
            nnx.Param(
                jax.random.uniform(
                    rngs.params(), (encoding.table_size(r, entries), features), minval=-1e-4, maxval=1e-4
                )
            )
            for r in self.resolutions
        )
        init = dict(bias=False, init=nnx.initializers.he_uniform(), rngs=rngs)
        self.density_in = layers.Linear(levels * features, width, **init)
        self.density_out = layers.Linear(width, 16, **init)
        self.colour_in = layers.Linear(32, width, **init)
        self.colour_hidden = layers.Linear(width, width, **init)
        self.colour_out = layers.Linear(width, 3, **init)

    def _geometry(self, x):
        """The intermediates as far as the density needs them."""
        x, out = (x + self.bound) / (2 * self.bound), {}
        found = [
            encoding.hash_lookup(table[...], x, resolution)
            for table, resolution in zip(self.tables, self.resolutions)
        ]
        h = out["encoding"] = jnp.concatenate(found, -1)
        h = out["density_hidden"] = jax.nn.relu(self.density_in(h))
        out["geometry"] = self.density_out(h)
        return out

    def density(self, x):
        """Density [...] at `x`, not negative."""
        return _density(self._geometry(x)["geometry"])

    def __call__(self, x, d, *, intermediates=False):
        out = self._geometry(x)
        geometry = out["geometry"]
        directions = encoding.spherical_harmonics(d).astype(geometry.dtype)
        directions = jnp.broadcast_to(directions, (*geometry.shape[:-1], directions.shape[-1]))
        h = jnp.concatenate([geometry, directions], -1)
        h = out["colour_hidden1"] = jax.nn.relu(self.colour_in(h))
        h = out["colour_hidden2"] = jax.nn.relu(self.colour_hidden(h))
        found = _density(geometry), jax.nn.sigmoid(self.colour_out(h))
        return (found, out) if intermediates else found


@jax.custom_vjp
def _exponential(x):
    """exp whose gradient does not overflow, as instant-ngp truncates it."""
    return jnp.exp(jnp.minimum(x, 15.0))


_exponential.defvjp(
    lambda x: (_exponential(x), x), lambda x, dy: (dy * jnp.exp(jnp.clip(x, -15.0, 15.0)),)
)


def _density(geometry):
    return _exponential(geometry[..., 0].astype(jnp.float32))


class OccupancyGrid(nnx.Module):
    """Where there is anything: a running maximum of the density in the cells of a cube.

    Args:
      bound: the cube is [-bound, bound]^3.
      resolution: cells along a side.
      visited: cells whose density is looked up again at every update, a random draw.
      decay: of a visited cell's old maximum.
    """

    def __init__(self, *, bound, resolution=64, visited=4096, decay=0.9):
        self.bound, self.resolution, self.decay = bound, resolution, decay
        self.visited = min(visited, resolution**3)
        self.maximum = nnx.BatchStat(jnp.zeros(resolution**3))
        self.updates = nnx.BatchStat(jnp.zeros(()))

    def update(self, density):
        """Visits some cells.

        The cells follow from the number of updates alone, so that all devices visit the same.

        Args:
          density: [n, 3] positions -> [n].
        """
        key = jax.random.fold_in(jax.random.key(0), self.updates[...].astype(jnp.uint32))
        cells, places = jax.random.split(key)
        cells = jax.random.randint(cells, (self.visited,), 0, self.resolution**3)
        corner = jnp.stack(jnp.unravel_index(cells, (self.resolution,) * 3), -1)
        place = jax.random.uniform(places, (self.visited, 3))
        x = ((corner + place) / self.resolution * 2 - 1) * self.bound
        found = jax.lax.stop_gradient(density(x)).astype(jnp.float32)
        old = self.maximum[...].astype(jnp.float32)
        self.maximum[...] = old.at[cells].multiply(self.decay).at[cells].max(found)
        self.updates[...] += 1

    def __call__(self, x):
        """The running maximum [...] of the cells around `x` [..., 3]."""
        cell = jnp.floor((x / self.bound + 1) / 2 * self.resolution).astype(jnp.int32)
        cell = jnp.clip(cell, 0, self.resolution - 1)
        index = (cell[..., 0] * self.resolution + cell[..., 1]) * self.resolution + cell[..., 2]
        return self.maximum[...].at[index].get(mode="promise_in_bounds")
