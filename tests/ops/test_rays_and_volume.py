"""Rays, sampling, compositing and encodings against what they are defined to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.data.cameras import look_at
from vision_gen.ops import encoding, rays, volume


def test_rays_go_through_the_points_that_a_distorting_camera_projects():
    rng = np.random.default_rng(0)
    pose = look_at(np.array([1.0, 2.0, 3.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    intrinsics = np.float32([90, 80, 51, 47, 0.1, -0.05, 0.01, -0.02])
    local = np.stack([*rng.uniform(-0.5, 0.5, (2, 20)), -rng.uniform(1, 3, 20)], -1)
    local[:, :2] *= -local[:, 2:]
    world = local @ pose[:, :3].T + pose[:, 3]
    # OpenCV's camera looks along +z with y down.
    x, y = local[:, 0] / -local[:, 2], -local[:, 1] / -local[:, 2]
    r2 = x * x + y * y
    k1, k2, p1, p2 = intrinsics[4:]
    radial = 1 + k1 * r2 + k2 * r2**2
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixel = np.stack([u * 90 + 51, v * 80 + 47], -1)
    origin, direction = rays.camera_rays(jnp.asarray(pixel, jnp.float32), pose, intrinsics)
    found = origin + direction * -local[:, 2:]
    np.testing.assert_allclose(found, world, atol=2e-3)


def test_ndc_puts_the_near_plane_at_zero_and_keeps_points_on_their_rays():
    intrinsics = np.float32([50, 50, 30, 20, 0, 0, 0, 0])
    origin, direction = np.float32([[0.1, -0.2, 0.3]]), np.float32([[0.2, 0.1, -1.5]])
    o, d = rays.ndc(jnp.asarray(origin), jnp.asarray(direction), intrinsics)
    project = lambda p: np.stack(
        [-50 / 30 * p[:, 0] / p[:, 2], -50 / 20 * p[:, 1] / p[:, 2], 1 + 2 / p[:, 2]], -1
    )
    np.testing.assert_allclose(o[:, 2], -1, atol=1e-5)
    for depth in (2.0, 5.0, 100.0):
        point = origin + depth * direction
        t = (project(point)[:, 2:] - o[:, 2:]) / d[:, 2:]
        assert 0 < float(t[0, 0]) < 1
        np.testing.assert_allclose(o + t * d, project(point), atol=1e-4)


def test_rays_meet_the_box_where_its_planes_are():
    origin = jnp.asarray([[-3.0, 0.0, 0.0], [-3.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    direction = jnp.asarray([[1.0, 0.0, 0.0]] * 3)
    near, far = rays.through_box(origin, direction, -1.0, 1.0, 0.1, 10.0)
    np.testing.assert_allclose(near[::2, 0], [2, 0.1], atol=1e-5)
    np.testing.assert_allclose(far[::2, 0], [4, 1], atol=1e-5)
    assert near[1] == far[1]


def test_compositing_is_the_reference_product():
    rng = np.random.default_rng(1)
    density = rng.normal(0, 3, (5, 12))
    colour = rng.uniform(0, 1, (5, 12, 3))
    t = np.sort(rng.uniform(2, 6, (5, 12)))
    direction = rng.normal(size=(5, 3))
    length = np.concatenate([np.diff(t), np.full((5, 1), 1e10)], 1)
    alpha = 1 - np.exp(-np.maximum(density, 0) * length * np.linalg.norm(direction, axis=1)[:, None])
    before = np.cumprod(np.concatenate([np.ones((5, 1)), 1 - alpha[:, :-1]], 1), 1)
    weights = alpha * before
    expected = (weights[..., None] * colour).sum(1) + 1 - weights.sum(1)[:, None]
    args = [jnp.asarray(x, jnp.float32) for x in (density, colour, t)]
    found = volume.composite(*args, volume.lengths(args[2]), jnp.asarray(direction), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(found["weights"], weights, atol=1e-5)
    np.testing.assert_allclose(found["colour"], expected, atol=1e-5)
    np.testing.assert_allclose(found["opacity"], weights.sum(1), atol=1e-5)


@pytest.mark.parametrize("level, expected", [(0.0, 60), (-5.0, 60), (1e-20, 60), (1e20, 3 + 20 + 100)])
def test_empty_and_saturated_rays_are_finite_in_value_and_gradient(level, expected):
    """Of an empty ray the depth is that of the last sample, of a saturated one that of the first."""
    t = jnp.linspace(2, 6, 8)

    def total(density):
        out = volume.composite(
            density, jnp.ones((8, 3)), t, volume.lengths(t), jnp.ones(3), (0.0, 0.0, 0.0)
        )
        return out["colour"].sum() + 10 * out["depth"] + 100 * out["opacity"]

    value, gradient = jax.value_and_grad(total)(jnp.full(8, level))
    assert float(value) == pytest.approx(expected) and np.isfinite(gradient).all()


def test_importance_samples_follow_the_weights_and_stand_for_the_length_they_cover():
    edges = jnp.linspace(0, 10, 11)[None]
    weights = jnp.zeros((1, 10)).at[0, 3].set(3).at[0, 7].set(1)
    t, length = volume.importance(edges, weights, 400)
    inside = lambda bin: ((t >= bin) & (t < bin + 1)).mean()
    assert inside(3) == pytest.approx(0.75, abs=0.01) and inside(7) == pytest.approx(0.25, abs=0.01)
    # Spread evenly over their bin.
    np.testing.assert_allclose(np.sort(t[(t >= 3) & (t < 4)]), 3 + (np.arange(300) + 0.5) / 300, atol=5e-3)
    # Two bins of length 1, none of the empty ones.
    assert float(length.sum()) == pytest.approx(2, abs=0.02)
    assert (jnp.diff(t) >= 0).all()


def test_stratified_samples_are_one_to_a_part():
    near, far = jnp.full((3, 1), 2.0), jnp.full((3, 1), 6.0)
    uniform = jax.random.uniform(jax.random.key(0), (3, 8))
    t = volume.stratified(near, far, 8, uniform)
    np.testing.assert_array_equal(jnp.floor((t - 2) * 2), np.tile(np.arange(8), (3, 1)))


def test_positional_encoding_has_the_reference_order():
    x = np.float32([[0.3, -0.2, 0.9]])
    expected = [x]
    for k in range(4):
        expected += [np.sin(2**k * x), np.cos(2**k * x)]
    np.testing.assert_allclose(encoding.positional(x, 4), np.concatenate(expected, -1), atol=1e-6)


def test_spherical_harmonics_are_orthonormal():
    z, weight = np.polynomial.legendre.leggauss(12)
    angle = np.arange(24) * 2 * np.pi / 24
    z, angle = np.meshgrid(z, angle, indexing="ij")
    ring = np.sqrt(1 - z**2)
    values = encoding.spherical_harmonics(np.stack([ring * np.cos(angle), ring * np.sin(angle), z], -1))
    products = np.einsum("zai,zaj,z->ij", values, values, weight) * 2 * np.pi / 24
    np.testing.assert_allclose(products, np.eye(16), atol=1e-5)


def test_levels_reach_from_the_coarsest_to_the_finest():
    found = encoding.resolutions(16, 16, 2048)
    assert found[0] == 16 and found[-1] == 2048 and list(found) == sorted(found)


def test_a_dense_level_interpolates_linear_functions_exactly():
    resolution = 5
    vertices = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3) / 5
    linear = lambda x: np.stack([x @ [1.0, -2.0, 0.5], x.sum(-1)], -1)
    x = np.random.default_rng(0).uniform(0, 1, (50, 3))
    table = jnp.asarray(linear(vertices), jnp.float32)
    found = encoding.hash_lookup(table, jnp.asarray(x, jnp.float32), resolution)
    np.testing.assert_allclose(found, linear(x), atol=1e-5)


@pytest.mark.parametrize("resolution", [3, 40])
def test_hash_lookup_has_the_gradients_of_its_definition(resolution):
    entries = encoding.table_size(resolution, 128)
    keys = jax.random.split(jax.random.key(0), 3)
    table = jax.random.normal(keys[0], (entries, 2))
    x = jax.random.uniform(keys[1], (30, 3))
    dy = jax.random.normal(keys[2], (30, 2))
    ours = jax.vjp(lambda t, x: encoding.hash_lookup(t, x, resolution), table, x)[1](dy)
    plain = jax.vjp(lambda t, x: encoding._interpolate(t, x, resolution), table, x)[1](dy)
    for a, b in zip(ours, plain):
        np.testing.assert_allclose(a, b, atol=1e-4)
    # By the definition of Mueller et al., equation 4, in exact integers.
    low = np.floor(np.asarray(x) * resolution).astype(int)
    expected = np.zeros((30, 2))
    for i, vertex in enumerate(low):
        share = np.asarray(x)[i] * resolution - vertex
        for corner in np.ndindex(2, 2, 2):
            at = vertex + corner
            if entries == 128:
                row = (int(at[0]) ^ int(at[1]) * 2654435761 ^ int(at[2]) * 805459861) % 128
            else:
                row = (at[0] * 4 + at[1]) * 4 + at[2]
            weight = np.prod(np.where(corner, share, 1 - share))
            expected[i] += weight * np.asarray(table)[row]
    np.testing.assert_allclose(encoding.hash_lookup(table, x, resolution), expected, atol=1e-4)
