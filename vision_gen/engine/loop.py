"""The training loop and everything around it: start, logs, samples, checkpoints, stop."""

import collections
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
import time
import traceback

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
from vision_gen.engine import optimizers
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import weights as weights_lib
from vision_gen.errors import InputError, LostProcessError, NonFiniteError
from vision_gen.figures import sheets

log = logging.getLogger("vision_gen")
# Steps whose metrics may be on their way back to the host.
IN_FLIGHT = 2
# Seconds after which it is said that a run will take days, if it will.
EARLY = 20.0
DAY = 86_400
# Share of the time that steps wait for data from which on it is said.
SLOW_DATA = 0.3


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
      The last validation figures, or {} if training was interrupted by SIGTERM, SIGHUP or Ctrl-C (the state is
      saved) or nothing was left to do.

    Raises:
      InputError: something given is wrong or cannot be written; if it is found while training, the state is saved.
      NonFiniteError: a loss, gradient or parameter was not finite.
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
    changed = ckpt.refuse_another(workdir, experiment)
    with ckpt.locked(workdir):
        begun, damaged = ckpt.whole(workdir)
        source, held_out = _opened(experiment)
        if begun:
            facts.check(source, facts.load(workdir, experiment), "config.data")
        weights, notes = ({}, ()) if begun else weights_lib.load(experiment)
        graphdef, shapes = states.place_state(experiment, parallel, abstract=True)
        inference = inference_lib.Inference(experiment, graphdef, parallel)
        with _settings_refused():
            known, best = inference.figure_names(shapes, held_out["val"]), experiment.train.best_metric
        if best not in known:
            raise InputError(f"config.train.best_metric is {best!r}; {config.system} evaluates {', '.join(known)}")
        if not begun:
            weights = weights | experiment.system.prepare(experiment, source, weights)
        graphdef, state = states.place_state(experiment, parallel, weights)
        parallel_lib.barrier("workdir")  # It is there.
        with _log_to(workdir, jax.process_index()):
            for note in ckpt.set_apart(workdir, damaged) if damaged else ():
                log.warning("%s; going on from step %d", note, begun[-1])
            if begun and begun[-1] >= experiment.train.steps:
                log.info("nothing to do: step %d of %d is reached", begun[-1], experiment.train.steps)
                return {}
            for note in (*notes, *_differences(experiment, changed, begun[-1] if begun else 0)):
                log.info(note)
            run = _Run(experiment, workdir, parallel, source, held_out, graphdef, state, inference, changed)
            log.info("ready after %.1f s", time.time() - started)
            return run.go()


@contextlib.contextmanager
def _settings_refused():
    """One clear error where networks or operations refuse what they are built for or given; not where JAX does."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        if "site-packages" in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        raise InputError(f"config.model or config.data.size: {str(error).strip().splitlines()[0]}") from error


def _opened(experiment):
    """The data of a run: (examples to train on, {name: examples to evaluate})."""
    sets = {"val": (experiment.data, "val")}
    for name, overrides in experiment.evaluations.items():
        sets[name] = data.evaluation(experiment.data, overrides, f"config.evaluations.{name}")
    for settings, _ in sets.values():
        experiment.check_data(settings)
    source = data.open(experiment.data, "train")
    experiment.system.check(experiment, source)
    batch = experiment.train.batch_size
    size = batch // jax.process_count() * sum(value.nbytes for value in source[0].values())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        taken, there = (f"{number / 1e9:.4g} GB" for number in (size, memory))
        raise InputError(
            f"config.train.batch_size is {batch}; so many examples take {taken}, of the {there} of this machine's memory"
        )
    held_out = {name: data.open(*chosen) for name, chosen in sets.items()}
    for name in experiment.evaluations:
        facts.check(held_out[name], facts.of_source(source), f"config.evaluations.{name}")
    return source, held_out


def _differences(experiment, changed, step):
    """Lines on what differs from the run's last start, of `checkpoints.refuse_another`, and on rates that it moves."""
    found = [f"config.{name} is now {now!r}, was {was!r}" for name, (was, now) in changed.items()]
    if not found:
        return found
    steps = experiment.train.steps
    old_steps, _ = changed.get("train.steps", (steps, steps))
    for name, (player, settings) in experiment.players.items():
        if player.joins:  # It has no rate of its own.
            continue
        prefix = f"players.{name}."
        old = {n.removeprefix(prefix): was for n, (was, _) in changed.items() if n.startswith(prefix)}
        was = optimizers.rate(dataclasses.replace(settings, **old), step, old_steps)
        now = optimizers.rate(settings, step, steps)
        if was != now:
            found.append(f"by that the {name}'s learning rate at step {step} is {now:.3g}, was {was:.3g}")
    return found


class _Run:
    """A training run, ready for its next step.

    Args:
      experiment: an `experiment.Experiment`.
      workdir: the run's folder, locked; it is claimed when all is ready.
      parallel: a `parallel.Parallel`.
      source: examples to train on.
      held_out: {name: examples to evaluate}; figures of "val" choose the best checkpoint.
      graphdef, state: from `state.place_state`.
      inference: an `inference.Inference`.
      changed: from `checkpoints.refuse_another`.
    """

    def __init__(self, experiment, workdir, parallel, source, held_out, graphdef, state, inference, changed):
        self._experiment, self._workdir, self._parallel = experiment, workdir, parallel
        self._held_out, self._settings = held_out, experiment.train
        for s in (source, *held_out.values()):
            if s.skipped:
                log.warning("left out %d unreadable image(s), the first: %s", len(s.skipped), s.skipped[0])
                break
        self._manager = ckpt.Checkpoints(workdir, experiment)
        steps = self._manager.steps()
        self._number = steps[-1] if steps else 0
        self._saved = self._number  # Of step 0 there is nothing to save.
        if steps:
            log.info("going on from the checkpoint of step %d", self._number)
            state = parallel.stack(self._manager.restore(self._number, parallel.unstack(state)))
        self._batches = pipeline.training_batches(
            source,
            batch_size=experiment.train.batch_size,
            seed=experiment.seed,
            workers=experiment.data.workers,
            process=jax.process_index(),
            processes=jax.process_count(),
            seen=ckpt.examples_seen(workdir, experiment, self._number, changed),
        )
        self._state, self._inference = state, inference
        log.debug("%s", parameter_overview.get_parameter_overview(ckpt.named(state["params"]), include_stats=False))
        log.info("compiling (once for each config and machine)")
        example = parallel.batch(_peek(source, experiment.train.batch_size))
        with _settings_refused():
            self._step = step_lib.Programs(experiment, graphdef, parallel, state, example, self._number)
        self._writer = events.Writer(workdir)
        facts.keep(workdir, source)
        ckpt.claim(workdir, experiment, changed, self._number)
        self._writer.write_hparams(dict(ckpt.fields(experiment.config)))
        self._profile = _Profile(workdir, self._settings.profile_at)
        self._pending = collections.deque()
        self._window = _Window(experiment, self._number)
        self._estimated = self._slow_data_said = False

    def go(self):
        """Trains until the last step or until it is told to stop; returns the last validation's figures."""
        figures, settings = {}, self._settings
        self._stop = _StopRequest()
        try:
            while self._number < settings.steps:
                if self._advance():
                    pause = time.perf_counter()
                    if self._due(settings.sample_every) and settings.sample_images and self._experiment.system.columns:
                        self._sample()
                    if self._due(settings.eval_every) or self._due(settings.checkpoint_every):
                        figures = self._validate()
                    if self._due(settings.checkpoint_every):
                        self._save(figures)
                    self._window.paused += time.perf_counter() - pause
                if self._stop.requested(self._number) and self._number < settings.steps:
                    if self._saved != self._number:
                        self._save()
                    stopped = self._stop.by, self._number
                    log.info("stopped by %s at step %d; the same command goes on from here", *stopped)
                    figures = {}
                    break
            _drain(self._pending, self._window, 0)
            if self._saved != self._number:
                self._save(figures or None)
            self._manager.wait()
        except jax.errors.JaxRuntimeError as error:
            if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in str(error):
                raise
            self._lost(error)
        except ckpt.SaveError:
            raise
        except (InputError, OSError) as error:
            raise self._saved_before(error) from error
        finally:
            self._stop.restore()
            failed = sys.exception()
            if not isinstance(failed, LostProcessError):  # Closing would wait for the lost one.
                try:
                    with contextlib.ExitStack() as closing:  # All are closed, even where one cannot write.
                        closing.callback(self._writer.close)
                        closing.callback(self._profile.close)
                        closing.callback(self._manager.close)
                except InputError:
                    if failed is None:  # Otherwise it has the same cause.
                        raise
        return figures

    def _saved_before(self, error):
        """Saves the state when the data cannot be read or a log not be written; returns the error that says so."""
        what = str(error)
        if isinstance(error, OSError):
            what = f"{error.filename or self._workdir}: {error.strerror or error}"
        if not self._number or jax.process_count() > 1:  # The others know nothing of it.
            return InputError(what)
        try:
            if self._saved != self._number:
                self._save()
            self._manager.wait()
        except InputError as second:
            return InputError(f"{what}; nor could step {self._number} be saved: {second}")
        return InputError(f"{what}. Step {self._number} is saved; when it is mended, the same command goes on")

    def _due(self, every):
        return every and (self._number % every == 0 or self._number == self._settings.steps)

    def _advance(self):
        """One step, and what has come back of those before; False where there is none, as the run is to stop."""
        self._profile.before(self._number + 1, self._state)
        waited = time.perf_counter()
        try:
            batch = self._parallel.batch(next(self._batches))
        except Exception:
            # Ctrl-C and SIGHUP go to the processes that read, too, and end them.
            if self._stop.by and jax.process_count() == 1:
                return False
            raise
        dispatched = time.perf_counter()
        self._state, metrics = self._step(self._state, batch)
        self._number += 1
        self._window.waited += dispatched - waited
        self._window.dispatched += time.perf_counter() - dispatched
        self._pending.append((self._number, metrics))
        first = self._number == self._window.first + 1  # By which it is known how long a slow run takes.
        _drain(self._pending, self._window, 0 if first else IN_FLIGHT)
        self._say_days()
        if self._due(self._settings.log_every):
            line, scalars = self._window.report(self._number)
            log.info(line)
            self._writer.write_scalars(self._number, scalars)
            self._say_slow_data(scalars["data_wait_share"])
        return True

    def _say_slow_data(self, share):
        """One word where the steps of a window, but for the first ones of the run, waited long for their data."""
        if self._slow_data_said or share < SLOW_DATA or self._window.age < EARLY:
            return
        self._slow_data_said = True
        log.warning(
            "%.0f percent of the time goes into waiting for data, which are read and decoded too slowly: "
            "config.data.workers (now %d) reads in so many processes, of use up to the %d cores; files no larger than "
            "config.data.size needs are read faster",
            100 * share,
            self._experiment.data.workers,
            os.cpu_count() or 1,
        )

    def _say_days(self):
        """One word, as soon as it can be known, where the run will take more than a day."""
        done = self._number - len(self._pending)
        if self._estimated or self._window.age < EARLY or done == self._window.first:
            return
        self._estimated = True
        left = self._window.left(done)
        if left > DAY:
            log.warning(
                "this run will take about %s on %d %s device(s): fewer config.train.steps, a smaller model, batch or "
                "image, or one of the *_demo configs takes less",
                _duration(left),
                self._parallel.mesh.size,
                jax.devices()[0].device_kind,
            )

    def _save(self, figures=None):
        _drain(self._pending, self._window, 0)
        self._manager.save(self._number, self._parallel.unstack(self._state), figures)
        self._saved = self._number

    def _validate(self):
        state, found = self._parallel.unstack(self._state), {}
        for name, source in self._held_out.items():
            found[name], _ = self._inference.evaluate(state, source, limit=self._settings.eval_images)
            self._writer.write_scalars(self._number, {f"{name}/{title}": v for title, v in found[name].items()})
            label = "validation" if name == "val" else f"validation on {name}"
            log.info("step %d %s: %s", self._number, label, _format(found[name]))
        return found["val"]

    def _sample(self):
        state, source = self._parallel.unstack(self._state), self._held_out["val"]
        image = self._inference.sheet(state, source, self._settings.sample_images)
        if jax.process_index() == 0:
            path = self._workdir / "samples" / f"{self._number:07d}.png"
            try:
                sheets.save(path, image)
            except OSError as error:
                raise InputError(f"cannot write {path} ({error.strerror or error})") from error
        self._writer.write_images(self._number, {"samples": image[None]})

    def _lost(self, error):
        self._writer.flush()
        steps = self._manager.steps()
        raise LostProcessError(
            f"step {self._number}: process {jax.process_index()} of {jax.process_count()} cannot reach another "
            f"({str(error).splitlines()[0][:200]}). Start all processes again with the same command: they go on from "
            + (f"the checkpoint of step {steps[-1]}" if steps else "the start, as no checkpoint was finished yet")
        ) from error


def _peek(source, batch_size):
    """A batch of the right shape, to compile for, without moving the iterator."""
    local = batch_size // jax.process_count()
    example = source[0]
    return {k: np.repeat(v[None], local, 0) for k, v in example.items()}


@contextlib.contextmanager
def _log_to(workdir, process):
    """Repeats the log, with times, in a file of the workdir, one a process."""
    path = workdir / f"train{f'-{process}' if process else ''}.log"
    try:
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror})") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with contextlib.suppress(OSError):  # Has been raised.
            handler.close()


class _LogFile(logging.FileHandler):
    """A log whose failure ends the run, instead of a traceback a line."""

    def handleError(self, record):
        error = sys.exception()
        raise InputError(f"cannot write {self.baseFilename} ({getattr(error, 'strerror', None) or error})") from error


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
            movers = [name.removesuffix("/learning_rate") for name in values if name.endswith("/learning_rate")]
            mover = player if player in movers else movers[0]  # One that joins another has no rate.
            terms = ", ".join(f"{n.split('/')[1]} = {values[n]}" for n in bad if n.startswith(player + "/"))
            raise NonFiniteError(
                f"step {number}: the {player}'s {terms}. The checkpoints before are intact; a "
                f"lower config.players.{mover}.learning_rate or a config.players.{mover}.clip "
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
        self.first, self._begun = first, time.perf_counter()
        self._paused_before = 0.0
        self.paused = 0.0
        self._clear(first)

    def _clear(self, number):
        self._number, self._since = number, time.perf_counter()
        self.waited = self.dispatched = 0.0
        self._paused_before += self.paused
        self.paused = 0.0
        self._rows = []

    @property
    def age(self):
        """Seconds since the run's first step."""
        return time.perf_counter() - self._begun

    def left(self, done):
        """Seconds until the run's last step, where `done` of its steps are."""
        return self.age / max(done - self.first, 1) * (self._experiment.train.steps - done)

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
        parts.append(f"{_duration(self.left(number))} left")
        self._clear(number)
        return " | ".join(parts), {**{f"train/{n}": v for n, v in means.items()}, **shares}


class _StopRequest:
    """SIGTERM, SIGHUP and Ctrl-C ask the loop to save and end; Ctrl-C twice ends at once.

    With several processes all agree on the step, by what JAX makes of SIGTERM.

    Attributes:
      by: the signal that came, or "".
    """

    def __init__(self):
        self.by = ""
        self._previous = {}
        self._alone = jax.process_count() == 1
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGHUP, *([signal.SIGTERM] if self._alone else [])):
                if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup has it.
                    self._previous[number] = signal.signal(number, self._ask)

    def _ask(self, number, _):
        self.by = signal.Signals(number).name
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)
        if number == signal.SIGINT:
            signal.signal(number, self._previous[number])

    def requested(self, number):
        if self._alone:
            return bool(self.by)
        from jax.experimental import multihost_utils

        if multihost_utils.reached_preemption_sync_point(number):
            self.by = self.by or signal.SIGTERM.name
            return True
        return False

    def restore(self):
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _duration(seconds):
    """ "2:05", "1:02:05", "2 days 3 h"."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'s' * (days > 1)} {hours} h"
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _format(values):
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(values.items()))
