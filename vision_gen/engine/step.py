"""One training step: every player takes its turn.

`forward` runs once. A player reads its outputs; the gradient of its loss with respect to them is
pulled back through that one pass, and players before it have already moved: a generator is judged
by the new discriminator, without a second pass through the generator.
"""

import dataclasses

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from vision_gen.engine import system as systems
from vision_gen.errors import InputError


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Metrics:
    """Scalars of a step in one array, which one transfer brings to the host.

    Attributes:
      names: `<player>/<term>`, `<player>/loss`, `<player>/gradient_norm` and, for players that do not act
        every step, `<player>/acted`.
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


def learning_rate(player, steps):
    """The schedule that `config.players.<name>` describes, in steps of the run.

    "constant"; "linear": constant for the first `decay_start` of the run, then linearly to zero;
    "cosine": to zero; "exponential": to a tenth. All behind a linear warm-up of `warmup` steps.
    """
    rate = player.learning_rate
    if player.schedule == "constant":
        schedule = optax.constant_schedule(rate)
    elif player.schedule == "linear":
        start = int(steps * player.decay_start)
        schedule = optax.linear_schedule(rate, 0.0, max(steps - start, 1), start)
    elif player.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(rate, max(steps - player.warmup, 1))
    elif player.schedule == "exponential":
        schedule = optax.exponential_decay(rate, steps, 0.1)
    else:
        raise InputError(
            'config.players.*.schedule must be "constant", "linear", "cosine" or "exponential", '
            f"got {player.schedule!r}"
        )
    if player.warmup:
        ramp = optax.linear_schedule(0.0, rate, player.warmup)
        schedule = optax.join_schedules([ramp, schedule], [player.warmup])
    return schedule


def optimizer(player, steps):
    """The optax chain that `config.players.<name>` describes: clip, Adam(W), schedule."""
    chain = []
    if player.clip:
        chain.append(optax.clip_by_global_norm(player.clip))
    chain.append(
        optax.adamw(
            learning_rate(player, steps),
            b1=player.b1,
            b2=player.b2,
            eps=player.epsilon,
            weight_decay=player.weight_decay,
        )
    )
    return optax.chain(*chain)


def optimizers(config):
    """{key: (optax transform, modules)}: one for each distinct set of modules of the players."""
    found = {}
    for player in systems.players_of(systems.load_class(config.system)):
        if optimizer_key(player) not in found:
            found[optimizer_key(player)] = (
                optimizer(config.players[player.name], config.train.steps),
                player.modules,
            )
    return found


def optimizer_key(player):
    """Players that move the same modules share the optimizer state under this name."""
    return "+".join(player.modules)


def init_state(config, frozen=None):
    """The state of a fresh run: one pytree that is donated, sharded and checkpointed as a whole.

    Args:
      config: the experiment.
      frozen: from `System.frozen`; without it these networks have random weights.

    Returns:
      (graphdef, state) with state's keys `step`, `params`, `rest` (running statistics),
      `optimizers` and `ema`.
    """
    graphdef, params, rest = systems.build(config)
    params |= frozen or {}
    state = {
        "step": jnp.zeros((), jnp.int32),
        "params": params,
        "rest": rest,
        "optimizers": {
            name: transform.init(_pick(params, modules))
            for name, (transform, modules) in optimizers(config).items()
        },
        "ema": {
            player.name: jax.tree.map(jnp.copy, _pick(params, player.modules))
            for player in systems.players_of(systems.load_class(config.system))
            if config.players[player.name].ema
        },
    }
    return graphdef, state


def place_state(config, parallel, *, abstract=False):
    """`init_state` on devices.

    Args:
      config: the experiment.
      parallel: a `parallel.Parallel`.
      abstract: only shapes and shardings, to restore a checkpoint into.

    Returns:
      (graphdef, state).
    """
    graphdef = None

    def init(frozen=None):
        nonlocal graphdef
        graphdef, state = init_state(config, frozen)
        return state

    if abstract:  # What is restored brings the weights of frozen networks along.
        state = parallel.shapes(init)
    else:
        state = parallel.init(init, systems.load_class(config.system).frozen(config))
    return graphdef, state


def ema_params(state):
    """Parameters for sampling: the moving average where a player keeps one."""
    params = dict(state["params"])
    for average in state["ema"].values():
        params.update(average)
    return params


def example_keys(seed, step, count):
    """One key for each example of the global batch of `step`: [count]."""
    return jax.random.split(jax.random.fold_in(jax.random.key(seed), step), count)


def global_norm(tree):
    """L2 norm of all leaves together; as dot products, which XLA:CPU does without a copy of the
    squares."""
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in jax.tree.leaves(tree)))


def _pick(params, modules):
    missing = [m for m in modules if m not in params]
    if missing:
        raise InputError(f"a player moves {missing}, but the system has only {sorted(params)}")
    return {m: params[m] for m in modules}


def make_step(config, graphdef, axis=None):
    """The function `step(state, batch) -> state, Metrics`.

    Args:
      config: the experiment.
      graphdef: from `init_state`.
      axis: name of the mapped axis under shard_map and pmap, where `batch` is one device's part.

    Returns:
      A function to be jitted.
    """
    players = systems.players_of(systems.load_class(config.system))
    transforms = optimizers(config)
    dtype = jnp.dtype(config.dtype)
    accumulate = config.train.accumulate

    def run(params, rest, method, *args):
        return systems.run(graphdef, params, rest, method, *args, dtype=dtype)

    def loss(trainable, out, params, rest, player, batch, keys):
        """-> (total, (terms, rest)) of one player."""
        params = {**params, **trainable}
        if out is None:
            out, rest = run(params, rest, "forward", batch, keys)
        terms, rest = run(params, rest, f"{player.name}_loss", out, batch, keys)
        terms = {name: jnp.asarray(term, jnp.float32) for name, term in terms.items()}
        return sum(terms.values()), (terms, rest)

    def gradients(player, params, rest, batch, keys, out, pullback):
        """-> (gradients of the player's modules, terms, rest)."""
        trainable = _pick(params, player.modules)
        arguments = (params, rest, player, batch, keys)
        if pullback is None:
            (_, (terms, rest)), grads = jax.value_and_grad(loss, has_aux=True)(
                trainable, None, *arguments
            )
            return grads, terms, rest
        # Integer outputs of forward (indices, say) have no gradient, and are let through.
        (_, (terms, rest)), (grads, out_grads) = jax.value_and_grad(
            loss, (0, 1), has_aux=True, allow_int=True
        )(trainable, out, *arguments)
        (through,) = pullback(out_grads)
        return jax.tree.map(jnp.add, grads, _pick(through, player.modules)), terms, rest

    def accumulated(player, params, rest, batch, keys):
        """The mean gradient over `accumulate` parts of the batch, each with its own forward."""

        def part(carry, inputs):
            grads_sum, terms_sum, rest = carry
            grads, terms, rest = gradients(player, params, rest, *inputs, None, None)
            return (
                jax.tree.map(jnp.add, grads_sum, grads),
                jax.tree.map(jnp.add, terms_sum, terms),
                rest,
            ), None

        def split(x):  # Strided, so that each device's examples stay where they are.
            return x.reshape(x.shape[0] // accumulate, accumulate, *x.shape[1:]).swapaxes(0, 1)

        parts = jax.tree.map(split, (batch, keys))
        shapes = jax.eval_shape(
            lambda b, k: gradients(player, params, rest, b, k, None, None)[:2],
            *jax.tree.map(lambda x: x[0], parts),
        )
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        (grads, terms, rest), _ = lax.scan(part, (*zeros, rest), parts)
        grads, terms = jax.tree.map(lambda x: x / accumulate, (grads, terms))
        return grads, terms, rest

    def turn(player, state, batch, keys, shared):
        """One player's move -> (state, terms)."""
        settings = config.players[player.name]
        params, rest = state["params"], state["rest"]
        if accumulate > 1:
            grads, terms, rest = accumulated(player, params, rest, batch, keys)
        else:
            out, pullback = (None, None) if player.own_forward else shared
            grads, terms, rest = gradients(player, params, rest, batch, keys, out, pullback)
        if axis:
            grads, terms, rest = lax.pmean((grads, terms, rest), axis)
        key = optimizer_key(player)
        trainable = _pick(params, player.modules)
        updates, opt_state = transforms[key][0].update(grads, state["optimizers"][key], trainable)
        moved = optax.apply_updates(trainable, updates)
        ema = state["ema"]
        if settings.ema:
            # Short averages at first, so that the start is forgotten.
            decay = jnp.minimum(settings.ema, (1.0 + state["step"]) / (10.0 + state["step"]))
            average = jax.tree.map(
                lambda old, new: old + (1 - decay) * (new - old), ema[player.name], moved
            )
            ema = {**ema, player.name: average}
        state = {
            **state,
            "params": {**params, **moved},
            "rest": rest,
            "optimizers": {**state["optimizers"], key: opt_state},
            "ema": ema,
        }
        terms = {**terms, "loss": sum(terms.values()), "gradient_norm": global_norm(grads)}
        return state, terms

    def step(state, batch):
        local = jax.tree.leaves(batch)[0].shape[0]
        if axis:
            keys = example_keys(config.seed, state["step"], local * lax.axis_size(axis))
            keys = lax.dynamic_slice_in_dim(keys, lax.axis_index(axis) * local, local)
        else:
            keys = example_keys(config.seed, state["step"], local)
        shared = None
        if accumulate == 1 and not all(player.own_forward for player in players):
            moving = {m: state["params"][m] for player in players for m in player.modules}
            out, pullback, rest = jax.vjp(
                lambda p: run({**state["params"], **p}, state["rest"], "forward", batch, keys),
                moving,
                has_aux=True,
            )
            shared = out, pullback
            state = {**state, "rest": rest}
        metrics = {}
        for player in players:
            every = config.players[player.name].every
            act = lambda state, player=player: turn(player, state, batch, keys, shared)
            if every > 1:
                shapes = jax.eval_shape(act, state)[1]
                idle = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
                acts = state["step"] % every == 0
                state, terms = lax.cond(acts, act, lambda state, idle=idle: (state, idle), state)
                terms["acted"] = acts.astype(jnp.float32)
            else:
                state, terms = act(state)
            metrics |= {f"{player.name}/{name}": value for name, value in terms.items()}
        metrics = Metrics(tuple(metrics), jnp.stack(list(metrics.values())))
        return {**state, "step": state["step"] + 1}, metrics

    return step
