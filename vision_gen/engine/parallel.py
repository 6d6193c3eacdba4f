"""Where arrays live: one program on one CPU or many hosts, in any of three styles.

"jit" (default): arrays sharded over a mesh with axes `data` and `fsdp`, XLA's partitioner puts the
communication in. "shard_map": the same mesh, data parallel only, communication written in the
step. "pmap": one replica of the state a device, as older code does it. All give the same numbers.
"""

import contextlib
import re
import socket
import time

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets.layers import BATCH_AXIS
from vision_gen.ops import conv

JOINING = 300  # Seconds in which process 0 must answer, as JAX has it.
STYLES = ("jit", "shard_map", "pmap")


class Parallel:
    """Places state and batches for `config.parallel` and compiles the step for it.

    Args:
      experiment: an `experiment.Experiment`; its `parallel`, `train` and `players` count.
      devices: by default all devices of all processes.

    Raises:
      InputError: a setting does not fit the devices, with the field named.
    """

    def __init__(self, experiment, devices=None):
        devices = list(devices or jax.devices())
        train = experiment.train
        self.style, fsdp = experiment.parallel.style, experiment.parallel.fsdp
        if len(devices) % fsdp:
            raise InputError(
                f"config.parallel.fsdp is {fsdp}; it must divide the {len(devices)} devices"
            )
        if fsdp > 1 and self.style != "jit":
            raise InputError(
                f'config.parallel.fsdp is {fsdp}, which only config.parallel.style="jit" can do, '
                f"got {self.style!r}"
            )
        shrink = max((settings.shrink for _, settings in experiment.players.values()), default=1)
        parts = len(devices) * train.accumulate * shrink
        if train.batch_size % parts:
            raise InputError(
                f"config.train.batch_size is {train.batch_size}; it must be a multiple of {parts} "
                f"({len(devices)} devices x config.train.accumulate{' x the largest shrink of a player' * (shrink > 1)})"
            )
        self.devices = devices
        self.fsdp = fsdp
        self._local_devices = sum(d.process_index == jax.process_index() for d in devices)
        self.mesh = Mesh(np.array(devices).reshape(-1, fsdp), (BATCH_AXIS, "fsdp"))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec((BATCH_AXIS, "fsdp")))

    def state_sharding(self, state):
        """Shardings of a state tree: along the largest dimension that `fsdp` divides, if any."""

        def one(x):
            spec = [None] * len(x.shape)
            fitting = [i for i, n in enumerate(x.shape) if n >= self.fsdp and n % self.fsdp == 0]
            if self.fsdp > 1 and fitting:
                spec[max(fitting, key=lambda i: x.shape[i])] = "fsdp"
            return NamedSharding(self.mesh, PartitionSpec(*spec))

        return jax.tree.map(one, state)

    def compile(self, make_step, state, batch):
        """Compiles the step ahead of time.

        Args:
          make_step: takes the mapped axis's name or None, returns `step(state, batch)`.
          state: from `place`.
          batch: from `batch`; only shapes matter.

        Returns:
          `step(state, batch) -> state, metrics`, as `make_step` says; the state is donated.
        """
        if self.style == "pmap":
            step = jax.pmap(
                make_step(BATCH_AXIS), BATCH_AXIS, devices=self.devices, donate_argnums=0
            )
            return step.lower(state, batch).compile(compiler_options=self.compiler_options)
        if self.style == "shard_map":
            spec = PartitionSpec
            step = jax.shard_map(
                make_step(BATCH_AXIS),
                mesh=self.mesh,
                in_specs=(spec(), spec((BATCH_AXIS, "fsdp"))),
                out_specs=(spec(), spec()),
                check_vma=False,
            )
        else:
            step = make_step(None)
        states = jax.tree.map(lambda x: x.sharding, state)
        step = jax.jit(step, out_shardings=(states, self.replicated), donate_argnums=0)
        with jax.set_mesh(self.mesh) if self.fsdp > 1 else contextlib.nullcontext():  # For `layers.spread`.
            lowered = step.lower(state, batch)
        return lowered.compile(compiler_options=self.compiler_options)

    @property
    def compiler_options(self):
        """Options for `jax.jit`, by the platform of the devices."""
        return conv.compiler_options(self.devices[0].platform)

    def shapes(self, function, *arguments):
        """Shapes and shardings of the state that `function(*arguments)` makes."""
        shapes = jax.eval_shape(function, *arguments)
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            shapes,
            self.state_sharding(shapes),
        )

    def init(self, function, *arguments):
        """State made by `function(*arguments)` on the devices, sharded as it is made."""
        shardings = jax.tree.map(lambda x: x.sharding, self.shapes(function, *arguments))
        return self.stack(jax.jit(function, out_shardings=shardings)(*arguments))

    def stack(self, state):
        """A sharded state in the form that the step takes: under pmap, one replica a device."""
        if self.style != "pmap":
            return state
        sharding = NamedSharding(Mesh(np.array(self.devices), BATCH_AXIS), PartitionSpec(BATCH_AXIS))

        def replicate(x):
            local = np.broadcast_to(np.asarray(x), (self._local_devices, *x.shape))
            return jax.make_array_from_process_local_data(sharding, local)

        return _on_raw(lambda tree: jax.tree.map(replicate, tree), state)

    def unstack(self, state):
        """The inverse of `stack`."""
        if self.style != "pmap":
            return state

        def one(tree):
            host = jax.tree.map(lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)
            return jax.tree.map(jax.device_put, host, self.state_sharding(host))

        return _on_raw(one, state)

    def batch(self, local):
        """A process's part of a batch, as numpy arrays, onto its devices."""
        if self.style == "pmap":
            parts = self._local_devices
            return jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), local)
        return self.inference_batch(local)

    def inference_batch(self, local):
        """Like `batch`, but always one array over the mesh: for sampling and evaluation."""
        if jax.process_count() == 1:  # One call for all arrays.
            return jax.device_put(local, self.batch_sharding)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.batch_sharding, x), local
        )


def _on_raw(function, tree):
    """`function` of a tree whose random keys are the integers that they are of."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    raw = function(jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree))
    return jax.tree.map(
        lambda x, r: jax.random.wrap_key_data(r, impl=jax.random.key_impl(x)) if is_key(x) else r, tree, raw
    )


def initialize(parallel):
    """Joins the other processes, if `config.parallel.processes` says that there are any.

    On Cloud TPU and under SLURM the addresses are found (`coordinator` empty); elsewhere they
    are given. Call before anything touches a device.

    Args:
      parallel: the typed `config.parallel`.

    Raises:
      InputError: a setting is wrong, or the other processes are not found.
    """
    if parallel.processes == 1:
        return
    if parallel.processes and parallel.process >= parallel.processes:
        raise InputError(
            f"config.parallel.process is {parallel.process}; of {parallel.processes} processes it must be one from 0 "
            f"to {parallel.processes - 1}"
        )
    if parallel.coordinator and not re.fullmatch(r"\S+:\d+", parallel.coordinator):
        raise InputError(f"config.parallel.coordinator must be host:port of process 0, got {parallel.coordinator!r}")
    if parallel.coordinator and parallel.process:
        _wait_for(parallel.coordinator)
    if jax.config.jax_platforms == "cpu" or not jax.config.jax_platforms:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    arguments = {}
    if parallel.coordinator:
        arguments = dict(
            coordinator_address=parallel.coordinator,
            num_processes=parallel.processes,
            process_id=parallel.process,
        )
    try:
        jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=parallel.timeout)
    except (ValueError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"config.parallel.processes is {parallel.processes}, but they cannot be joined ({why}); "
            f"config.parallel.coordinator, host:port of process 0, is {parallel.coordinator!r}; it may be empty in a "
            "cluster that says it"
        ) from error


def _wait_for(coordinator):
    """Returns when process 0 answers: JAX itself would abort this process where it never does."""
    host, _, port = coordinator.rpartition(":")
    end = time.monotonic() + JOINING
    while True:
        try:
            return socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            if time.monotonic() >= end:
                raise InputError(
                    f"config.parallel.coordinator: nothing answers at {coordinator} for {JOINING} s ({error}); is process 0 "
                    "running there?"
                ) from error
            time.sleep(1)


def barrier(name):
    """Waits for the other processes."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
