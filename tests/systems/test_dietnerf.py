"""DietNeRF: whole views from random poses as the released code draws them, and their features as torch has them."""

from flax import nnx
import jax
from jax.sharding import Mesh, PartitionSpec
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests.nets.test_clip import SMALL, drawn_clip
from tests.pretrained.test_writers import ABOUT, needed
from tests.systems import test_nerf
from vision_gen import data
from vision_gen.configs import dietnerf_blender, dietnerf_demo, dietnerf_finetune, nerf_simplified
from vision_gen.engine import defaults, loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import clip
from vision_gen.ops import chunks, rays
from vision_gen.pretrained import clip as of_clip
from vision_gen.pretrained import named
from vision_gen.systems import clip as clip_system
from vision_gen.systems import dietnerf


def tiny(encoding="positional", **model):
    """With a small CLIP, as if it were of a run."""
    nerf = test_nerf.tiny(encoding)
    system = {"positional": "dietnerf.DietNeRF", "hash": "dietnerf.DietHashNeRF"}[encoding]
    samples = dict(coarse_samples=6, fine_samples=6, width=8) if encoding == "positional" else {}
    config = defaults.experiment(
        system,
        data=dict(nerf.data, views=(3, 26, 48)),
        model=dict(nerf.model) | samples | dict(encoder="run", encoder_size=16, render=8) | model,
        players=dict(field=nerf.players.field, consistency=dict(every=10)),
        **nerf.train,
    )
    sizes, of_data = clip_system.fields_of(SMALL)
    with config.unlocked():
        origin = dict(run="runs/clip", attribute="network", system="clip.CLIP", model=sizes, data=of_data)
        config.origin = ConfigDict(dict(encoder=origin))
    return config


def as_released(system, key):
    """(pose [3, 4], pixels [1, rays, 2], target) of a step's first key, as the released code has them of its draws."""
    draw = lambda i, shape=(): np.asarray(jax.random.uniform(jax.random.fold_in(key, dietnerf.POSE + i), shape))
    turn, tilt, radius = np.radians(-180 + 360 * draw(0)), np.radians(-90 + 90 * draw(1)), 3.5 + draw(2)
    c, s = np.cos, np.sin
    back = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, radius], [0, 0, 0, 1]])
    tilted = np.array([[1, 0, 0, 0], [0, c(tilt), -s(tilt), 0], [0, s(tilt), c(tilt), 0], [0, 0, 0, 1]])
    turned = np.array([[c(turn), 0, -s(turn), 0], [0, 1, 0, 0], [s(turn), 0, c(turn), 0], [0, 0, 0, 1]])
    flipped = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    pose = np.float32((flipped @ turned @ tilted @ back)[:3])
    width, height = np.asarray(system.targets["size"][...]).astype(int)
    across, down = draw(4, (2,)) * [width % 8, height % 8]
    x, y = np.meshgrid(across + np.arange(8) * (width // 8), down + np.arange(8) * (height // 8))
    targets = np.asarray(system.targets["features"][...])
    return pose, np.float32(np.stack([x, y], -1).reshape(1, 64, 2) + 0.5), targets[
        jax.random.randint(jax.random.fold_in(key, dietnerf.POSE + 3), (), 0, len(targets))
    ]


def test_rays_of_a_view_lie_as_the_released_code_lays_them():
    """Of 400 x 400 pixels 168 x 168: two apart, from a random corner of the 64 that are left; else to the edges."""
    place = dietnerf.grid(np.float32([0.25, 0.75]), np.float32([400, 300]), 168, True)
    found = place(np.arange(168 * 168)).reshape(168, 168, 2) - 0.5
    np.testing.assert_allclose(found[3, :, 0], 0.25 * (400 % 168) + 2 * np.arange(168), rtol=1e-5)
    np.testing.assert_allclose(found[:, 5, 1], 0.75 * (300 % 168) + np.arange(168), rtol=1e-5)
    found = dietnerf.grid(None, np.float32([400, 300]), 168, False)(np.arange(168 * 168)).reshape(168, 168, 2) - 0.5
    np.testing.assert_allclose(found[0, :, 0], np.linspace(0, 399, 168), rtol=1e-5)
    np.testing.assert_allclose(found[:, 0, 1], np.linspace(0, 299, 168), rtol=1e-5)


def test_cameras_look_at_the_origin_from_above():
    pose = np.asarray(rays.spherical_pose(*map(jnp.float32, ([0, 30, 200], [-90, -30, 0], [4, 3.5, 4.5]))))
    np.testing.assert_allclose(np.linalg.norm(pose[:, :, 3], axis=1), [4, 3.5, 4.5], rtol=1e-6)
    np.testing.assert_allclose(pose[:, 2, 3], [4, 3.5 * 0.5, 0], atol=1e-5)
    np.testing.assert_allclose(pose[:, :, 2], pose[:, :, 3] / np.array([[4], [3.5], [4.5]]), atol=1e-6)
    np.testing.assert_allclose(pose[:, :, :3].swapaxes(1, 2) @ pose[:, :, :3], np.tile(np.eye(3), (3, 1, 1)), atol=1e-6)


@pytest.fixture(scope="module")
def network():
    return drawn_clip(SMALL)


@pytest.mark.parametrize("token", [True, False])
def test_the_loss_and_its_gradient_are_torchs(token, network, tmp_path):
    """Clamped, resized, normalised; the class token before ln_post and projection, or the embedding; the cosine."""
    torch, transformers = needed("torch"), needed("transformers")
    of_clip.WRITERS["transformers"].write(tmp_path / "model.safetensors", network, ABOUT)
    theirs = transformers.CLIPModel.from_pretrained(tmp_path, attn_implementation="eager")
    view = np.random.default_rng(0).uniform(-0.2, 1.2, (1, 12, 12, 3)).astype(np.float32)
    view[0, :2] = 1  # As where a ray hits nothing: a bound, at which the gradient is whole.
    target = np.random.default_rng(1).normal(size=32 if token else 24).astype(np.float32)
    target /= np.linalg.norm(target)

    def ours(view):
        seen = dietnerf.look(network, dietnerf.clamped(view), size=16, token=token)
        return dietnerf.consistency(seen[0], target, 0.1)

    loss, gradient = jax.jit(jax.value_and_grad(ours))(view)
    x = torch.tensor(view.transpose(0, 3, 1, 2), requires_grad=True)
    resized = torch.nn.functional.interpolate(x.clamp(0, 1), (16, 16), mode="bilinear")
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (clip.MEAN, clip.DEVIATION))
    out = theirs.vision_model((resized - mean) / deviation)
    seen = out.last_hidden_state[:, 0] if token else theirs.visual_projection(out.pooler_output)
    expected = -0.1 * torch.cosine_similarity(torch.tensor(target), seen[0], dim=-1)
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), atol=1e-5)
    grads = x.grad.numpy().transpose(0, 2, 3, 1)
    assert np.abs(grads[0, :2]).max() > 1e-6 and (grads[(view < 0) | (view > 1)] == 0).all()
    np.testing.assert_allclose(gradient, grads, atol=1e-4 * np.abs(grads).max())


def gradient_of(experiment):
    """(function of the field's parameters that gives the consistency's terms and gradient, those parameters)."""
    graphdef, params, rest = systems.build(experiment)
    keys = jax.random.split(jax.random.key(1), 4)

    def look(field, keys):
        def loss(field):
            now = systems.Now(keys, jnp.int32(0), jnp.float32(0))
            terms, _ = systems.run(graphdef, params | {"field": field}, rest, "consistency_loss", None, None, now)
            return sum(terms.values()), terms

        return jax.value_and_grad(loss, has_aux=True)(field)

    return look, params["field"], keys


def agree(found, expected):
    (_, terms), grads = expected
    assert terms.keys() == {"fine", "coarse"}
    for (_, ours), own in [found]:
        for term in terms:
            np.testing.assert_allclose(ours[term], terms[term], rtol=1e-4)
        for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(grads), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(b).max() + 1e-9)


def test_the_gradient_is_the_same_where_rays_are_rendered_again(monkeypatch):
    """In chunks under `jax.checkpoint`, and all kept."""
    look, field, keys = gradient_of(Experiment(tiny(chunk=16)))
    found = jax.jit(look)(field, keys)
    calls = []

    def kept(function, query, chunk):
        calls.append(chunk)
        return jnp.concatenate([function(query[:, i : i + chunk]) for i in range(0, query.shape[1], chunk)], 1)

    monkeypatch.setattr(chunks, "in_chunks", kept)
    agree(found, jax.jit(lambda *given: look(*given))(field, keys))
    assert calls == [4]  # Of 64 rays 16 at a time, 4 of each example's.


def test_devices_share_the_view():
    """Two devices under `shard_map` have the terms and, in the mean, the gradients of one."""
    look, field, keys = gradient_of(Experiment(tiny()))
    spec = PartitionSpec

    def shared(field, keys):
        return jax.lax.pmean(look(field, keys), "data")

    mapped = jax.shard_map(
        shared, mesh=Mesh(jax.devices()[:2], "data"), in_specs=(spec(), spec("data")), out_specs=spec(), check_vma=False
    )
    agree(jax.jit(mapped)(field, keys), jax.jit(look)(field, keys))


def test_targets_are_the_features_of_the_training_views(network):
    experiment = Experiment(tiny())
    source = data.open(experiment.data, "train")
    found = dietnerf.DietNeRF.prepare(experiment, source, {"encoder": named.flat(network)})["targets"]
    assert source.scene.names == ("train_3", "train_26", "train_48") and found["features"].shape == (3, 32)
    np.testing.assert_array_equal(found["size"], [24, 24])
    np.testing.assert_allclose(found["intrinsics"], source.scene.intrinsics[0])
    view = source.scene.colour[1].astype(np.float32) / 255
    white = view[..., :3] * view[..., 3:] + 1 - view[..., 3:]
    look = jax.jit(lambda image: dietnerf.look(network, image, size=16, token=True))
    np.testing.assert_allclose(found["features"][1], look(white[None])[0], atol=1e-5)
    assert np.abs(found["features"][1] - found["features"][0]).max() > 1e-3


@pytest.mark.parametrize("jitter", [True, False])
def test_targets_may_be_sampled_as_renders_are(network, jitter):
    """24 px by 8 rays: every third pixel, or from edge to edge."""
    config = tiny()
    config.model.update(sampled_targets=True, jitter=jitter)
    experiment = Experiment(config)
    source = data.open(experiment.data, "train")
    found = dietnerf.DietNeRF.prepare(experiment, source, {"encoder": named.flat(network)})["targets"]
    view = source.scene.colour[1].astype(np.float32) / 255
    white = view[..., :3] * view[..., 3:] + 1 - view[..., 3:]
    kept = np.arange(0, 24, 3) if jitter else np.floor(np.linspace(0.5, 23.5, 8)).astype(int)
    look = jax.jit(lambda image: dietnerf.look(network, image, size=16, token=True))
    np.testing.assert_allclose(found["features"][1], look(white[kept][:, kept][None])[0], atol=1e-5)


def test_the_eight_views_are_what_the_released_code_draws():
    """It seeds, reads the scene without a draw, and then chooses."""
    assert dietnerf_blender.VIEWS["eight"] == tuple(np.random.RandomState(0).choice(100, 8, replace=False))


def test_published_configs_are_the_released_ones():
    diet, fine, simple = (c.get_config() for c in (dietnerf_blender, dietnerf_finetune, nerf_simplified))
    for config, first, last in ((diet, 5e-4, 200_000), (fine, 5e-4 * 0.1**0.4, 400_000), (simple, 5e-5, 200_000)):
        experiment, rate = Experiment(config), config.players.field.learning_rate
        assert experiment.data.views == dietnerf_blender.VIEWS["eight"] and experiment.train.steps == 200_000
        assert rate == pytest.approx(first)
        # 0.1 ** (step / 500,000) of the whole way.
        whole = 5e-5 if config is simple else 5e-4
        assert rate * config.players.field.lowest == pytest.approx(whole * 0.1 ** (last / 500_000))
    assert Experiment(diet).players["consistency"][1].every == 10
    assert nnx.eval_shape(lambda: build(simple)).field["coarse"].trunk[0].kernel.shape == (3 * (1 + 2 * 6), 256)


def build(config):
    return systems.load_class(config.system)(Experiment(config), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda c: c.data.update(views=()), "config.data.views must number the views"),
        (lambda c: c.data.update(views=(3, 99)), "config.data.views: no one view to train on ends in 99; there"),
        (lambda c: c.data.update(views=(3, 3)), r"config.data.views numbers a view twice: \[3, 3\]"),
        (lambda c: c.model.update(render=30), "config.model.render is 30; it must be at most the views' side, 24"),
        (lambda c: c.model.update(radius=(0.5, 1.0)), "config.model.radius is 0.5 to 1, but the training"),
        (lambda c: c.model.update(phi=(0.0, -90.0)), "config.model.phi is 0 to -90; it must rise"),
        (lambda c: c.model.update(encoder="ViT-B/32"), "config.init.encoder must be a file of ViT-B/32"),
        (lambda c: c.players.consistency.update(every=-1), "config.players.consistency.every must be at least 0"),
    ],
)
def test_what_cannot_work_is_named(change, message, tmp_path):
    config = dietnerf_demo.get_config()
    config.data.update(size=24, views=(3, 26, 48))
    config.model.render = 8
    change(config)
    with pytest.raises(InputError, match=message):
        loop.train(config, tmp_path / "run")


@pytest.mark.slow
def test_a_scene_is_learned_from_few_views_and_trained_on_without_the_term(tmp_path):
    config = tiny("hash", encoder="efficientnet-lite0", encoder_size=32)
    with config.unlocked():
        del config.origin
    config.data.views = dietnerf_demo.get_config().data.views
    loop.train(config, tmp_path / "diet")
    model = use.load(tmp_path / "diet")
    targets = model.state["rest"]["targets"]
    assert np.linalg.norm(targets["features"], axis=1) == pytest.approx([1] * 8, abs=1e-3)
    figures, _ = model.evaluate(data.open(model.experiment.data, "val"))
    assert figures["psnr"] > figures["psnr_mean_colour"]
    after = test_nerf.tiny("hash")
    after.data.views = config.data.views
    after.init.field = str(tmp_path / "diet")
    after.train.steps = 2
    loop.train(after, tmp_path / "after")
