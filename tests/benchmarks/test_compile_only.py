"""What the compile-time figures are made of, on programs whose counts are known."""

import jax
from jax import lax
import jax.numpy as jnp
import pytest

from benchmarks import compile_only, program, steps, targets
from tests.conftest import tiny
from tests.systems.test_losses import CASES
from vision_gen.errors import InputError
from vision_gen.ops import conv


def test_products_in_a_loop_count_as_often_as_it_turns():
    w = jnp.ones((5, 8, 8))
    step = lambda x: lax.scan(lambda x, w: (jax.jit(jnp.dot)(x, w), None), x, w)[0]
    jaxpr = jax.make_jaxpr(step)(jnp.ones((3, 8)))
    assert steps.matrix_work(jaxpr.jaxpr) == (5 * 2 * 3 * 8 * 8, 5 * 4 * (2 * 3 * 8 + 8 * 8))


def test_a_product_that_nothing_needs_does_not_count():
    gradient = jax.grad(lambda x, w: jax.jit(jnp.dot)(x, w).sum(), (0, 1))
    both, one = (jax.make_jaxpr(f)(jnp.ones((3, 8)), jnp.ones((8, 8))) for f in (gradient, lambda *a: gradient(*a)[0]))
    (one, _), (both, _) = (steps.matrix_work(jaxpr.jaxpr) for jaxpr in (one, both))
    assert 2 * one == both == 2 * 2 * 3 * 8 * 8


# The second has a formulation with fewer products on CPU.
@pytest.mark.parametrize("kernel,stride,channel", [(4, 2, 16), (3, 1, 96)])
def test_a_convolution_counts_once_forward_and_twice_back_in_every_formulation(kernel, stride, channel):
    forward = 2 * (8 * (64 // stride) ** 2 * 2 * channel) * (kernel**2 * channel)
    x, w = jnp.ones((8, 64, 64, channel)), jnp.ones((kernel, kernel, channel, 2 * channel))
    size = 4 * (x.size + w.size + 8 * (64 // stride) ** 2 * 2 * channel)
    f = lambda x, w: (conv.conv(x, w, stride=stride, padding=1) ** 2).sum()
    assert steps.matrix_work(jax.make_jaxpr(f)(x, w).jaxpr) == (forward, size)
    assert steps.matrix_work(jax.make_jaxpr(jax.grad(f, (0, 1)))(x, w).jaxpr) == (3 * forward, 3 * size)


TEXT = """HloModule m

FileNames
1 "/home/a/vision_gen/nets/x.py"
2 "/usr/site-packages/jax/y.py"

FunctionNames
1 "f"

FileLocations
1 {file_name_id=1 function_name_id=1 line=7 end_line=7 column=1 end_column=2}
2 {file_name_id=2 function_name_id=1 line=9 end_line=9 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=1}

%inner (p: f32[4,8]) -> f32[4,8] {
  %p = f32[4,8]{1,0} parameter(0)
  ROOT %convolution.1 = f32[4,8]{1,0} convolution(%p, %p), dim_labels=bf_io->bf
}

%body (t: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %t = (s32[], f32[4,8]{1,0}) parameter(0)
  %g = f32[4,8]{1,0} get-tuple-element(%t), index=1
  %i = s32[] get-tuple-element(%t), index=0
  %r = f32[4,8]{1,0} all-reduce(%g), replica_groups={{0,1},{2,3}}, to_apply=%add
  ROOT %u = (s32[], f32[4,8]{1,0}) tuple(%i, %r)
}

ENTRY %main (x: f32[4,8]) -> f32[4,8] {
  %x = f32[4,8]{1,0} parameter(0)
  %f = f32[4,8]{1,0} fusion(%x), kind=kOutput, calls=%inner, metadata={op_name="jit(f)/conv" stack_frame_id=2}
  %s = bf16[2,8]{1,0:S(1)} copy(%f)
  %k = ((f32[4,8]{1,0}), f32[1,8]{1,0:S(1)}, s32[]) slice-start(%x), slice={[0:1], [0:8]}
  %l = f32[1,8]{1,0:S(1)} slice-done(%k)
  %b = (bf16[2]{0}, bf16[4]{0}) all-gather-start(%s), replica_groups=[2,2]<=[2,2]T(1,0), dimensions={0}
  %w = (s32[], f32[4,8]{1,0}) while(%x), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %o = f32[4,8]{1,0} get-tuple-element(%w), index=1
}
"""


def test_a_program_is_read_from_its_text():
    read = program.Program(TEXT)
    by_name = {i.name: i for i in read.instructions}
    assert by_name["f"].source == "vision_gen/nets/x.py:7" and by_name["f"].op_name == "jit(f)/conv"
    assert by_name["r"].times == 5
    assert read.counts() == {
        "fusion": 1, "convolution": 1, "copy": 1, "while": 1, "all-reduce": 1, "all-gather": 1
    }  # fmt: skip
    # The fusion reads and writes 128; the copy reads 128, its result stays on the chip, and the gather writes 8; the
    # slice reads the 32 that it brings onto the chip; the all-reduce 5 times 256.
    assert read.bytes_moved() == 2 * 128 + 128 + 8 + 32 + 5 * 256
    assert read.traffic(1) == [("(the compiler)", "all-reduce", 5 * 256)]
    assert read.collectives({"data": 2, "fsdp": 2}) == {
        ("all-reduce", "fsdp"): (1, 5 * 128.0),
        ("all-gather", "data"): (1, 8.0),
    }
    assert program.axis_of("replica_groups={}", {"data": 2, "fsdp": 2}) == "data+fsdp"


def test_counts_of_a_real_program_follow_its_loop():
    def loop(x, w):
        return lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=7)[0]

    compiled = jax.jit(loop).lower(jnp.ones((64, 64)), jnp.ones((64, 64))).compile()
    read = program.Program(compiled.as_text())
    turns = [i.times for i in read.instructions if "tanh" in i.op_name]
    assert turns and set(turns) == {7}


def test_parts_of_large_arrays_count_as_parts():
    """A loop over stacked weights reads each once, and what it stacks it writes once."""

    def loop(x, w):
        return lax.scan(lambda x, w: (jnp.tanh(x + w), x * w), x, w)

    w = jnp.ones((50, 1000))
    read = program.Program(jax.jit(loop).lower(w[0], w).compile().as_text())
    once = 4 * w.size
    assert 2 * once <= read.bytes_moved() < 12 * once  # Each turn reading all of it would be 50 times.


def test_parts_behind_bitcasts_count_as_parts_and_work_space_not_at_all():
    text = """HloModule m

%put (p: f32[9,8], q: f32[8], i: s32[]) -> f32[9,2,4] {
  %p = f32[9,8]{1,0} parameter(0)
  %q = f32[8]{0} parameter(1)
  %i = s32[] parameter(2)
  %whole = f32[9,2,4]{2,1,0} bitcast(%p)
  %new = f32[1,2,4]{2,1,0} bitcast(%q)
  %zero = s32[] constant(0)
  ROOT %put = f32[9,2,4]{2,1,0} dynamic-update-slice(%whole, %new, %i, %zero, %zero)
}

ENTRY %main (a: f32[9,8], b: f32[8], i: s32[]) -> f32[9,2,4] {
  %a = f32[9,8]{1,0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %i = s32[] parameter(2)
  %made = (f32[8]{0}, s8[1000]{0}) custom-call(%b), custom_call_target="library"
  %c = f32[8]{0} get-tuple-element(%made), index=0
  ROOT %f = f32[9,2,4]{2,1,0} fusion(%a, %c, %i), kind=kLoop, calls=%put
}
"""
    # The library reads and writes 8 numbers; the fusion reads them and an index, and writes them.
    assert program.Program(text).bytes_moved() == 4 * (8 + 8 + 8 + 1 + 8)


def test_a_step_is_compiled_for_devices_that_are_only_described():
    """Here for the CPU, so that the test needs no plugin."""
    config = tiny("pix2pix_openmoji")
    compiled = compile_only.Compiled(config, jax.devices()[:2])
    found, limits = compile_only.figures(compiled, targets.chip("tpu:v5e:1x2"), "bfloat16")
    assert compiled.needed == compiled.arguments + compiled.outputs + compiled.temporaries
    assert any(kind == "all-reduce" and axis == "data" for kind, axis in compiled.collectives)
    assert found["roofline: step at least"]["value"] == max(limits.values())
    chip = targets.chip("tpu:v5e:1x2")
    assert limits["compute"] == compiled.flops / chip.flops
    assert limits["memory"] == compiled.moved / chip.bandwidth
    # The CPU fuses little, so all but the products cost it something.
    assert 0 < compiled.product_bytes < compiled.moved


def test_the_largest_batch_is_found(monkeypatch):
    config = tiny("pix2pix_openmoji")
    monkeypatch.setattr(compile_only, "needed", lambda c, d, batch: None if batch > 900 else 10.0 * batch)
    devices = jax.devices()[:4]
    quiet = lambda text: None
    batch, size = compile_only.largest_batch(config, devices, 5000.0, quiet)
    assert batch % 4 == 0 and 470 <= batch <= 500 and size == 10 * batch
    assert compile_only.largest_batch(config, devices, 1e9, quiet)[0] >= 840
    assert compile_only.largest_batch(config, devices, 1.0, quiet) == (0, None)


def test_every_system_says_what_the_papers_size_is():
    names = {cls.__module__.removeprefix("vision_gen.systems.").split(".")[0] for cls, _ in CASES.values()}
    configs = {n: compile_only.paper(m) for n, m in compile_only.paper_configs().items()}
    assert {c.system.split(".")[0] for c in configs.values()} == names
    assert configs["scft_openmoji"].model.perceptual == "vgg19"  # Whether or not its weights are here.


def test_fields_that_are_given_go_before_the_papers():
    module = compile_only.paper_configs()["clip_captions"]
    config = module.get_config("ViT-L/14")
    config.train.batch_size = 64
    config = compile_only.paper(module, config, {"train.batch_size"})
    assert (config.train.batch_size, config.model.remat) == (64, "full")
    assert config.model.to_dict() == module.get_config("ViT-L/14").model.to_dict() | {"remat": "full"}


def test_unknown_targets_are_named():
    with pytest.raises(InputError, match="--target must be CHIP:TOPOLOGY .*'tpu:v9:2x2'"):
        targets.devices("tpu:v9:2x2")
