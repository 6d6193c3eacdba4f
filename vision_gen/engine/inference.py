"""The methods of a system over the examples of a source: figures and sheets of held-out data."""

import collections

import jax
import numpy as np

from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import system as systems
from vision_gen.figures import sheets


class Inference:
    """Jitted `sample` and `evaluate` of a system with the averaged parameters.

    Attributes:
      graphdef: the system's static structure.
      compiler_options: for `jax.jit`.
    """

    def __init__(self, experiment, graphdef, parallel):
        self._experiment, self._parallel = experiment, parallel
        self.graphdef, self.compiler_options = graphdef, parallel.compiler_options
        self._functions = {}

    def __call__(self, method, state, batch, keys_seed):
        """`method`'s result on a process-local batch, as numpy, for the whole global batch."""
        if method not in self._functions:
            function = self._function(method)
            self._functions[method] = jax.jit(
                function,
                out_shardings=self._parallel.replicated,
                compiler_options=self.compiler_options,
            )
        batch = self._parallel.inference_batch(batch)
        return jax.device_get(self._functions[method](*states.averaged(state), batch, keys_seed))

    def _function(self, method):
        def function(params, rest, batch, seed):
            size = jax.tree.leaves(batch)[0].shape[0]
            keys = step_lib.example_keys(seed, 0, size)
            return systems.run(self.graphdef, params, rest, method, batch, keys)[0]

        return function

    def shapes(self, method, state, batch):
        """Shapes of `method`'s result, without computing it."""
        return jax.eval_shape(self._function(method), *states.averaged(state), batch, 0)

    def figure_names(self, state, source):
        """Names of the figures that `evaluate` gives, without computing them."""
        shapes = self.shapes("evaluate", state, data.stack([source[0]]))
        of_set = self._experiment.system.figures_of_set(self._experiment, shapes)
        return (*(name for name, shape in shapes.items() if is_figure(shape)), *of_set)

    def evaluate(self, state, source, *, limit=None, progress=None):
        """Figures of a source: means of what `System.evaluate` gives for examples, and those of `System.summarise`.

        Args:
          state: as checkpointed (not stacked).
          source: a `data.Source`.
          limit: the first so many examples only.
          progress: called with (done, total) after every batch.

        Returns:
          (figures, values): floats by name, and the [examples, ...] arrays that they are of. Examples
          for which a figure is NaN do not count in its mean.

        Raises:
          ValueError: `System.summarise` does not return `System.figures_of_set`.
        """
        collected = collections.defaultdict(list)
        for values in self.each("evaluate", state, source, limit=limit, progress=progress):
            for name, value in values.items():
                collected[name].append(value)
        values = {name: np.concatenate(parts) for name, parts in collected.items()}
        means = {name: float(np.nanmean(v)) for name, v in values.items() if is_figure(v)}
        system = self._experiment.system
        of_set, right = system.summarise(values, source.classes), system.figures_of_set(self._experiment, values)
        if set(of_set) != set(right) or set(of_set) & set(values):
            raise ValueError(
                f"summarise returns {sorted(of_set)}; it must be set_figures, {sorted(right)}, and "
                f"nothing that evaluate returns, {sorted(values)}"
            )
        return means | of_set, values

    def each(self, method, state, source, *, limit=None, progress=None):
        """`method`'s results for every example of a source, once and in order, a batch at a time."""
        devices = self._parallel.mesh.size
        together = self._experiment.system.evaluation_batch
        size = devices * max(1, together // devices)
        total = min(len(source), limit or len(source))
        batches = pipeline.evaluation_batches(
            source, size, limit=limit, process=jax.process_index(), processes=jax.process_count()
        )
        for number, (batch, _) in enumerate(batches):
            # A seed for each batch, so that the draws do not depend on what else is evaluated.
            values = self(method, state, batch, number)
            kept = min(size, total - number * size)
            yield {name: value[:kept] for name, value in values.items()}
            if progress:
                progress(min((number + 1) * size, total), total)

    def spread(self, method, state, source, count):
        """`method`'s result for `count` examples spread evenly over a source, as numpy."""
        count = min(count, len(source))
        size = -(-count // self._parallel.mesh.size) * self._parallel.mesh.size
        chosen = np.linspace(0, len(source) - 1, count).astype(int)
        chosen = np.resize(chosen, size)
        local = np.array_split(chosen, jax.process_count())[jax.process_index()]
        batch = data.stack([source[int(i)] for i in local])
        result = self(method, state, batch, 0)
        return {name: value[:count] for name, value in result.items()}

    def samples(self, state, source, count):
        """(columns, captions) of a sample sheet of `count` examples spread evenly over a source; see `sheets.sheet`."""
        sample = self.spread("sample", state, source, count)
        system = self._experiment.system
        return system.shown(self._experiment, sample, source.classes), system.captions(sample, source.classes)

    def sheet(self, state, source, count):
        """The sample sheet of `count` examples spread evenly over a source, uint8."""
        return sheets.sheet(*self.samples(state, source, count))


def is_figure(value):
    """Whether what `System.evaluate` returns under a name is one figure an example, [batch] floats."""
    return len(value.shape) == 1 and jax.dtypes.issubdtype(value.dtype, np.floating)
