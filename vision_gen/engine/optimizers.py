"""What moves a player's parameters: moments by optax, rates as functions of the run's step."""

import ast
import inspect

import jax
import jax.numpy as jnp
import optax

from vision_gen.engine.ranger import ranger
from vision_gen.errors import InputError

OWN = {"ranger": ranger}  # Transformations that optax has not.
# Of players that share modules, what their moments have in common; everything else is each player's own.
SHARED = ("optimizer", "b1", "b2", "epsilon", "ema_half_life", "ema_ramp")
# Of parameters, biases and scales of normalisations do not decay with `decay="weights"`.
NOT_DECAYED = ("bias", "scale")


def key(player):
    """Players that move the same modules share the optimizer's moments under this name."""
    return "+".join(player.modules)


def check(players, train):
    """Refuses settings of players that cannot work.

    Args:
      players: {name: (system.Player, defaults.Player)}.
      train: the typed `config.train`.

    Raises:
      InputError: names the field.
    """
    first = {}
    for name, (player, settings) in players.items():
        field = f"config.players.{name}"
        other = first.setdefault(key(player), name)
        for shared in SHARED:
            mine, theirs = getattr(settings, shared), getattr(players[other][1], shared)
            if mine != theirs:
                raise InputError(
                    f"{field}.{shared} is {mine!r}, but {name} shares the optimizer of {'+'.join(player.modules)} with {other}, "
                    f"whose {shared} is {theirs!r}; give both the same"
                )
        if player.turn:
            leader = players[player.turn][1]
            for shared in ("every", "shrink"):
                mine, theirs = getattr(settings, shared), getattr(leader, shared)
                if mine != theirs:
                    raise InputError(
                        f"{field}.{shared} is {mine!r}, but {name} moves in the turn of {player.turn}, whose {shared} is "
                        f"{theirs!r}; give both the same"
                    )
        if player.lazy and other == name:
            raise InputError(f"{field}: a lazy player must come after one that moves the same modules, {list(player.modules)}")
        if player.lazy and settings.optimizer != "adam":
            raise InputError(f'{field}.optimizer must be "adam" for a lazy player, got {settings.optimizer!r}')
        if settings.optimizer != "adam":
            for given in ("b1", "b2", "epsilon"):
                default = type(settings).__dataclass_fields__[given].default
                if getattr(settings, given) != default:
                    raise InputError(
                        f'{field}.{given} is of "adam"; write what {settings.optimizer!r} takes as its arguments, '
                        f'such as "sgd(momentum=0.9)"'
                    )
        part = train.accumulate * settings.shrink
        if train.batch_size % part:
            raise InputError(
                f"{field}.shrink is {settings.shrink}; with config.train.accumulate it must divide config.train.batch_size, "
                f"{train.batch_size}"
            )
        transformation(settings, 1.0, field)


def correction(players, modules_key):
    """By what lazy players correct rate and betas of the optimizer that they share: 1 without any.

    A regulariser that acts every k-th step makes k + 1 moves of k; with k / (k + 1) of the rate, and betas to that
    power, they go as far as k moves (Karras et al. 2020, appendix B).
    """
    moves = sum(
        1 / settings.every
        for player, settings in players.values()
        if player.lazy and settings.every and key(player) == modules_key
    )
    return 1 / (1 + moves)


def transformation(settings, power=1.0, field="config.players.*"):
    """An optax transformation: gradients to directions, of which the rate times as much is taken away.

    Args:
      settings: a `defaults.Player`.
      power: that betas are raised to, from `correction`.
      field: for messages.

    Returns:
      (transformation, sign): parameters move by sign times rate times its result.

    Raises:
      InputError: there is no such optimizer, or it does not take such arguments.
    """
    text = settings.optimizer
    if text == "adam":
        return optax.scale_by_adam(settings.b1**power, settings.b2**power, settings.epsilon), -1.0
    wrong = f'{field}.optimizer must be "adam" or an optax transformation with its arguments, such as "sgd(momentum=0.9)"'
    try:
        call = ast.parse(text, mode="eval").body
        name, keywords = (call.func.id, call.keywords) if isinstance(call, ast.Call) and not call.args else (call.id, [])
        arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords}
        make = OWN.get(name) or getattr(optax, name)
        known = inspect.signature(make).parameters
    except (SyntaxError, ValueError, AttributeError, TypeError):
        raise InputError(f"{wrong}, got {text!r}") from None
    for argument in arguments:
        if argument not in known or argument == "learning_rate":
            raise InputError(f"{wrong}; {name} takes {', '.join(k for k in known if k != 'learning_rate')}, got {argument!r}")
    rated = "learning_rate" in known
    try:
        found = make(**arguments, **({"learning_rate": 1.0} if rated else {}))
        if not isinstance(found, optax.GradientTransformation):
            raise InputError(f"{wrong}; {name} is none, but a {type(found).__name__}")
        # What its arguments are may show only now. Nothing here may touch a device: processes join later.
        jax.eval_shape(lambda x: found.update(x, found.init(x), x), jax.ShapeDtypeStruct((1,), jnp.float32))
    except InputError:
        raise
    except Exception as error:  # Optax checks little, and JAX raises many kinds.
        raise InputError(f"{wrong}, got {text!r}: {str(error).strip().splitlines()[0]}") from None
    return found, 1.0 if rated else -1.0


def rate(settings, step, steps):
    """The learning rate that `config.players.<name>` describes, at a step of the run.

    "constant"; "linear": constant for the first `decay_start` of the run, then linearly to zero;
    "halving": halved `halvings` times, after equal parts of what follows `decay_start`; "cosine": to `lowest`, within
    `falling` steps; "exponential": to `lowest`, or to a tenth. A linear warm-up of `warmup` steps comes before.

    Args:
      settings: a `defaults.Player`.
      step: from 0; may be traced.
      steps: of the run.

    Returns:
      float32 scalar.
    """
    step = jnp.asarray(step, jnp.float32)
    warmup, last = settings.warmup, max(steps, 1)
    start = int(steps * settings.decay_start)
    after = jnp.clip((step - start) / max(last - start, 1), 0, 1)
    if settings.schedule == "linear":
        share = 1 - after
    elif settings.schedule == "halving":
        share = 0.5 ** jnp.minimum(jnp.floor(after * (settings.halvings + 1) + 1e-6), settings.halvings)
    elif settings.schedule == "cosine":
        through = jnp.clip((step - warmup) / max((settings.falling or last) - warmup, 1), 0, 1)
        share = settings.lowest + (1 - settings.lowest) * 0.5 * (1 + jnp.cos(jnp.pi * through))
    elif settings.schedule == "exponential":
        share = (settings.lowest or 0.1) ** (step / last)
    else:
        share = jnp.ones(())
    if warmup:
        share = share * jnp.minimum(step / warmup, 1)
    return settings.learning_rate * share


def clipped(grads, norm, largest):
    """Gradients whose global norm, `norm`, is at most `largest`; 0 is off."""
    if not largest:
        return grads
    factor = jnp.where(norm < largest, 1.0, largest / norm)
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), grads)


def moved(settings, transform, sign, params, grads, norm, state, rate):
    """One move.

    Args:
      settings: a `defaults.Player`.
      transform, sign: from `transformation`.
      params, grads: trees.
      norm: of all gradients together.
      state: of the optimizer.
      rate: from `rate`, corrected.

    Returns:
      (params, state) afterwards.
    """
    grads = clipped(grads, norm, settings.clip)
    if settings.decay == "gradient":
        grads = jax.tree.map(lambda g, p: g + settings.weight_decay * p, grads, params)
    directions, state = transform.update(grads, state, params)
    decays = _decays(params, settings)

    def one(p, d, decay):
        step = sign * rate * d
        if decay:
            step = step - rate * settings.weight_decay * p
        return (p + step).astype(p.dtype)

    return jax.tree.map(one, params, directions, decays), state


def _decays(params, settings):
    """A tree of bools: which parameters decay."""

    def one(path, _):
        name = getattr(path[-1], "key", None)
        apart = settings.decay == "all" or settings.decay == "weights" and name not in NOT_DECAYED
        return bool(settings.weight_decay) and apart

    return jax.tree_util.tree_map_with_path(one, params)
