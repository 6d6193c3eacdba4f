"""A config's training step as benchmarks take it: random batches, compiled ahead of time, flops counted."""

import dataclasses
import time

import jax
import jax.extend
from jax.interpreters import partial_eval
import numpy as np

from vision_gen import data
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import NonFiniteError

BATCHES = 3  # Different inputs that are fed in turn.


@dataclasses.dataclass
class Step:
    """A compiled training step.

    Attributes:
      compiled: `step(state, batch) -> state, metrics`; `as_text`, `memory_analysis`, `cost_analysis`.
      parallel: the `engine.parallel.Parallel` that it was compiled for.
      state: where the next call begins; None if the devices do not exist.
      batches: what is fed in turn.
      compile_seconds: tracing, lowering and compiling.
      flops: model flops of one step, all devices together.
      product_bytes: what its products and convolutions read and write; both see `matrix_work`.
      unit, count: what throughput is counted in, and how many of them a step is.
    """

    compiled: object
    parallel: parallel_lib.Parallel
    state: object
    batches: list
    compile_seconds: float
    flops: float
    product_bytes: float
    unit: str
    count: int
    _turn: int = 0

    def run(self):
        """One step, until its result is there.

        Raises:
          NonFiniteError: an output is not finite.
        """
        batch = self.batches[self._turn % len(self.batches)]
        self._turn += 1
        self.advance(batch)

    def advance(self, batch):
        """One step on a given batch, until its result is there."""
        self.state, metrics = self.compiled(self.state, batch)
        values = metrics.scalars()
        jax.block_until_ready(self.state)
        bad = {name: value for name, value in values.items() if not np.isfinite(value)}
        if bad:
            raise NonFiniteError(f"step {self._turn}: {bad}")


def build(config, devices, *, abstract=False):
    """The `Step` of a config on devices; `abstract` if they do not exist and it is only compiled."""
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, devices)
    graphdef, state = states.place_state(experiment, parallel, abstract=abstract)
    if abstract:
        shape = lambda x: jax.ShapeDtypeStruct(
            (config.train.batch_size, *x.shape), x.dtype, sharding=parallel.batch_sharding
        )
        batches = [{name: shape(x) for name, x in data.shapes(experiment.data).items()}]
    else:
        batches = [parallel.batch(random_batch(config, seed)) for seed in range(BATCHES)]
    begun = time.perf_counter()
    compiled = step_lib.Programs(experiment, graphdef, parallel, state, batches[0])
    seconds = time.perf_counter() - begun
    unit, each = experiment.system.units(experiment)
    flops, product_bytes = step_work(experiment, graphdef, state, batches[0])
    return Step(
        compiled=compiled,
        parallel=parallel,
        state=None if abstract else state,
        batches=batches,
        compile_seconds=seconds,
        flops=flops,
        product_bytes=product_bytes,
        unit=unit,
        count=config.train.batch_size * each,
    )


def random_batch(config, seed=0):
    """This process's part of a batch of noise, as numpy."""
    experiment = Experiment(config)
    rng = np.random.default_rng([seed, jax.process_index()])
    local = experiment.train.batch_size // jax.process_count()
    classes = getattr(experiment.model, "classes", 1) or 2  # Without classes there are attributes, 0 or 1.
    return data.stack([data.example(experiment.data, rng, classes) for _ in range(local)])


def step_work(experiment, graphdef, state, batch):
    """`matrix_work` of one step on the whole batch."""
    whole = lambda x, count: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype)
    if experiment.parallel.style == "pmap":
        # State and batch are stacked over devices: take one replica, and the batch as it was.
        state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state)
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((x.shape[0] * x.shape[1], *x.shape[2:]), x.dtype), batch
        )
    batch = jax.tree.map(lambda x: whole(x, experiment.train.batch_size), batch)
    return matrix_work(jax.make_jaxpr(step_lib.make_step(experiment, graphdef))(state, batch).jaxpr)


def matrix_work(jaxpr):
    """Flops of the matrix products and convolutions of a jaxpr, and bytes that each reads and writes, loops as they turn.

    The bytes are the least traffic of a program that fuses everything else into its products, but no two products.
    What no output needs does not count: gradients that no player takes are traced, but never computed.
    Multiplications by the zeros of a dilated input do not count. Of formulations for several platforms
    the default counts, of other choices the costliest. XLA's own count takes the body of a loop once.

    Returns:
      (flops, bytes).
    """
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return tuple(map(float, _matrix_work(needed)))


def _matrix_work(jaxpr):
    total = np.zeros(2)
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inner = [_matrix_work(j) for j in jax.extend.core.jaxprs_in_params(equation.params)]
        if name == "cond":
            platforms = equation.params.get("branches_platforms")
            total += inner[platforms.index(None)] if platforms else max(inner, key=lambda work: work[0])
        else:
            total += sum(inner) * (equation.params.get("length", 1) if name == "scan" else 1)
        if name not in ("dot_general", "conv_general_dilated"):
            continue
        left, right = (x.aval for x in equation.invars)
        out = equation.outvars[0].aval
        if name == "dot_general":
            (contract, _), _ = equation.params["dimension_numbers"]
            flops = 2 * out.size * np.prod([left.shape[i] for i in contract], dtype=float)
        else:
            features = right.shape[equation.params["dimension_numbers"].rhs_spec[0]]
            dilation = np.prod(equation.params["lhs_dilation"], dtype=float)
            flops = 2 * out.size * right.size / features / dilation
        total += flops, sum(x.size * x.dtype.itemsize for x in (left, right, out))
    return total
