"""Tools: what a trained system can be asked to do, declared once for Python, the command line and a page.

A tool has a name, inputs, outputs and options, each of a kind (`vision_gen.values`). It is a method of its system,
`translate(self, *, sketch, scale)` for the tool "translate". One that takes time has several:
`film_begin(self, **inputs) -> state`, `film_advance(self, state, now) -> state` for each of its turns,
`film_finish(self, state) -> outputs` and, where it `previews`, `film_preview(self, state) -> outputs`, some of them.
They are run by one mechanism: beginning, turns, end; a tool that is done at once begins, has no turns, and its state is what
it gives. `translate_user(self, **inputs, number)` says what a person's scribbles are worth; see `recordings.beside_simulated`.
"""

import dataclasses
import inspect
import logging
import signal
import threading
import time

from flax import nnx
import jax
from jax import lax
import numpy as np

from vision_gen import memory, values
from vision_gen.engine import fitting as fitting_lib
from vision_gen.engine import system as systems
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
# Seconds that turns run for before progress is shown and an interruption looked for.
BETWEEN_REPORTS = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Tool:
    """What a system can be asked to do.

    Attributes:
      name: of its method, or where that takes time, of `<name>_begin`, `<name>_advance`, `<name>_finish`.
      doc: what it does, in a sentence.
      inputs: kinds by name, in the order in which Python takes them.
      outputs: kinds by name; the method gives a dict of them, or where there is one, that.
      options: kinds with defaults by name; the method gets them too.
      fitting: how pictures of any size are brought to what the networks take; see `engine.fitting`.
      turns: 0 if it is done at once, otherwise how many turns it takes: the name of an option, or of an input with as
        many parts, or a number.
      unit: what one of its turns is called, or of what `fitting` prepares.
      previews: it has `<name>_preview`.
      titles: what outputs are called on a page whose names do not say it, {output: words}.
    """

    name: str
    doc: str
    inputs: dict[str, values.Kind]
    outputs: dict[str, values.Kind]
    options: dict[str, values.Kind] = dataclasses.field(default_factory=dict)
    fitting: fitting_lib.Fitting = fitting_lib.Fitting()
    turns: str | int = 0
    unit: str = "turn"
    previews: bool = False
    titles: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name, kind in self.all_options.items():
            if kind.default is None or name in self.inputs:
                raise ValueError(f"{self.name}: option {name} needs a default and a name that no input has")
        if isinstance(self.turns, str) and self.turns not in {**self.inputs, **self.options}:
            raise ValueError(f"{self.name}: turns is {self.turns!r}, no input and no option")

    @property
    def all_options(self):
        """The options, and those of how pictures are fitted."""
        return {**self.options, **self.fitting.options(self.inputs)}

    def read(self, arguments, named):
        """The checked values of what a call gives.

        Args:
          arguments: inputs by position.
          named: inputs and options by name.

        Returns:
          (inputs, options): values by name, the options with their defaults.

        Raises:
          InputError: an input is unknown, missing, given twice, or not of its kind.
        """
        given = self.match(arguments, named)
        inputs = {name: kind.read(given[name], name) for name, kind in self.inputs.items()}
        return inputs, self.read_options(given)

    def read_options(self, given):
        """The options of what a call gives, {name: value}, defaults where it gives none."""
        return {
            name: kind.read(given[name], name) if name in given else kind.default
            for name, kind in self.all_options.items()
        }

    def match(self, arguments, named):
        """{name: what was given}, once it is known that the names are right; see `read`."""
        takes = f"{self.name} takes {', '.join(self.inputs) or 'no inputs'}"
        if self.all_options:
            takes += f"; options are {', '.join(self.all_options)}"
        if len(arguments) > len(self.inputs):
            raise InputError(f"{takes}; got {len(arguments)} inputs")
        given = dict(zip(self.inputs, arguments))
        for name in named:
            if name not in {**self.inputs, **self.all_options}:
                raise InputError(f"unknown {name!r}: {takes}")
            if name in given:
                raise InputError(f"{name} is given twice: {takes}")
        given |= named
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise InputError(f"{missing[0]} is missing: {takes}")
        return given

    def count(self, given):
        """How many turns it takes with the values of inputs and options."""
        found = given[self.turns] if isinstance(self.turns, str) else self.turns
        return found if isinstance(found, int) else len(found)

    @property
    def signature(self):
        """As of a Python function: inputs, then options by name."""
        parameter = inspect.Parameter
        inputs = [parameter(name, parameter.POSITIONAL_OR_KEYWORD) for name in self.inputs]
        options = [
            parameter(name, parameter.KEYWORD_ONLY, default=kind.default) for name, kind in self.all_options.items()
        ]
        return inspect.Signature([*inputs, *options, parameter("progress", parameter.KEYWORD_ONLY, default=None)])

    def help(self):
        """Help of the Python function."""
        lines = [self.doc, "", "Args:"]
        lines += [f"  {name}: {kind.describe()}." for name, kind in {**self.inputs, **self.all_options}.items()]
        lines += ["  progress: function of (turns done, turns in all, preview), where `preview()` gives the outputs"]
        lines += ["    so far or None; a true value ends the tool with what there is.", "", "Returns:"]
        what = [f"  {name}: {kind.describe()}." for name, kind in self.outputs.items()]
        lines += what if len(what) > 1 else [what[0].partition(": ")[2].join(["  ", ""])]
        if len(what) > 1:
            lines[-len(what) - 1] = "Returns: a dict of"
        return "\n".join(lines)

    def lines(self):
        """Lines of a list of tools: what it does, what it takes and gives."""
        found = [f"{self.name}: {self.doc}"]
        for name, kind in self.inputs.items():
            found.append(f"  {name}=  {kind.describe()}")
        for name, kind in self.all_options.items():
            found.append(f"  {name}={kind.text(kind.default)}  {kind.describe()}")
        for name, kind in self.outputs.items():
            found.append(f"  -> {name}: {kind.describe()}")
        return found


class Runner:
    """Runs the tools of one trained system on one device, compiled once for each shape.

    Args:
      graphdef, params, rest: of the system; see `engine.system.build`.
      compiler_options: for `jax.jit`.
    """

    def __init__(self, graphdef, params, rest, compiler_options=None):
        self._graphdef = graphdef
        device = jax.local_devices()[0]
        self._weights = jax.device_put(params, device), jax.device_put(rest, device)
        self._compiler_options = compiler_options
        self._programs = {}

    def __call__(self, tool, inputs, options, progress=None, called=None):
        """The outputs of a tool.

        Args:
          tool: a `Tool`.
          inputs, options: values by name, from `Tool.read`.
          progress: see `Tool.help`; called after some turns of a tool that takes time.
          called: {input: how messages call it}, where that is not its name.

        Returns:
          Outputs by name.
        """
        turns = tool.count({**inputs, **options})
        fitted, static, traced = self._fitted(tool, inputs, options, called)
        shown = lambda found: self._shown(tool, fitted, found)
        if not turns:
            fitted.progress = progress

            def call(arrays, method=None):
                """Calls the tool's method, or another one of the system's, which gets no options."""
                if method:
                    return self._call(method, {}, arrays)
                return self._call(tool.name, static, {**arrays, **traced})

            found = shown(fitted.each(call))
            if len(fitted.parts) > 1:
                log.info("%s: in %d tiles, %.2f GB of memory at most", tool.name, len(fitted.parts), memory.peak() / 1e9)
            return found
        (arrays,) = fitted.parts
        state = self._call(f"{tool.name}_begin", static, {**arrays, **traced})
        state = self._turns(tool, state, turns, options.get("seed", 0), progress, shown)
        return shown(self._call(f"{tool.name}_finish", {}, {"state": state}))

    def look(self, tool, method, inputs, options, **more):
        """What another method of the system gives that takes what a tool's does, to look inside.

        Args:
          tool, inputs, options: as of a call.
          method: its name.
          more: arrays that it takes as well.

        Returns:
          (the `fitting.Fitted` of the inputs, what the method gives, as numpy).

        Raises:
          InputError: the picture is so large that it is computed in parts.
        """
        fitted, static, traced = self._fitted(tool, inputs, options)
        if len(fitted.parts) > 1:
            raise InputError(f"{method} is of pictures that are computed whole; choose a smaller size")
        return fitted, jax.device_get(self._call(method, static, {**fitted.parts[0], **traced, **more}))

    def _fitted(self, tool, inputs, options, called=None):
        """(a `fitting.Fitted` of the inputs, options that are constants of the program, other options)."""
        fitted = tool.fitting.fit(tool.inputs, inputs, options, called)
        given = {name: fitted.option(kind, options[name], name) for name, kind in tool.options.items()}
        static = {name: value for name, value in given.items() if tool.options[name].static}
        return fitted, static, {name: value for name, value in given.items() if name not in static}

    def _shown(self, tool, fitted, found):
        """Values of arrays that a method has given."""
        found = jax.device_get(found)
        if len(tool.outputs) == 1 and not (isinstance(found, dict) and set(found) == set(tool.outputs)):
            found = dict(zip(tool.outputs, [found]))
        return {name: fitted.output(kind, found[name]) for name, kind in tool.outputs.items() if name in found}

    def _turns(self, tool, state, turns, seed, progress, shown):
        """The state after all turns, or after those that an interruption left."""
        preview = None
        if tool.previews:
            preview = lambda: shown(self._call(f"{tool.name}_preview", {}, {"state": state}))
        done, together = 0, 1
        with _Interruption() as interruption:
            while done < turns:
                begun = time.perf_counter()
                last = min(done + together, turns)
                state = jax.block_until_ready(self._advance(tool, state, done, last, turns, seed))
                # The first turn is compiled as well: what it took says nothing.
                spent, first, done = time.perf_counter() - begun, done == 0, last
                stop = progress(done, turns, preview or (lambda: None)) if progress else False
                if (interruption.asked or stop) and done < turns:
                    log.warning("%s: stopped after %d of %d %ss, with what there is", tool.name, done, turns, tool.unit)
                    break
                in_time = round(together * BETWEEN_REPORTS / max(spent, 1e-6))
                together = 1 if first else max(1, min(2 * together, in_time))
        return state

    def _advance(self, tool, state, first, last, turns, seed):
        name = f"{tool.name}_advance"
        if name not in self._programs:

            def program(params, rest, state, first, last, turns, seed):
                system = lambda: nnx.merge(self._graphdef, params, rest, copy=True)

                def turn(number, state):
                    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), number), 1)
                    return getattr(system(), name)(state, systems.Now(keys, number, number / turns))

                # As many turns as there is time for, by one program: a scan has a fixed number.
                return lax.fori_loop(first, last, turn, state)

            self._programs[name] = jax.jit(program, donate_argnums=2, compiler_options=self._compiler_options)
        numbers = np.int32([first, last, turns])
        return self._programs[name](*self._weights, state, *numbers, np.uint32(seed))

    def _call(self, method, static, arguments):
        key = method, tuple(sorted(static.items()))
        if key not in self._programs:

            def program(params, rest, arguments):
                system = nnx.merge(self._graphdef, params, rest, copy=True)
                return getattr(system, method)(**arguments, **static)

            self._programs[key] = jax.jit(program, compiler_options=self._compiler_options)
        return self._programs[key](*self._weights, arguments)


class _Interruption:
    """Ctrl-C once asks to end with what there is; twice, it interrupts as ever."""

    def __init__(self):
        self.asked = False
        self._previous = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


def named(tools):
    """{name: tool} of a system's tools.

    Raises:
      ValueError: two have one name.
    """
    found = {tool.name: tool for tool in tools}
    if len(found) != len(tools):
        raise ValueError(f"tools need different names, got {[tool.name for tool in tools]}")
    return found
