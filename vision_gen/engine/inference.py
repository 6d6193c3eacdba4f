"""Using a trained system: figures and sheets of held-out data, and the user's own images."""

import collections
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from vision_gen import data
from vision_gen.data import images, pipeline
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import sheets
from vision_gen.engine import experiment as experiments
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import system as systems
from vision_gen.errors import InputError
from vision_gen.ops import colour


class Inference:
    """Jitted `sample` and `evaluate` of a system with the averaged parameters."""

    def __init__(self, experiment, graphdef, parallel):
        self._experiment, self._parallel = experiment, parallel
        self._graphdef = graphdef
        self._functions = {}

    def __call__(self, method, state, batch, keys_seed):
        """`method`'s result on a process-local batch, as numpy, for the whole global batch."""
        if method not in self._functions:
            function = self._function(method)
            self._functions[method] = jax.jit(
                function,
                out_shardings=self._parallel.replicated,
                compiler_options=self._parallel.compiler_options,
            )
        batch = self._parallel.inference_batch(batch)
        params = states.ema_params(state)
        return jax.device_get(self._functions[method](params, state["rest"], batch, keys_seed))

    def _function(self, method):
        def function(params, rest, batch, seed):
            size = jax.tree.leaves(batch)[0].shape[0]
            keys = step_lib.example_keys(seed, 0, size)
            return systems.run(self._graphdef, params, rest, method, batch, keys)[0]

        return function

    def shapes(self, method, state, batch):
        """Shapes of `method`'s result, without computing it."""
        params = states.ema_params(state)
        return jax.eval_shape(self._function(method), params, state["rest"], batch, 0)

    def translate(self, state, inputs):
        """`System.translate` of one example on any device: dict of [1, height, width, channel]."""
        if "translate" not in self._functions:

            def function(params, rest, inputs):
                system = nnx.merge(self._graphdef, params, rest, copy=True)
                return system.translate(**inputs)

            self._functions["translate"] = jax.jit(
                function, compiler_options=self._parallel.compiler_options
            )
        return self._functions["translate"](states.ema_params(state), state["rest"], inputs)

    def evaluate(self, state, source, *, limit=None, progress=None):
        """Means of `System.evaluate` over a source.

        Args:
          state: as checkpointed (not stacked).
          source: a `data.Source`.
          limit: the first so many examples only.
          progress: called with (done, total) after every batch.

        Returns:
          (means, values): floats by name, and the [examples] arrays that they are of. Examples
          for which a figure is NaN do not count in its mean.
        """
        collected = collections.defaultdict(list)
        for values in self.each("evaluate", state, source, limit=limit, progress=progress):
            for name, value in values.items():
                collected[name].append(value)
        values = {name: np.concatenate(parts) for name, parts in collected.items()}
        return {name: float(np.nanmean(v)) for name, v in values.items()}, values

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

    def sheet(self, state, source, count):
        """The sample sheet of `count` examples spread evenly over a source, uint8."""
        columns = self.spread("sample", state, source, count)
        order = self._experiment.system.columns
        return sheets.sheet({name: columns[name] for name in order})


class Model:
    """A trained system to call on images; `vision_gen.load` makes it.

    Attributes:
      config: the run's resolved config.
      step: of the checkpoint.
      inputs: names of the images that a call takes, in order.
    """

    def __init__(self, experiment, step, state, inference):
        self.experiment, self.step, self.state = experiment, step, state
        self.config = experiment.config
        self._inference = inference
        self._system = experiment.system
        self.inputs = tuple(self._system.inputs)

    def apply(self, method, source, count):
        """A method (batch, keys) of the system for `count` examples spread over a source."""
        return self._inference.spread(method, self.state, source, count)

    def evaluate(self, source, progress=None):
        """(means, values) of `System.evaluate` over a source; see `Inference.evaluate`."""
        return self._inference.evaluate(self.state, source, progress=progress)

    def each(self, method, source, progress=None):
        """A method (batch, keys) of the system for every example of a source, a batch at a time."""
        return self._inference.each(method, self.state, source, progress=progress)

    @property
    def columns(self):
        """What the system's sample sheet shows, by name."""
        return tuple(self._system.columns)

    def names(self, method, source):
        """Names of what a method (batch, keys) of the system gives for examples of a source."""
        return tuple(self._inference.shapes(method, self.state, data.stack([source[0]])))

    def sheet(self, source, count):
        """The sample sheet of `count` examples spread over a source, uint8."""
        return self._inference.sheet(self.state, source, count)

    def draw(self, source):
        """The pictures that explain the system: {name: uint8 image or film}; see `System.figures`."""
        return self._system.figures(self, source)

    def __call__(self, *arguments, **named):
        """Applies the system to one set of images.

        Args:
          *arguments, **named: images in the order of `inputs` or by name; each a uint8 array
            [height, width] or [height, width, 3], or a path. Any size and aspect ratio: each is
            fitted into the square that the system was trained on, over white, and the result is
            cut out and brought to the first image's size.

        Returns:
          [height, width, 3] uint8, of the first image's size.

        Raises:
          InputError: an image is missing, or is not uint8 or of another shape.
        """
        if not self.inputs:
            raise InputError(f"{self.config.system} is not applied to images")
        given = dict(zip(self.inputs, arguments)) | named
        if sorted(given) != sorted(self.inputs) or len(arguments) > len(self.inputs):
            raise InputError(
                f"{self.config.system} takes the images {list(self.inputs)}, got "
                f"{list(named)} by name and {len(arguments)} by position"
            )
        size = self.config.data.size
        batch = {}
        for name in self.inputs:
            image = _as_rgb(name, given[name])
            if name == self.inputs[0]:
                height, width = image.shape[:2]
            fitted = ImageOps.pad(
                Image.fromarray(image), (size, size), Image.Resampling.LANCZOS, color="white"
            )
            fitted = colour.from_uint8(jnp.asarray(np.asarray(fitted))[None])
            channels = self._system.inputs[name]
            batch[name] = colour.luma(fitted) if channels == 1 else fitted
        out = self._inference.translate(self.state, batch)
        out = Image.fromarray(np.asarray(colour.to_uint8(out[0])))
        scale = size / max(height, width)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
        out = out.crop((left, top, left + inner[0], top + inner[1]))
        return np.asarray(out.resize((width, height), Image.Resampling.LANCZOS))


def _as_rgb(name, image):
    if isinstance(image, (str, pathlib.Path)):
        return images.read(image)
    image = np.asarray(image)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3):
        raise InputError(
            f"{name} must be uint8 of shape [height, width] or [height, width, 3], got "
            f"{image.dtype} {image.shape}"
        )
    return np.repeat(image[..., None], 3, -1) if image.ndim == 2 else image


def load(workdir, checkpoint="best"):
    """A trained system from a run's folder.

    Args:
      workdir: as given to `train.py`.
      checkpoint: "best", "last", or the number of a step.

    Returns:
      A `Model`.

    Raises:
      InputError: there is no such run or checkpoint, or it does not fit the config in it.
    """
    workdir = ckpt.folder(workdir)
    config = ckpt.load_config(workdir)
    # Whatever the run was trained on, this is one process with what devices it has.
    config.parallel.update(style="jit", fsdp=1, processes=1)
    shrink = max([player.shrink for player in config.players.values()], default=1)
    config.train.update(accumulate=1, batch_size=len(jax.devices()) * shrink)
    experiment = experiments.Experiment(config)
    parallel = parallel_lib.Parallel(experiment)
    if not (workdir / "checkpoints").is_dir():
        raise InputError(f"{workdir} has no checkpoints yet")
    manager = ckpt.Checkpoints(workdir, experiment, read_only=True)
    step = manager.chosen(checkpoint)
    graphdef, target = states.place_state(experiment, parallel, abstract=True)
    state = manager.restore(step, target)
    manager.close()
    return Model(experiment, step, state, Inference(experiment, graphdef, parallel))
