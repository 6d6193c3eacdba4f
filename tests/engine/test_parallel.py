"""One device, eight devices, three styles, sharded state: the same numbers."""

import socket

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import tiny
from vision_gen.engine import defaults
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import layers
from vision_gen.systems import clip

STEPS = 5


def batches(config, keys=("colour", "line")):
    rng = np.random.default_rng(0)
    size, count = config.data.size, config.train.batch_size
    shapes = {"colour": (count, size, size, 3), "line": (count, size, size, 1)}
    for _ in range(STEPS):
        # Smooth pictures: noise at full contrast would make the losses chaotic.
        small = {k: rng.integers(100, 255, (s[0], 4, 4, s[3])) for k, s in shapes.items()}
        yield {
            k: np.kron(small[k], np.ones((1, size // 4, size // 4, 1))).astype(np.uint8)
            for k in keys
        }


def losses(config, devices):
    """Metrics of every step, and the final state's largest shard of optimizer state in bytes."""
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, devices)
    graphdef, state = states.place_state(experiment, parallel)
    history, step = [], None
    for local in batches(config):
        batch = parallel.batch(local)
        step = step or parallel.compile(
            lambda axis: step_lib.make_step(experiment, graphdef, axis), state, batch
        )
        state, metrics = step(state, batch)
        history.append(metrics.scalars())
    held = max(
        sum(
            s.data.nbytes
            for leaf in jax.tree.leaves(state["optimizers"])
            for s in leaf.addressable_shards
            if s.device == device
        )
        for device in devices
    )
    return history, held


@pytest.fixture(scope="module")
def config():
    # Instance normalisation only: without batch statistics every style can be exact.
    config = tiny("scft_demo")
    config.model.discriminator_norm = "none"
    return config


@pytest.fixture(scope="module")
def single(config):
    return losses(config, jax.devices()[:1])


def assert_same(history, expected):
    for got, want in zip(history, expected, strict=True):
        assert got.keys() == want.keys()
        for name in want:
            assert got[name] == pytest.approx(want[name], rel=1e-5, abs=1e-5), name


# pmap, which is there to be compared with, last and long.
STYLES = [pytest.param(style, marks=[pytest.mark.slow] * (style == "pmap")) for style in parallel_lib.STYLES]


@pytest.mark.parametrize("style", STYLES)
def test_eight_devices_in_every_style_equal_one(config, single, style):
    config = config.copy_and_resolve_references()
    config.parallel.style = style
    history, _ = losses(config, jax.devices())
    assert_same(history, single[0])


def test_fsdp_gives_the_same_and_holds_a_quarter(config, single):
    config = config.copy_and_resolve_references()
    config.parallel.fsdp = 4
    history, held = losses(config, jax.devices())
    assert_same(history, single[0])
    # Biases and counters whose dimensions 4 does not divide stay whole.
    assert held < single[1] * 0.27


@pytest.mark.parametrize("style", STYLES[1:])
def test_batch_normalisation_sees_the_global_batch(style):
    """Batch statistics as well: the first step's losses agree with one device's."""
    config = tiny("pix2pix_openmoji")
    one, _ = losses(config, jax.devices()[:1])
    config.parallel.style = style
    many, _ = losses(config, jax.devices())
    for name, want in one[0].items():
        assert many[0][name] == pytest.approx(want, rel=2e-3, abs=1e-4), name


def test_bfloat16_computes_close_to_float32(config, single):
    config = config.copy_and_resolve_references()
    config.dtype = "bfloat16"
    history, _ = losses(config, jax.devices()[:1])
    got, want = history[0]["generator/loss"], single[0][0]["generator/loss"]
    assert got != want
    assert got == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("style", "magic", "parallel.style"),
        ("fsdp", 3, "must divide the 8 devices"),
    ],
)
def test_settings_that_do_not_fit_are_named(config, field, value, message):
    config = config.copy_and_resolve_references()
    config.parallel[field] = value
    with pytest.raises(InputError, match=message):
        parallel_lib.Parallel(Experiment(config), jax.devices())


def test_batch_size_must_fit_the_devices(config):
    config = config.copy_and_resolve_references()
    config.train.batch_size = 12
    with pytest.raises(InputError, match="train.batch_size is 12.*multiple of 8"):
        parallel_lib.Parallel(Experiment(config), jax.devices())


def test_under_fsdp_kernels_are_gathered_and_not_activations():
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "fsdp"))
    place = lambda shape, *spec: jax.ShapeDtypeStruct(
        shape, jnp.float32, sharding=jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
    )
    graphdef, params = nnx.split(layers.Linear(64, 128, bias=False, rngs=nnx.Rngs(0)))

    def function(x, kernel):
        return nnx.merge(graphdef, jax.tree.map(lambda _: kernel, params))(x)

    x, kernel = place((16, 7, 64), ("data", "fsdp")), place((64, 128), None, "fsdp")
    with jax.set_mesh(mesh):
        compiled = jax.jit(function).lower(x, kernel).compile()
    assert compiled.output_shardings.spec[0] == ("data", "fsdp")
    gathers = [line for line in compiled.as_text().splitlines() if " all-gather(" in line]
    assert gathers and all("f32[64,128]" in line for line in gathers), gathers


@pytest.mark.parametrize("style", ["shard_map", "pmap"])
def test_layers_leave_mapped_batches_alone_that_the_devices_would_divide(style):
    graphdef, params = nnx.split(layers.Linear(4, 6, rngs=nnx.Rngs(0)))
    apply = lambda x: nnx.merge(graphdef, params)(x)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 8, 4)), jnp.float32)
    if style == "pmap":
        found = jax.pmap(apply)(x)
    else:
        mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(8, 1), ("data", "fsdp"))
        spec = jax.sharding.PartitionSpec(("data", "fsdp"))
        mapped = jax.shard_map(apply, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
        found = jax.jit(mapped)(x.reshape(64, 4)).reshape(8, 8, 6)
    np.testing.assert_allclose(found, apply(x), atol=1e-6)


def test_processes_that_cannot_be_joined_are_one_error(monkeypatch):
    def refused(message, **fields):
        with pytest.raises(InputError, match=message):
            parallel_lib.initialize(defaults.Parallel(processes=2, **fields))

    monkeypatch.setattr(parallel_lib, "JOINING", 0)
    refused("config.parallel.process is 2; of 2 processes it must be one from 0 to 1", process=2)
    refused("config.parallel.coordinator must be host:port of process 0, got 'here'", process=1, coordinator="here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nobody = f"127.0.0.1:{port}"
    refused(f"nothing answers at {nobody} for 0 s .*; is process 0 running", process=1, coordinator=nobody)

    def initialize(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    refused(r"config.parallel.processes is 2, but they cannot be joined \(coordinator_address should be defined.\)")


@pytest.mark.parametrize("style", parallel_lib.STYLES)
@pytest.mark.parametrize("chunk", [2, 64])
def test_a_contrastive_loss_is_that_of_the_global_batch(style, chunk):
    """CLIP's, of linear towers: loss and gradients of the towers and the scale, as the step takes them."""
    rng = np.random.default_rng(0)
    batch = {name: jnp.asarray(rng.normal(size=(32, 6)), jnp.float32) for name in ("image", "text")}
    params = {name: jnp.asarray(rng.normal(size=(6, 5)), jnp.float32) for name in ("image", "text")}
    params["scale"] = jnp.float32(3.0)

    def step(axis):
        def step(params, batch):
            def loss(params):
                return clip.symmetric(*(batch[n] @ params[n] for n in ("image", "text")), params["scale"], chunk=chunk)

            found = jax.value_and_grad(loss)(params)
            return jax.lax.pmean(found, axis) if axis else found

        return step

    def expected(params):
        unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        logits = params["scale"] * unit(batch["image"] @ params["image"]) @ unit(batch["text"] @ params["text"]).T
        both = jax.nn.log_softmax(logits, 0), jax.nn.log_softmax(logits, 1)
        return -sum(jnp.diagonal(log).mean() for log in both) / 2

    axis = layers.BATCH_AXIS
    if style == "pmap":
        parts = jax.tree.map(lambda x: x.reshape(8, 4, 6), batch)
        found = jax.tree.map(lambda x: x[3], jax.pmap(step(axis), axis, in_axes=(None, 0))(params, parts))
    else:
        mesh, spec = jax.sharding.Mesh(np.array(jax.devices()), (axis,)), jax.sharding.PartitionSpec
        split = jax.device_put(batch, jax.sharding.NamedSharding(mesh, spec(axis)))
        run = step(None)
        if style == "shard_map":
            run = jax.shard_map(step(axis), mesh=mesh, in_specs=(spec(), spec(axis)), out_specs=spec(), check_vma=False)
        found = jax.jit(run)(params, split)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    jax.tree.map(same, found, jax.value_and_grad(expected)(params))
