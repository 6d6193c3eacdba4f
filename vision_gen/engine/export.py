"""Writes networks of a system in published formats, as they are used: averaged parameters and running statistics."""

import logging
import pathlib
import re
import tempfile

from vision_gen.errors import InputError
from vision_gen.settings import nearest
from vision_gen.values import kind

log = logging.getLogger("vision_gen")


def lines(named, format, output):
    """What `eval.py --export=FORMAT --output=OUT` does.

    Args:
      named: a `use.Named`.
      format, output: as of `write`; output None is refused.

    Returns:
      Lines that say what was written.
    """
    _chosen(named.experiment(), format, output)
    return [f"wrote {path}" for path in write(named.model(), format, output)]


def write(model, format, output):
    """Writes every network of a system that has a published format.

    Args:
      model: a `use.Model`.
      format: the format, of those that `System.writers` has.
      output: a folder, in which files have their published names; or, of one network in formats that allow it, a file.

    Returns:
      Paths of the files.

    Raises:
      InputError: there is no such format, it cannot say what a network is (names the setting), or the output cannot
        be written.
    """
    writers = _chosen(model.experiment, format, output)
    for note in model.experiment.system.export_notes(model.experiment):
        log.warning(note)
    output = pathlib.Path(output)
    single = _single(output)
    folder = output.parent if single else output
    about, system = {**model.facts, "step": model.step}, model.system()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as part:
            part = pathlib.Path(part)
            for attribute, writer in writers.items():
                if not hasattr(system, attribute):  # Entries of the zoo hold what is needed to be used.
                    log.warning("the %s is not in this entry of the zoo, so it is not written", attribute)
                    continue
                name = output.name if single else writer.file.format(step=model.step)
                writer.write(part / name, getattr(system, attribute), about)
            return [path.replace(folder / path.name) for path in sorted(part.iterdir())]
    except OSError as error:
        raise InputError(f"--output: {str(output)!r} cannot be written ({error.strerror})") from error


def _single(output):
    """Is it a file rather than a folder?"""
    return output.suffix != "" and not output.is_dir()


def _chosen(experiment, format, output):
    """{attribute: `named.Writer`} of a format.

    Raises:
      InputError: there is none, or the output is not for it.
    """
    writers, name = experiment.system.writers, experiment.config.system
    formats = sorted({known for found in writers.values() for known in found})
    if not formats:
        raise InputError(f"{name} has no published format to write")
    if format not in formats:
        raise InputError(f"{name} is written as {', '.join(formats)}, not as {format!r}{nearest(format, formats)}")
    chosen = {attribute: found[format] for attribute, found in writers.items() if format in found}
    if output is None:
        files = ", ".join(re.sub("{.*}", "STEP", writer.file) for writer in chosen.values())
        raise InputError(f"--output must say into which folder {format} goes: {files}")
    output = pathlib.Path(output)
    single = _single(output)
    suffixes = next(iter(chosen.values())).suffixes if len(chosen) == 1 else ()
    if single and output.suffix not in suffixes:
        can = " or ".join(["a folder", *(f"a file that ends in {suffix}" for suffix in suffixes)])
        raise InputError(f"--output: {str(output)!r} ends in {output.suffix!r}; {format} is written into {can}")
    if not single and (output / "checkpoints").exists():
        raise InputError(f"--output: {str(output)!r} holds a run; choose another folder")
    kind.check_folder(output.parent if single else output, "--output")
    return chosen
