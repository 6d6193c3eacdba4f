"""A trained system as it ships: a bfloat16 file of what it reads when it is used, without what only training needs.

An entry of the zoo is a folder with it, config.json and facts.json, and is opened wherever a run is. Frozen networks that
an installed package carries are read from there.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import state as states
from vision_gen.engine import system as systems
from vision_gen.errors import InputError

CARRIED = "carried"  # What of the file's metadata names networks that packages carry.


def write(folder, model):
    """Writes the weights of a `use.Model` as it uses them: averaged parameters, running statistics, the step.

    Floats are written as bfloat16, everything else in its own type. Attributes of the system that neither evaluation
    nor tools mention (see `mentioned`) are left out, and of networks that a package carries there is the name alone.
    """
    methods = ["evaluate", "sample", "captions", "summarise", "figures", "tools"]
    methods += [f"{name}{part}" for name in model.tools for part in ("", "_begin", "_advance", "_preview", "_finish")]
    read = mentioned(model.experiment.system, methods)
    carried = [name for name in sorted(model.experiment.init) if name in read and ckpt.carried(model.experiment, name)]
    kept = lambda tree: {name: value for name, value in tree.items() if name in read and name not in carried}
    params, rest = states.averaged(model.state)
    tree = {"step": model.state["step"], "params": kept(params), "rest": kept(rest)}
    packed = lambda x: x.astype(jnp.bfloat16) if jnp.issubdtype(x.dtype, jnp.floating) else x
    tensors = {name: packed(x) for name, x in states.flat(ckpt.named(tree)).items()}
    ckpt.write_tensors(folder / ckpt.PACKED, tensors, {CARRIED: " ".join(carried)})


def mentioned(cls, methods):
    """Names that methods of a class mention, as attributes or as text, and those that methods mentioned by them do.

    It is read from their code, as a tool has no example to be traced with. It may be more than what they need; a system
    that makes up the names of attributes at run time finds them missing, by an AttributeError.
    """
    found, waiting = set(), list(methods)
    while waiting:
        name = waiting.pop()
        for definition in (vars(base)[name] for base in cls.__mro__ if name in vars(base)):
            function = getattr(definition, "fget", None) or getattr(definition, "__func__", definition)
            new = _names(getattr(inspect.unwrap(function), "__code__", None)) - found
            found |= new
            waiting += new
    return found


def _names(code):
    """Names and texts in a function's code and the functions inside it."""
    if not inspect.iscode(code):
        return set()
    inner = [_names(constant) for constant in code.co_consts]
    texts = {constant for constant in code.co_consts if isinstance(constant, str)}
    return set(code.co_names).union(texts, *inner)


def read(folder):
    """The tensors of an entry, {"params/generator/down/0/kernel": array}, floats as float32."""
    path = folder / ckpt.PACKED
    try:
        found = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not readable as weights ({error})") from error
    return {name: x.astype(np.float32) if x.dtype == jnp.bfloat16 else x for name, x in found.items()}


def load(folder, experiment, parallel):
    """The system of an entry, without what was left out.

    Args:
      folder: of the entry.
      experiment: of its config.
      parallel: a `parallel.Parallel`.

    Returns:
      (graphdef, state), as `state.init_state` without optimizers and averages.

    Raises:
      InputError: the weights are of another system or config; names the first tensor that differs.
    """
    found, graphdef = read(folder), None
    with safetensors.safe_open(folder / ckpt.PACKED, "numpy") as file:
        for attribute in (file.metadata() or {}).get(CARRIED, "").split():
            found |= {ckpt.in_state(name): x for name, x in ckpt.carried(experiment, attribute).items()}
    attributes = {name.split("/")[1] for name in found if "/" in name}

    def init():
        nonlocal graphdef
        graphdef, params, rest = systems.build(experiment, attributes)
        return {"step": jnp.zeros((), jnp.int32), "params": params, "rest": rest}

    like = parallel.shapes(init)
    expected = states.flat(ckpt.named(like))
    for name in sorted(found.keys() | expected.keys()):
        there, here = (
            f"of shape {list(tensors[name].shape)}" if name in tensors else "absent" for tensors in (found, expected)
        )
        if there != here:
            path = folder / ckpt.PACKED
            raise InputError(f"{path} is of another system or config: {name} is {there} in it and {here} here")
    placed = [
        ckpt.typed(jax.device_put(found[name].astype(expected[name].dtype), expected[name].sharding), leaf)
        for name, leaf in zip(ckpt.leaf_names(like), jax.tree.leaves(like), strict=True)
    ]
    return graphdef, {**jax.tree.unflatten(jax.tree.structure(like), placed), "optimizers": {}, "ema": {}}
