"""One training step: every player takes its turn.

`forward` runs once. A player reads its outputs; the gradient of its loss with respect to them is
pulled back through that one pass, and players before it have already moved: a generator is judged
by the new discriminator, without a second pass through the generator.
"""

import dataclasses
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.engine import optimizers
from vision_gen.engine import state as states
from vision_gen.engine import system as systems
from vision_gen.ops import random

# Metrics under this name count leaves of the running state that differ between devices and must not.
UNEQUAL = "unequal"


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Metrics:
    """Scalars of a step in one array, which one transfer brings to the host.

    Attributes:
      names: `<player>/<term>`, `<player>/loss`, `<player>/gradient_norm`, `<player>/learning_rate` and, for players
        that do not act every step, `<player>/acted`; `state/<name>` of `System.watched`; `unequal/<leaf>`: see `averaged`.
      values: float32 [..., len(names)], zero where the player did not act; under pmap a row a device, all
        alike.
    """

    names: tuple = dataclasses.field(metadata=dict(static=True))
    values: jax.Array

    def numpy(self):
        """The values on the host, once the step is done: [len(names)]."""
        values = self.values
        if not values.is_fully_replicated:  # pmap's.
            values = values.addressable_data(0)
        return np.asarray(values).reshape(len(self.names))

    def scalars(self):
        """{name: float}."""
        return dict(zip(self.names, self.numpy().tolist()))


def example_keys(seed, step, count):
    """One key for each example of the global batch of `step`: [count]."""
    return jax.random.split(jax.random.fold_in(jax.random.key(seed), step), count)


def global_norm(tree):
    """L2 norm of all leaves together; as dot products, which XLA:CPU does without a copy of the
    squares."""
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in jax.tree.leaves(tree)))


def averaged(rest, axis):
    """Running state after a step in which every device has updated its own copy.

    Floats become their mean. Integers, booleans and keys must come out the same everywhere.

    Args:
      rest: the state, a tree.
      axis: name of the mapped axis.

    Returns:
      (rest, {leaf: float32, 0 where it is the same on all devices}).
    """
    unequal = {}

    def one(path, x):
        if jnp.issubdtype(x.dtype, jnp.floating):
            return lax.pmean(x, axis)
        raw = jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        raw = raw.astype(jnp.uint8) if raw.dtype == bool else raw
        differs = jnp.any(lax.pmax(raw, axis) != lax.pmin(raw, axis))
        unequal[states.path_name(path)] = differs.astype(jnp.float32)
        return x

    return jax.tree_util.tree_map_with_path(one, rest), unequal


def make_step(experiment, graphdef, axis=None, acting=None):
    """The function `step(state, batch) -> state, Metrics`, to be jitted.

    Args:
      experiment: an `experiment.Experiment`.
      graphdef: from `state.init_state`.
      axis: name of the mapped axis under shard_map and pmap, where `batch` is one device's part.
      acting: of the players that do not act at every step, those that act at this one; None: as the state's step says.
    """
    return Step(experiment, graphdef, axis, acting)


class Programs:
    """The step, compiled ahead of time: `programs(state, batch) -> state, Metrics`, one step after the other.

    On CPU each set of players that act together has a program of its own: XLA makes convolutions inside a branch up to 18
    times slower there. Elsewhere there is one program, with branches. What else it is asked for is of the first step's.

    Args:
      experiment, graphdef: of `make_step`.
      parallel: a `parallel.Parallel`.
      state: from `state.place_state`, donated at each step.
      batch: from `parallel.batch`; only shapes matter.
      number: of the first step.
    """

    def __init__(self, experiment, graphdef, parallel, state, batch, number=0):
        self._number, self._every, last = number, {}, number + 1
        if parallel.devices[0].platform == "cpu":
            self._every = {name: s.every for name, (_, s) in experiment.players.items() if s.every > 1}
            last = min(number + math.lcm(*self._every.values()), experiment.train.steps)
        sets = dict.fromkeys(map(self._acting, range(number, max(last, number + 1))))
        self._programs = {
            acting: parallel.compile(lambda axis: make_step(experiment, graphdef, axis, acting), state, batch)
            for acting in sets
        }
        self._first = self._programs[self._acting(number)]

    def _acting(self, number):
        return frozenset(name for name, every in self._every.items() if number % every == 0) if self._every else None

    def __call__(self, state, batch):
        program = self._programs[self._acting(self._number)]
        self._number += 1
        return program(state, batch)

    def __getattr__(self, name):
        return getattr(self._first, name)


class Step:
    """See `make_step`."""

    def __init__(self, experiment, graphdef, axis, acting):
        self._experiment, self._graphdef, self._axis, self._acting = experiment, graphdef, axis, acting
        self._players = experiment.players
        self._dtype = jnp.dtype(experiment.dtype)
        self._accumulate = experiment.train.accumulate
        self._transforms = {}
        self._corrections = {}
        for player, settings in self._players.values():
            key = optimizers.key(player)
            correction = optimizers.correction(self._players, key)
            self._corrections[key] = correction
            self._transforms.setdefault(key, optimizers.transformation(settings, correction))

    def __call__(self, state, batch):
        begun = state
        now = self._now(state["step"], jax.tree.leaves(batch)[0].shape[0])
        shared = None
        if self._accumulate == 1 and any(self._reads_shared(p, s) for p, s in self._players.values()):
            state, shared = self._forward(state, batch, now)
        metrics = {}
        for number, (name, (player, settings)) in enumerate(self._players.items()):
            if not settings.every or player.turn or player.joins:
                continue
            act = lambda state, p=player, s=settings, n=number: self._turn(p, s, n, state, batch, now, shared)
            state, terms = self._when_due(name, settings, now, act, state)
            metrics |= terms
        state, unequal = self._ended(begun, state)
        watched, _ = self._run(state["params"], state["rest"], "watched")
        metrics |= {f"state/{name}": jnp.asarray(value, jnp.float32) for name, value in watched.items()}
        metrics |= {f"{UNEQUAL}/{leaf}": value for leaf, value in unequal.items()}
        # Sorted: in one order in all programs of a run, also where a player does not act and its metrics are zeros.
        names = tuple(sorted(metrics))
        return state, Metrics(names, jnp.stack([metrics[name] for name in names]) if names else jnp.zeros(0))

    def _when_due(self, name, settings, now, act, state):
        """`act(state)` at every k-th step -> (state, metrics)."""
        if settings.every == 1:
            return act(state)
        acts = now.step % settings.every == 0 if self._acting is None else name in self._acting
        state, terms = _only_if(acts, act, state)
        return state, terms | {f"{name}/acted": jnp.float32(acts)}

    def _reads_shared(self, player, settings):
        return player.forward == "shared" and settings.shrink == 1 and not player.turn

    def _moved(self, player):
        """{name: (player, settings)} of all that move in a player's turn, itself first."""
        return {n: found for n, found in self._players.items() if player.name in (n, found[0].turn)}

    def _run(self, params, rest, method, *args):
        return systems.run(self._graphdef, params, rest, method, *args, dtype=self._dtype)

    def _now(self, step, local):
        """The draws of a step for this device's part of the batch, and when it is."""
        seed, steps = self._experiment.seed, self._experiment.train.steps
        if self._axis:
            keys = example_keys(seed, step, local * lax.axis_size(self._axis))
            keys = lax.dynamic_slice_in_dim(keys, lax.axis_index(self._axis) * local, local)
        else:
            keys = example_keys(seed, step, local)
        return systems.Now(keys, step, step.astype(jnp.float32) / steps)

    def _forward(self, state, batch, now):
        """The step's one pass -> (state, (outputs, pullback to the parameters that move))."""
        moving = {m: state["params"][m] for player, _ in self._players.values() for m in player.modules}
        out, pullback, rest = jax.vjp(
            lambda p: self._run({**state["params"], **p}, state["rest"], "forward", batch, now),
            moving,
            has_aux=True,
        )
        return {**state, "rest": rest}, (out, pullback)

    def _loss(self, trainable, out, params, rest, player, settings, batch, now):
        """-> (total, (terms, rest)) of one player, which runs `forward` itself where `out` is None and it wants one."""
        params = {**params, **trainable}
        if out is None and player.forward != "none":
            out, rest = self._run(params, rest, "forward", batch, now)
        terms, rest = self._run(params, rest, f"{player.name}_loss", out, batch, now)
        terms = {name: jnp.asarray(term, jnp.float32) for name, term in terms.items()}
        return sum(terms.values()) * (settings.every if player.lazy else 1), (terms, rest)

    def _gradients(self, player, settings, params, rest, batch, now, shared):
        """-> (gradients of the player's modules, terms, rest); without `shared` by a forward pass of its own."""
        trainable = states.pick(params, player.modules)
        arguments = (params, rest, player, settings, batch, now)
        if shared is None:
            (_, (terms, rest)), grads = jax.value_and_grad(self._loss, has_aux=True)(trainable, None, *arguments)
            return grads, terms, rest
        out, pullback = shared
        # Integer outputs of forward (indices, say) have no gradient, and are let through.
        (_, (terms, rest)), (grads, out_grads) = jax.value_and_grad(self._loss, (0, 1), has_aux=True, allow_int=True)(
            trainable, out, *arguments
        )
        (through,) = pullback(out_grads)
        return jax.tree.map(jnp.add, grads, states.pick(through, player.modules)), terms, rest

    def _accumulated(self, player, settings, params, rest, batch, now):
        """The mean gradient over parts of the batch, each with its own forward."""
        count = self._accumulate

        def gradients(rest, part):
            batch, keys = part
            return self._gradients(player, settings, params, rest, batch, dataclasses.replace(now, keys=keys), None)

        def add(carry, part):
            grads_sum, terms_sum, rest = carry
            grads, terms, rest = gradients(rest, part)
            return (jax.tree.map(jnp.add, grads_sum, grads), jax.tree.map(jnp.add, terms_sum, terms), rest), None

        # Strided, so that each device's examples stay where they are.
        split = lambda x: x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1)
        parts = jax.tree.map(split, (batch, now.keys))
        shapes = jax.eval_shape(lambda part: gradients(rest, part)[:2], jax.tree.map(lambda x: x[0], parts))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        (grads, terms, rest), _ = lax.scan(add, (*zeros, rest), parts)
        grads, terms = jax.tree.map(lambda x: x / count, (grads, terms))
        return grads, terms, rest

    def _handed(self, player, settings, number, batch, now, shared):
        """What a player gets to see: (batch, now, shared or None)."""
        if settings.shrink > 1:
            batch, keys = jax.tree.map(lambda x: x[:: settings.shrink], (batch, now.keys))
            now = dataclasses.replace(now, keys=keys)
        if player.forward == "own":  # Not the draws of the shared pass.
            now = dataclasses.replace(now, keys=random.fold(now.keys, number + 1))
        return batch, now, shared if self._reads_shared(player, settings) else None

    def _joined(self, player, settings, params, grads, rest, *given):
        """Adds the gradients of a player that joins another -> ((gradients, rest), metrics)."""
        more, terms, rest = self._gradients(player, settings, params, rest, *given)
        more = jax.tree.map(jnp.add, states.pick(grads, player.modules), more)
        return ({**grads, **more}, rest), _named(player, terms)

    def _turn(self, player, settings, number, state, batch, now, shared):
        """A player's turn: its move and those of others by its loss -> (state, metrics)."""
        given = self._handed(player, settings, number, batch, now, shared)
        params, rest = state["params"], state["rest"]
        together = self._moved(player)
        modules = tuple(module for p, _ in together.values() for module in p.modules)
        whole = dataclasses.replace(player, modules=modules)
        if self._accumulate > 1:
            grads, terms, rest = self._accumulated(whole, settings, params, rest, *given[:2])
        else:
            grads, terms, rest = self._gradients(whole, settings, params, rest, *given)
        metrics = _named(player, terms)
        for number, (name, (other, settings)) in enumerate(self._players.items()):
            if other.joins == player.name and settings.every:
                given = self._handed(other, settings, number, batch, now, shared)
                join = lambda carry, p=other, s=settings, g=given: self._joined(p, s, params, *carry, *g)
                (grads, rest), terms = self._when_due(name, settings, now, join, (grads, rest))
                metrics |= terms
        if self._axis:
            grads, metrics = lax.pmean((grads, metrics), self._axis)
        state = {**state, "rest": rest}
        for name, (mover, settings) in together.items():
            state, norm, rate = self._move(mover, settings, state, states.pick(grads, mover.modules))
            metrics |= {f"{name}/gradient_norm": norm, f"{name}/learning_rate": rate}
        return state, metrics

    def _move(self, player, settings, state, grads):
        """-> (state, norm of the gradients, learning rate)."""
        key = optimizers.key(player)
        norm = global_norm(grads)
        rate = optimizers.rate(settings, state["step"], self._experiment.train.steps) * self._corrections[key]
        old = states.pick(state["params"], player.modules)
        moved, opt_state = optimizers.moved(
            settings, *self._transforms[key], old, grads, norm, state["optimizers"][key], rate
        )
        params, moments = {**state["params"], **moved}, {**state["optimizers"], key: opt_state}
        return {**state, "params": params, "optimizers": moments}, norm, rate

    def _ended(self, begun, state):
        """After all turns: frozen networks as they were, running state of all devices, averages, the next step."""
        rest, unequal = state["rest"], {}
        if self._axis:
            rest, unequal = averaged(rest, self._axis)
        frozen = states.frozen(self._experiment, state["params"])
        rest = {**rest, **{name: begun["rest"][name] for name in frozen if name in rest}}
        state = {**state, "rest": rest}
        return {**state, **self._averages(state), "step": state["step"] + 1}, unequal

    def _averages(self, state):
        """Moving averages of parameters by half-life in examples (Karras et al. 2020).

        Running statistics are of the parameters as they are, so theirs go with them. What is no float stays as it is.
        """
        batch_size = self._experiment.train.batch_size
        averages = {name: dict(state[name]) for name in ("ema", "ema_rest") if name in state}
        for module, settings in states.averaged_modules(self._experiment).items():
            half_life = settings.ema_half_life
            if settings.ema_ramp:  # Short at first, so that the start is forgotten.
                seen = state["step"].astype(jnp.float32) * batch_size
                half_life = jnp.minimum(half_life, settings.ema_ramp * seen)
            decay = 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))
            moved = lambda old, new, decay=decay: (
                old + (1 - decay) * (new - old) if jnp.issubdtype(new.dtype, jnp.floating) else new
            )
            for average, of in (("ema", "params"), ("ema_rest", "rest")):
                if module in averages.get(average, {}):
                    averages[average][module] = jax.tree.map(moved, averages[average][module], state[of][module])
        return averages


def _named(player, terms):
    """Terms of a loss and their sum as metrics of a player."""
    return {f"{player.name}/{term}": value for term, value in {**terms, "loss": sum(terms.values())}.items()}


def _only_if(acts, act, state):
    """`act(state)` where `acts`, otherwise the state as it is and zeros -> (state, metrics)."""
    shapes = jax.eval_shape(act, state)[1]
    idle = lambda state: (state, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))
    if isinstance(acts, bool):
        return act(state) if acts else idle(state)
    return lax.cond(acts, act, idle, state)
