"""NeRF: both fields learn a scene, and published weights give what their own code gives."""

import json
from types import SimpleNamespace

from flax import nnx, serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.golden import features_by_name, ops_by_seed
from vision_gen.configs import nerf_blender, nerf_demo
from vision_gen import data
from vision_gen.data import analytic_scene
from vision_gen.data.scene import Views
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import nerf as net
from vision_gen.ops import rays, volume
from vision_gen.pretrained import named, torch_file
from vision_gen.pretrained import nerf as pretrained
from vision_gen.systems import nerf


def tiny(encoding):
    if encoding == "hash":
        config = nerf_demo.get_config()
        config.model.update(
            levels=4, entries=2**12, finest=48, width=16, samples=16, occupancy_bins=32,
            occupancy_resolution=16, occupancy_visited=512,
        )
    else:
        config = nerf_blender.get_config()
        config.model.update(width=32, coarse_samples=24, fine_samples=24)
        config.players.field.learning_rate = 2e-3
    config.data.update(name="analytic_scene", size=24, rays=16, film_frames=2)
    config.train.update(
        batch_size=16, steps=200, log_every=100, sample_every=0, eval_every=0, eval_images=8,
        checkpoint_every=200, sample_images=2,
    )
    return config


def field_of(path, config):
    """The parameters of a config's field with the weights of a file."""
    field = systems.load_class(config.system)(Experiment(config), rngs=nnx.Rngs(0)).field
    return nnx.to_pure_dict(nnx.state(named.load(pretrained.read, path, field)))


@pytest.mark.parametrize("encoding", ["hash", pytest.param("positional", marks=pytest.mark.slow)])
def test_held_out_views_are_learned(encoding, tmp_path):
    config = tiny(encoding)
    loop.train(config, tmp_path)
    means, paths = evaluation.evaluate_run(tmp_path)
    assert all(path.exists() for path in paths) and (tmp_path / "orbit.gif").exists()
    (record,) = json.loads(paths[0].read_text())["evaluations"]
    assert all(entry["what"] for entry in record["metrics"].values())
    assert means["psnr"] > means["psnr_mean_colour"] + 4, means
    model = use.load(tmp_path)
    # The cameras that it was trained with are kept: one of them shows what training saw.
    source = data.open(Experiment(config).data, "val")
    view = source[0]
    found = model.render(view["pose"])
    shown = model.apply("sample", [view], 1)["output"][0]
    np.testing.assert_allclose(found["image"], (shown + 1) * 127.5, atol=1)
    assert found["depth"].shape == (24, 24, 3)
    film = model.film([view["pose"], source[1]["pose"]])
    np.testing.assert_allclose(film["film"][0], found["image"].astype(int), atol=1)
    assert film["film"].shape == film["depth"].shape == (2, 24, 24, 3)
    assert np.abs(film["film"][1].astype(int) - film["film"][0]).max() > 20
    with pytest.raises(InputError, match="camera: anything.png is not readable as JSON|no such file"):
        model("anything.png")


def test_a_film_has_one_range_of_depths():
    depth = jnp.full((1, 3, 4, 4, 1), jnp.nan, jnp.float16).at[:, 0].set(2).at[:, 1].set(6).at[0, 0, 0, 0].set(jnp.nan)
    state = {"film": jnp.zeros((1, 3, 4, 4, 3), jnp.uint8), "depth": depth, "count": jnp.array([2])}
    frames = np.asarray(nerf.RadianceField.film_finish(None, state)["depth"]["frames"])[0]
    yellow, violet, grey = (253, 231, 37), (68, 1, 84), (222, 222, 222)
    assert (frames[0, 1:] == yellow).all() and (frames[1] == violet).all()
    assert (frames[0, 0, 0] == grey).all() and (frames[2] == grey).all()


def test_a_view_in_chunks_is_the_view():
    config = tiny("positional")
    graphdef, params, rest = systems.build(Experiment(config))
    source = data.open(Experiment(config).data, "val")
    batch = data.stack([source[0]])

    def view(chunk):
        config.model.chunk = chunk
        graphdef = systems.build(Experiment(config))[0]
        return jax.jit(lambda params: systems.run(graphdef, params, rest, "view", batch)[0])(params)

    whole, parts = view(24 * 24), view(100)
    for name in whole:
        # The highest octave multiplies the rounding of a position by 512.
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-3)


def test_masked_pixels_of_a_view_do_not_count():
    config = tiny("positional")
    graphdef, params, rest = systems.build(Experiment(config))
    batch = data.stack([data.open(Experiment(config).data, "val")[0]])
    mask = np.ones((1, 24, 24, 1), bool)
    mask[:, :, :9] = False
    other = np.where(mask, batch["colour"], np.uint8(255) - batch["colour"])
    figures = jax.jit(lambda batch: systems.run(graphdef, params, rest, "evaluate", batch, None)[0])
    found, poisoned = (figures({**batch, "colour": colour, "mask": mask}) for colour in (batch["colour"], other))
    plain = figures({**batch, "colour": other, "mask": np.ones_like(mask)})
    for name in found:
        assert found[name] == poisoned[name] != plain[name]


def test_empty_space_is_skipped():
    """All samples but the explorers' go where the occupancy grid has seen density."""
    config = tiny("hash")
    system = systems.load_class(config.system)(Experiment(config), rngs=nnx.Rngs(0))
    inside = lambda x: (jnp.linalg.norm(x, axis=-1) < 0.5) * 50.0
    for _ in range(60):
        system.occupancy.update(inside)
    seen = []

    class Spy:
        def __call__(self, x, d):
            seen.append(x)
            return inside(x), jnp.ones_like(x)

    system.field = Spy()
    scene = analytic_scene.render("val", 24)
    view = {k: v[None] for k, v in Views(scene)[0].items()}
    found, seen = jax.jit(lambda view: (system.view(view), seen))(view)
    opaque = np.asarray(found["opacity"])[0, 10:14, 10:14]
    assert (opaque > 0.95).all()
    x = np.concatenate([np.reshape(s, (24, 24, -1, 3))[10:14, 10:14].reshape(-1, 3) for s in seen])
    # A cell of the grid around the sphere, and a bin of the ray.
    assert (np.linalg.norm(x, axis=-1) < 0.9).mean() > 0.85


def test_fields_see_points_of_rays_and_unit_directions():
    """The coarse one at the middles of equal parts, the fine one at these and where the coarse one saw something."""
    config = tiny("positional")
    system = systems.load_class(config.system)(Experiment(config), rngs=nnx.Rngs(0))
    seen = []

    def field(x, d):
        seen.append((x, d))
        return jnp.full(x.shape[:-1], 0.3), jnp.ones_like(x)

    system.field = SimpleNamespace(coarse=field, fine=field)
    view = data.open(Experiment(config).data, "val")[0]
    pixel, camera = np.float32([[[3.5, 20.5], [12.5, 4.5]]]), (view["pose"][None, None], view["intrinsics"][None, None])
    seen = jax.jit(lambda *given: (system.render_rays(*given), seen)[1])(pixel, *camera)
    origin, direction = rays.camera_rays(pixel, *camera)
    length = jnp.linalg.norm(direction, axis=-1, keepdims=True)
    assert length.max() > 1.05
    depths = []
    for x, d in seen:
        np.testing.assert_allclose(d, (direction / length)[..., None, :], rtol=1e-5)
        along = ((x - origin[..., None, :]) * d).sum(-1) / length
        np.testing.assert_allclose(origin[..., None, :] + along[..., None] * direction[..., None, :], x, atol=1e-4)
        depths.append(np.asarray(along))
    coarse, fine = depths
    np.testing.assert_allclose(coarse, np.broadcast_to(2 + 4 * (np.arange(24) + 0.5) / 24, (1, 2, 24)), atol=1e-4)
    assert fine.shape == (1, 2, 48) and (np.diff(fine) > -1e-4).all()
    assert np.abs(fine[..., None, :] - coarse[..., None]).min(-1).max() < 1e-3


def test_the_occupancy_grid_forgets_what_is_gone():
    grid = net.OccupancyGrid(bound=1.0, resolution=2, visited=8, decay=0.9)
    for level, updates in ((5.0, 12), (0.0, 12)):
        for _ in range(updates):
            grid.update(lambda x: jnp.full(len(x), level))
        found = grid(np.float32([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)]))
        if level:
            np.testing.assert_array_equal(found, 5)
    # A cell is visited once an update in the mean, and falls by a tenth each time.
    visits = np.log(np.asarray(found) / 5) / np.log(0.9)
    np.testing.assert_allclose(visits, np.round(visits), atol=1e-3)
    assert visits.sum() == pytest.approx(12 * 8, abs=0.1)


def test_published_torch_weights_render_as_they_do_in_torch(tmp_path):
    config = nerf_blender.get_config()
    config.model.width = 64
    one = lambda: net.RadianceMLP(width=64, rngs=nnx.Rngs(0))
    path = tmp_path / "200000.tar"
    about = {"step": 200_000, "classes": (), "cameras": None}
    pretrained.WRITERS["pytorch"].write(path, nnx.Dict(coarse=one(), fine=one()), about)
    file = torch_file.read(path)
    for part, entry in (("coarse", "network_fn_state_dict"), ("fine", "network_fine_state_dict")):
        file[entry] = {k: features_by_name.weight(f"{part}.{k}", v.shape) for k, v in file[entry].items()}
    torch_file.write(file, path)
    field = field_of(path, config)

    x, d, t = map(jnp.asarray, ops_by_seed.rays())
    module = nnx.split(one())[0]

    def rendered(params):
        density, colour = nnx.merge(module, nnx.State(params))(x, jnp.broadcast_to(d[:, None], x.shape))
        return volume.composite(density, colour, t, volume.lengths(t), d, (1.0, 1.0, 1.0))["colour"]

    look = jax.jit(lambda params: (rendered(params), jax.grad(lambda p: (rendered(p) ** 2).sum())(params)))
    golden = np.load(ROOT / "tests" / "golden" / "torch_reference.npz")  # See make_torch.py there.
    for part in ("coarse", "fine"):
        colour, ours = look(field[part])
        np.testing.assert_allclose(colour, golden[f"nerf/{part}/colour"], atol=1e-4)
        kernels = {f"pts_linears.{i}": ours["trunk"][i]["kernel"] for i in range(8)}
        kernels["rgb_linear"] = ours["colour"]["kernel"]
        for name, kernel in kernels.items():
            theirs = golden[f"nerf/{part}/{name}"]
            np.testing.assert_allclose(features_by_name.some(kernel), theirs, atol=1e-3 * np.abs(theirs).max())

    config.model.width = 32
    with pytest.raises(InputError, match=r"has shape \[64\], the network's"):
        field_of(path, config)


@pytest.mark.parametrize("fine", [0, 4])
def test_released_weights_without_directions_compute_what_torch_computes(fine, tmp_path):
    """As DietNeRF's release has them: wrapped in DataParallel, a layer of directions that nothing reads."""
    config = nerf_blender.get_config()
    config.model.update(width=16, directions=False, position_octaves=6, fine_samples=fine)
    rng = np.random.default_rng(0)
    sizes = {f"pts_linears.{i}": (16, 39 if i == 0 else 16 + 39 * (i == 5)) for i in range(8)}
    sizes |= {"output_linear": (5 if fine else 4, 16), "views_linears.0": (8, 16)}
    state = lambda: {
        f"module.{name}.{part}": np.float32(rng.normal(size=shape[: 2 - (part == "bias")]) / 4)
        for name, shape in sizes.items()
        for part in ("weight", "bias")
    }
    entries = ["network_fn_state_dict", *(["network_fine_state_dict"] if fine else [])]
    file, path = {"global_step": 3, **{entry: state() for entry in entries}}, tmp_path / "200000.tar"
    torch_file.write(file, path)
    field = field_of(path, config)
    assert field.keys() == ({"coarse", "fine"} if fine else {"coarse"})
    x = rng.uniform(-1, 1, (30, 3))
    encoded = np.concatenate([x, *(w for k in range(6) for w in (np.sin(2**k * x), np.cos(2**k * x)))], -1)
    system = systems.load_class(config.system)(Experiment(config), rngs=nnx.Rngs(0))
    graphdef = nnx.split(system.field["coarse"])[0]
    look = jax.jit(lambda params: nnx.merge(graphdef, nnx.State(params))(np.float32(x), None))
    for part, entry in zip(field, entries, strict=True):
        layer = lambda name, h: h @ file[entry][f"module.{name}.weight"].T + file[entry][f"module.{name}.bias"]
        h = encoded
        for i in range(8):
            h = np.maximum(layer(f"pts_linears.{i}", h), 0)
            if i == 4:
                h = np.concatenate([encoded, h], -1)
        raw = layer("output_linear", h)
        density, colour = look(field[part])
        assert np.abs(raw[:, 3]).max() > 0.1
        np.testing.assert_allclose(density, raw[:, 3], atol=1e-4)
        np.testing.assert_allclose(colour, 1 / (1 + np.exp(-raw[:, :3])), atol=1e-4)

    about = {"step": 3, "classes": (), "cameras": None}
    pretrained.WRITERS["pytorch"].write(tmp_path / "back.tar", named.load(pretrained.read, path, system.field), about)
    back = torch_file.read(tmp_path / "back.tar")
    assert len(back["optimizer_state_dict"]["param_groups"][0]["params"]) == len(entries) * len(sizes) * 2
    for entry in entries:
        for name, value in file[entry].items():
            written = back[entry][name.removeprefix("module.")]
            assert written.shape == value.shape
            if "views_linears" not in name:
                np.testing.assert_array_equal(written[:4], value[:4])
    with pytest.raises(InputError, match="jaxnerf's checkpoints are of two networks with directions"):
        pretrained.WRITERS["jaxnerf"].write(tmp_path / "checkpoint_3", system.field, about)


@pytest.mark.parametrize("legacy", [False, True])
def test_jaxnerf_weights_compute_what_jaxnerf_computes(legacy, tmp_path):
    width = 16
    rng = np.random.default_rng(0)

    def dense(inputs, outputs):
        return {
            "kernel": np.float32(rng.normal(size=(inputs, outputs)) / inputs**0.5),
            "bias": np.float32(rng.normal(size=outputs)),
        }

    sizes = [(63 if i == 0 else width + 63 * (i == 5), width) for i in range(8)]
    sizes += [(width, 1), (width, width), (width + 27, width // 2), (width // 2, 3)]
    weights = {
        f"MLP_{n}": {f"Dense_{i}": dense(*s) for i, s in enumerate(sizes)} for n in range(2)
    }
    path = tmp_path / "checkpoint_1000000"
    path.write_bytes(
        serialization.msgpack_serialize({"optimizer": {"target": {"params": weights}}})
    )
    config = nerf_blender.get_config()
    config.model.width = width
    params = field_of(f"{path}{pretrained.LEGACY * legacy}", config)

    def encode(x, octaves):
        scaled = [2**k * x for k in range(octaves)]
        if legacy:
            waves = [w for s in scaled for w in (np.sin(s), np.cos(s))]
        else:
            waves = [np.sin(s) for s in scaled] + [np.cos(s) for s in scaled]
        return np.concatenate([x, *waves], -1)

    def theirs(mlp, x, d):
        apply = lambda i, h: h @ mlp[f"Dense_{i}"]["kernel"] + mlp[f"Dense_{i}"]["bias"]
        inputs = h = encode(x, 10)
        for i in range(8):
            h = np.maximum(apply(i, h), 0)
            if i == 4:
                h = np.concatenate([h, inputs], -1)
        view = np.concatenate([apply(9, h), encode(d, 4)], -1)
        return apply(8, h)[..., 0], 1 / (1 + np.exp(-apply(11, np.maximum(apply(10, view), 0))))

    x, d = rng.uniform(-1, 1, (2, 30, 3))
    module = nnx.split(net.RadianceMLP(width=width, rngs=nnx.Rngs(0)))[0]
    ours = jax.jit(lambda params, x, d: nnx.merge(module, nnx.State(params))(x, d))
    for name, mlp in (("coarse", "MLP_0"), ("fine", "MLP_1")):
        for a, b in zip(ours(params[name], np.float32(x), np.float32(d)), theirs(weights[mlp], x, d)):
            np.testing.assert_allclose(a, b, atol=2e-3)


def test_bad_settings_are_named(tmp_path):
    config = tiny("hash")
    config.model.entries = 1000
    with pytest.raises(InputError, match="config.model.entries must be a power of two, got 1000"):
        Experiment(config)
    config = tiny("hash")
    config.data.rays = 10**9
    with pytest.raises(InputError, match="config.data.rays must be from 1 to"):
        data.open(Experiment(config).data, "train")
