"""Trained systems in a user's hands: from a run's folder, or from published weights without a run."""

import dataclasses
import functools
import importlib
import logging

from flax import nnx
import jax

from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import export as export_lib
from vision_gen.engine import facts as facts_lib
from vision_gen.engine import packed
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import system as systems
from vision_gen.engine import tools as tools_lib
from vision_gen.engine import weights as weights_lib
from vision_gen.engine.experiment import Experiment
from vision_gen.engine.inference import Inference
from vision_gen.errors import InputError
from vision_gen.settings import nearest

log = logging.getLogger("vision_gen")
# Systems that learn nothing, whose weights their configs name: they need no run.
READY = ("configs/gatys", "configs/styleclip")


class Model:
    """A trained system; `vision_gen.load` makes it.

    Each of its tools is a function of its name: `model.translate("sketch.png", "reference.png")`, with its help;
    calling the model itself is calling its first tool.

    Attributes:
      experiment: the `experiment.Experiment`, of `config`.
      step: of the checkpoint.
      state: as checkpointed; of an entry of the zoo without optimizers, averages being its parameters.
      facts: what is known of its data; see `engine.facts`.
      tools: {name: `tools.Tool`}.
    """

    def __init__(self, experiment, step, state, facts, inference):
        self.experiment, self.step, self.state, self.facts = experiment, step, state, facts
        self.tools = declared(experiment, facts)
        self.config = experiment.config
        self._inference = inference
        self._system = experiment.system
        for name, tool in self.tools.items():
            if hasattr(self, name):
                raise ValueError(f"a tool cannot be called {name!r}: that is an attribute of Model")
            setattr(self, name, _function(self, tool))

    def __repr__(self):
        calls = [f"  .{name}{tool.signature}" for name, tool in self.tools.items()]
        return "\n".join([f"{self.config.system}, trained for {self.step} steps; its tools:", *(calls or ["  none"])])

    def __getattr__(self, name):
        tools = self.__dict__.get("tools")
        raise AttributeError(f"there is no tool {name!r}{nearest(name, tools, every=True) if tools else ''}")

    def run(self, tool, inputs, options, progress=None, called=None):
        """Outputs by name of a tool on checked values; see `tools.Runner`."""
        return self._runner(tool, inputs, options, progress, called)

    def look(self, tool, method, inputs, options, **more):
        """What another method gives that takes what a tool's does, to look inside; see `tools.Runner.look`."""
        return self._runner.look(tool, method, inputs, options, **more)

    @functools.cached_property
    def _runner(self):
        weights = states.averaged(self.state)
        return tools_lib.Runner(self._inference.graphdef, *weights, self._inference.compiler_options)

    def __call__(self, *arguments, **named):
        """Calls the first of `tools`."""
        if not self.tools:
            raise InputError(f"{self.config.system} has no tools")
        return getattr(self, next(iter(self.tools)))(*arguments, **named)

    def system(self):
        """The `System` as it is used: averaged parameters and running statistics."""
        return nnx.merge(self._inference.graphdef, *states.averaged(self.state), copy=True)

    def export(self, format, output):
        """Writes the networks in a published format; see `engine.export.write`."""
        return export_lib.write(self, format, output)

    def apply(self, method, source, count):
        """A method (batch, keys) of the system for `count` examples spread over a source."""
        return self._inference.spread(method, self.state, source, count)

    def evaluate(self, source, progress=None, limit=None):
        """(figures, values) of a source, or of its first `limit` examples; see `Inference.evaluate`."""
        return self._inference.evaluate(self.state, source, limit=limit, progress=progress)

    def each(self, method, source, progress=None):
        """A method (batch, keys) of the system for every example of a source, a batch at a time."""
        return self._inference.each(method, self.state, source, progress=progress)

    @property
    def columns(self):
        """What the system's sample sheet shows, by name."""
        return tuple(self._system.columns)

    def figure_names(self, source):
        """Names of the figures that `evaluate` gives, without computing them."""
        return self._inference.figure_names(self.state, source)

    def samples(self, source, count):
        """(columns, captions) of `count` examples spread over a source, for `sheets.sheet`."""
        return self._inference.samples(self.state, source, count)

    def draw(self, source, values):
        """The pictures that explain the system: {name: uint8 image or film}; see `System.figures`."""
        return self._system.figures(self, source, values)


def _function(model, tool):
    """A tool of a model as a Python function with signature and help."""

    def function(*arguments, progress=None, **named):
        outputs = model.run(tool, *tool.read(arguments, named), progress)
        return outputs if len(tool.outputs) > 1 else outputs[next(iter(tool.outputs))]

    function.__name__ = function.__qualname__ = tool.name
    function.__doc__ = tool.help()
    function.__signature__ = tool.signature
    return function


def declared(experiment, facts):
    """The tools of an experiment's system: {name: `tools.Tool`}."""
    return tools_lib.named(experiment.system.tools(experiment, facts))


@dataclasses.dataclass(frozen=True)
class Named:
    """A system that a command names, by a run or by a config; its weights are read when they are needed.

    Args:
      workdir: of the run, or None.
      checkpoint: of the run.
      config: an experiment, where there is no run.
    """

    workdir: str | None
    checkpoint: str = "best"
    config: object = None

    def experiment(self):
        """Its `Experiment`."""
        if self.workdir is None:
            return weights_lib.with_origins(Experiment(self.config))
        return Experiment(ckpt.load_config(self.workdir))

    def tools(self):
        """Its tools, {name: `tools.Tool`}."""
        experiment = self.experiment()
        facts = facts_lib.of_data(experiment) if self.workdir is None else facts_lib.load(self.workdir, experiment)
        return declared(experiment, facts)

    def model(self):
        """The `Model`."""
        return from_config(self.config) if self.workdir is None else load(self.workdir, self.checkpoint)


def load(workdir, checkpoint="best"):
    """A trained system from a run's folder.

    Args:
      workdir: as given to `train.py`, or "zoo/NAME", or "configs/NAME" of `READY`.
      checkpoint: "best", "last", or the number of a step.

    Returns:
      A `Model`.

    Raises:
      InputError: there is no such run or checkpoint, or it does not fit the config in it.
    """
    if str(workdir) in READY:
        return from_config(ready(workdir))
    workdir = ckpt.folder(workdir)
    experiment = _alone(ckpt.load_config(workdir))
    parallel = parallel_lib.Parallel(experiment)
    if ckpt.is_packed(workdir):
        graphdef, state = packed.load(workdir, experiment, parallel)
        step = int(state["step"])
        if checkpoint not in ("best", "last", str(step), step):
            raise InputError(f"{workdir} has one checkpoint, of step {step}; got {checkpoint!r}")
    else:
        if not (workdir / "checkpoints").is_dir():
            raise InputError(f"{workdir} has no checkpoints yet")
        manager = ckpt.Checkpoints(workdir, experiment, read_only=True)
        step = manager.chosen(checkpoint)
        graphdef, target = states.place_state(experiment, parallel, abstract=True)
        state = manager.restore(step, target)
        manager.close()
    facts = facts_lib.load(workdir, experiment)
    return Model(experiment, step, state, facts, Inference(experiment, graphdef, parallel))


def ready(name):
    """The config that one of `READY` is."""
    return importlib.import_module(f"vision_gen.{name.replace('/', '.')}").get_config()


def from_config(config):
    """A system with the weights that `config.init` names, without a run.

    Args:
      config: from `defaults.experiment`.

    Returns:
      A `Model`, its step 0.

    Raises:
      InputError: no weights are given, or they do not fit.
    """
    experiment = weights_lib.with_origins(_alone(config))
    known = systems.networks(experiment.system)
    # Of a system that learns, frozen networks alone are nothing.
    moved = {module for player in systems.players_of(experiment.system) for module in player.modules}
    used = [name for name in known if not moved or name in moved]
    if used and not set(used) & set(experiment.init):
        fields = " or ".join(f"config.init.{name}" for name in used)
        raise InputError(f"without a run, {config.system} needs weights: set {fields} to a file, a run or published weights")
    weights, notes = weights_lib.load(experiment)
    model = _with(experiment, weights)
    drawn = [name for name in known if name in model.state["params"] and name not in weights]
    for note in [*notes, *(f"{name}: no weights given, so drawn at random" for name in drawn)]:
        log.info(note)
    return model


def untrained(config):
    """A `Model` of a config with the weights that its seed draws, to try what surrounds it."""
    return _with(_alone(config), {})


def _with(experiment, weights):
    parallel = parallel_lib.Parallel(experiment)
    graphdef, state = states.place_state(experiment, parallel, weights)
    return Model(experiment, 0, state, facts_lib.of_data(experiment), Inference(experiment, graphdef, parallel))


def _alone(config):
    """The experiment for this one process with what devices it has, whatever the run was trained on."""
    config = config.copy_and_resolve_references()
    config.parallel.update(style="jit", fsdp=1, processes=1)
    shrink = max([player.shrink for player in config.players.values()], default=1)
    config.train.update(accumulate=1, batch_size=len(jax.devices()) * shrink)
    return Experiment(config)
