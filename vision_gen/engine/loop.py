"""The training loop and everything around it: start, logs, samples, checkpoints, stop."""

import collections
import contextlib
import logging
import os
import signal
import sys
import threading
import time

from clu import parameter_overview
import jax
import numpy as np

from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import events
from vision_gen.engine import experiment as experiments
from vision_gen.engine import facts
from vision_gen.engine import inference as inference_lib
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import weights as weights_lib
from vision_gen.errors import InputError, LostProcessError, NonFiniteError
from vision_gen.figures import sheets

log = logging.getLogger("vision_gen")
# Steps whose metrics may be on their way back to the host.
IN_FLIGHT = 2


def use_compilation_cache():
    """Keeps compiled programs in $VISION_GEN_CACHE (default ~/.cache/vision_gen/xla)."""
    folder = os.environ.get("VISION_GEN_CACHE", "~/.cache/vision_gen/xla")
    jax.config.update("jax_compilation_cache_dir", os.path.expanduser(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def train(config, workdir):
    """Trains `config` in `workdir`, going on from its last checkpoint if it has any.

    Args:
      config: an experiment, from `defaults.experiment`.
      workdir: folder for checkpoints, samples, logs and TensorBoard events.

    Returns:
      The last validation figures, or {} if training was interrupted by SIGTERM (the state is
      saved).

    Raises:
      InputError: something given is wrong or cannot be written.
      NonFiniteError: a loss or gradient was not finite.
      LostProcessError: another process is gone.
    """
    started = time.time()
    experiment = experiments.Experiment(config)
    if not experiment.players:
        raise InputError(f"{config.system} has no players, so nothing to train; eval.py --config uses it")
    workdir = ckpt.folder(workdir)
    parallel_lib.initialize(experiment.parallel)
    use_compilation_cache()
    parallel = parallel_lib.Parallel(experiment)
    experiment = weights_lib.with_origins(experiment, workdir)
    ckpt.refuse_another(workdir, experiment)
    config = experiment.config
    source = data.open(experiment.data, "train")
    validation = data.open(experiment.data, "val")
    experiment.system.check(experiment, source)
    fresh = not ckpt.finished(workdir / "checkpoints")
    weights, notes = weights_lib.load(experiment) if fresh else ({}, ())
    graphdef, state = states.place_state(experiment, parallel, weights)
    # Whatever can be wrong with what was given has been found by now.
    ckpt.claim(workdir, experiment)
    facts.keep(workdir, source)
    parallel_lib.barrier("workdir")
    log_file = _log_to(workdir, jax.process_index())
    for note in notes:
        log.info(note)
    for s in (source, validation):
        if s.skipped:
            log.warning("left out %d unreadable image(s), the first: %s", len(s.skipped), s.skipped[0])
            break
    batches = pipeline.training_batches(
        source,
        batch_size=experiment.train.batch_size,
        seed=experiment.seed,
        workers=experiment.data.workers,
        process=jax.process_index(),
        processes=jax.process_count(),
    )
    manager = ckpt.Checkpoints(workdir, experiment)
    first = manager.steps()[-1] if manager.steps() else 0
    if first:
        log.info("going on from the checkpoint of step %d", first)
        state = parallel.stack(manager.restore(first, parallel.unstack(state), batches))
    if first >= config.train.steps:
        log.info("nothing to do: step %d of %d is reached", first, config.train.steps)
    inference = inference_lib.Inference(experiment, graphdef, parallel)
    stop = _StopRequest()
    example = parallel.batch(_peek(source, config))
    log.debug("%s", parameter_overview.get_parameter_overview(ckpt.named(state["params"]), include_stats=False))
    log.info("compiling (once for each config and machine)")
    step = parallel.compile(
        lambda axis: step_lib.make_step(experiment, graphdef, axis), state, example
    )
    writer = events.Writer(workdir)
    profile = _Profile(workdir, config.train.profile_at)
    writer.write_hparams(dict(ckpt.fields(config)))
    log.info("ready after %.1f s", time.time() - started)

    pending = collections.deque()
    window = _Window(experiment, first)
    figures, number, saved = {}, first, first if manager.steps() else -1

    def save(metrics=None):
        nonlocal saved
        _drain(pending, window, 0)
        manager.save(number, parallel.unstack(state), batches, metrics)
        saved = number

    def validate():
        means, _ = inference.evaluate(
            parallel.unstack(state), validation, limit=config.train.eval_images
        )
        if config.train.best_metric not in means:
            raise InputError(
                f"config.train.best_metric is {config.train.best_metric!r}; "
                f"{config.system} evaluates {sorted(means)}"
            )
        writer.write_scalars(number, {f"val/{name}": value for name, value in means.items()})
        log.info("step %d validation: %s", number, _format(means))
        return means

    def sample():
        image = inference.sheet(parallel.unstack(state), validation, config.train.sample_images)
        if jax.process_index() == 0:
            sheets.save(workdir / "samples" / f"{number:07d}.png", image)
        writer.write_images(number, {"samples": image[None]})

    settings = experiment.train
    due = lambda every: every and (number % every == 0 or number == settings.steps)
    try:
        while number < settings.steps:
            profile.before(number + 1, state)
            waited = time.perf_counter()
            batch = parallel.batch(next(batches))
            dispatched = time.perf_counter()
            state, metrics = step(state, batch)
            number += 1
            done = time.perf_counter()
            window.waited += dispatched - waited
            window.dispatched += done - dispatched
            pending.append((number, metrics))
            _drain(pending, window, IN_FLIGHT)
            if due(settings.log_every):
                line, scalars = window.report(number)
                log.info(line)
                writer.write_scalars(number, scalars)
            pause = time.perf_counter()
            if due(settings.sample_every) and settings.sample_images:
                sample()
            if due(settings.eval_every):
                figures = validate()
            if due(settings.checkpoint_every):
                if not due(settings.eval_every):
                    figures = validate()
                save(figures)
            window.paused += time.perf_counter() - pause
            if stop.requested(number):
                if saved != number:
                    save()
                log.info("stopped by SIGTERM at step %d; the same command goes on from here", number)
                figures = {}
                break
        _drain(pending, window, 0)
        if saved != number:
            save(figures or None)
        manager.wait()
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        writer.flush()
        finished = manager.steps()
        raise LostProcessError(
            f"step {number}: process {jax.process_index()} of {jax.process_count()} cannot reach another "
            f"({str(error).splitlines()[0][:200]}). Start all processes again with the same command: they go on from "
            + (f"the checkpoint of step {finished[-1]}" if finished else "the start, as no checkpoint was finished yet")
        ) from error
    finally:
        stop.restore()
        with contextlib.ExitStack() as closing:  # All are closed, even where one cannot write.
            closing.callback(_close_log, log_file)
            if not isinstance(sys.exception(), LostProcessError):  # Closing would wait for the lost one.
                closing.callback(writer.close)
                closing.callback(profile.close)
                closing.callback(manager.close)
    return figures


def _peek(source, config):
    """A batch of the right shape, to compile for, without moving the iterator."""
    local = config.train.batch_size // jax.process_count()
    example = source[0]
    return {k: np.repeat(v[None], local, 0) for k, v in example.items()}


def _log_to(workdir, process):
    """Repeats the log, with times, in a file of the workdir, one a process."""
    handler = logging.FileHandler(workdir / f"train{f'-{process}' if process else ''}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    return handler


def _close_log(handler):
    log.removeHandler(handler)
    handler.close()


class _Profile:
    """JAX's profiler, during five steps; TensorBoard shows what it found.

    Args:
      workdir: the run's folder.
      first: the first of the steps; 0 takes no profile.
    """

    STEPS = 5

    def __init__(self, workdir, first):
        self._workdir, self._first = workdir, first
        self._running = False

    def before(self, number, state):
        """To be called before each step is dispatched."""
        if number == self._first and self._first:
            jax.block_until_ready(state)  # Nor do the steps before belong to it.
            jax.profiler.start_trace(self._workdir)
            self._running = True
        elif self._running and number == self._first + self.STEPS:
            jax.block_until_ready(state)
            self.close()

    def close(self):
        if self._running:
            self._running = False
            jax.profiler.stop_trace()


def _drain(pending, window, leave):
    """Reads the metrics of all but the last `leave` steps, and stops if any is not finite.

    Raises:
      NonFiniteError: names the step, the player and the terms.
    """
    while len(pending) > leave:
        number, metrics = pending.popleft()
        values = metrics.numpy()
        if not np.isfinite(values).all():
            values = metrics.scalars()
            bad = [name for name, value in values.items() if not np.isfinite(value)]
            player = bad[0].split("/")[0]
            terms = ", ".join(f"{n.split('/')[1]} = {values[n]}" for n in bad if n.startswith(player + "/"))
            raise NonFiniteError(
                f"step {number}: the {player}'s {terms}. The checkpoints before are intact; a "
                f"lower config.players.{player}.learning_rate or a config.players.{player}.clip "
                "often helps"
            )
        unequal = [n for n, value in zip(metrics.names, values) if n.startswith(f"{step_lib.UNEQUAL}/") and value]
        if unequal:
            raise RuntimeError(
                f"step {number}: the running state {unequal[0].partition('/')[2]} differs between devices; what is no float "
                "must follow from what all devices see alike"
            )
        window.add(metrics.names, values)


class _Window:
    """What happened since the last progress line."""

    def __init__(self, experiment, first):
        self._experiment = experiment
        self._first, self._begun = first, time.perf_counter()
        self._paused_before = 0.0
        self.paused = 0.0
        self._clear(first)

    def _clear(self, number):
        self._number, self._since = number, time.perf_counter()
        self.waited = self.dispatched = 0.0
        self._paused_before += self.paused
        self.paused = 0.0
        self._rows = []

    def add(self, names, values):
        self._names = names
        self._rows.append(values)

    def _means(self):
        """{name: mean over the steps in which its player acted}."""
        columns = dict(zip(self._names, np.stack(self._rows).astype(float).sum(0))) if self._rows else {}
        acted = lambda name: columns.get(f"{name.split('/')[0]}/acted", len(self._rows))
        return {
            name: total / acted(name)
            for name, total in columns.items()
            if acted(name) and not name.endswith("/acted") and not name.startswith(f"{step_lib.UNEQUAL}/")
        }

    def report(self, number):
        """-> (progress line, scalars) of the steps since the last report."""
        experiment, train = self._experiment, self._experiment.train
        now = time.perf_counter()
        elapsed = max(now - self._since - self.paused, 1e-9)
        steps = number - self._number
        unit, each = experiment.system.units(experiment)
        rate = steps * train.batch_size * each / elapsed
        left = (now - self._begun) / max(number - self._first, 1) * (train.steps - number)
        means = self._means()
        shares = {
            f"{unit}_per_second": rate,
            "data_wait_share": self.waited / elapsed,
            "steps_per_sec": steps / elapsed,
            "uptime": now - self._begun,
        }
        parts = [f"step {number}/{train.steps}"]
        for player in experiment.players:
            terms = [
                f"{n.split('/')[1]} {v:.3g}"
                for n, v in means.items()
                if n.startswith(player + "/") and not n.endswith(("/loss", "/gradient_norm", "/learning_rate"))
            ]
            if f"{player}/loss" in means:
                parts.append(f"{player} {means[f'{player}/loss']:.3g} ({', '.join(terms)})")
        parts.append(f"{rate:.{1 if each == 1 else 0}f} {unit}/s")
        parts.append(f"{int(left) // 60}:{int(left) % 60:02d} left")
        self._clear(number)
        return " | ".join(parts), {**{f"train/{n}": v for n, v in means.items()}, **shares}


class _StopRequest:
    """SIGTERM asks the loop to save and end. With several processes all agree on the step."""

    def __init__(self):
        self._asked = threading.Event()
        self._previous = None
        self._alone = jax.process_count() == 1
        if self._alone and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())

    def requested(self, number):
        if self._alone:
            return self._asked.is_set()
        from jax.experimental import multihost_utils

        return multihost_utils.reached_preemption_sync_point(number)

    def restore(self):
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)


def _format(values):
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(values.items()))
