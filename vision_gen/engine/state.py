"""The state of a run: one tree that is donated, sharded and checkpointed as a whole."""

import jax
import jax.numpy as jnp

from vision_gen.engine import optimizers
from vision_gen.engine import system as systems
from vision_gen.errors import InputError


def init_state(experiment, weights=None):
    """The state of a fresh run.

    Args:
      experiment: an `experiment.Experiment`.
      weights: from `weights.load`: {attribute: {name: array}} in place of what is drawn.

    Returns:
      (graphdef, state) with state's keys `step`, `params`, `rest` (running statistics), `optimizers`
      (by `optimizers.key`), `ema` and, if there are any, `ema_rest`
      (averages of parameters and of running statistics, by attribute).
    """
    graphdef, params, rest = systems.build(experiment)
    for name, tensors in (weights or {}).items():
        for part in (params, rest):
            if name in part:
                part[name] = unflat(flat(part[name]) | {n: x for n, x in tensors.items() if n in flat(part[name])}, part[name])
    chosen = {}
    for player, settings in experiment.players.values():
        chosen.setdefault(optimizers.key(player), (player.modules, optimizers.transformation(settings)[0]))
    state = {
        "step": jnp.zeros((), jnp.int32),
        "params": params,
        "rest": rest,
        "optimizers": {key: transform.init(pick(params, modules)) for key, (modules, transform) in chosen.items()},
        "ema": _copies(params, averaged_modules(experiment)),
    }
    if averages := _copies(rest, averaged_modules(experiment)):
        state["ema_rest"] = averages  # Absent where there are none: checkpoints from before do not have it.
    return graphdef, state


def _copies(tree, names):
    return {name: jax.tree.map(jnp.copy, tree[name]) for name in names if name in tree}


def place_state(experiment, parallel, weights=None, *, abstract=False):
    """`init_state` on devices.

    Args:
      experiment, weights: as of `init_state`.
      parallel: a `parallel.Parallel`.
      abstract: only shapes and shardings, to restore a checkpoint into.

    Returns:
      (graphdef, state).
    """
    graphdef = None

    def init(weights=None):
        nonlocal graphdef
        graphdef, state = init_state(experiment, weights)
        return state

    state = parallel.shapes(init) if abstract else parallel.init(init, weights or {})
    return graphdef, state


def averaged_modules(experiment):
    """{attribute: settings of the player that keeps its moving average}."""
    return {
        module: settings
        for player, settings in experiment.players.values()
        if settings.ema_half_life
        for module in player.modules
    }


def frozen(experiment, params):
    """Attributes with parameters that no player moves, in order."""
    moved = {module for player, _ in experiment.players.values() for module in player.modules}
    return tuple(name for name in params if name not in moved)


def split(experiment, state):
    """A state without its frozen networks, and these: (state, {attribute: {"params": ..., "rest": ...}})."""
    apart = {
        name: {"params": state["params"][name], "rest": state["rest"].get(name, {})}
        for name in frozen(experiment, state["params"])
    }
    kept = lambda tree: {name: value for name, value in tree.items() if name not in apart}
    return {**state, "params": kept(state["params"]), "rest": kept(state["rest"])}, apart


def joined(state, apart):
    """The inverse of `split`."""
    params = {**state["params"], **{name: given["params"] for name, given in apart.items()}}
    rest = {**state["rest"], **{name: given["rest"] for name, given in apart.items() if given["rest"]}}
    return {**state, "params": params, "rest": rest}


def averaged(state):
    """(parameters, running statistics) for sampling: the moving averages of a network where they are kept."""
    return {**state["params"], **state["ema"]}, {**state["rest"], **state.get("ema_rest", {})}


def pick(params, modules):
    """The parameters of some attributes.

    Raises:
      InputError: a player moves an attribute that is none.
    """
    missing = [m for m in modules if m not in params]
    if missing:
        raise InputError(f"a player moves {missing}, but the system has only {sorted(params)}")
    return {m: params[m] for m in modules}


def path_name(path):
    """A path in a tree as "generator/down/0/kernel"."""
    return "/".join(str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path)


def flat(tree):
    """{"generator/down/0/kernel": leaf} of a nested dict."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def unflat(leaves, like):
    """A tree like `like` of the leaves of `flat`."""
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    return jax.tree.unflatten(structure, [leaves[path_name(path)] for path, _ in paths])
