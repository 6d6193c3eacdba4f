"""What was computed once and is kept, in the folder $VISION_GEN_CACHE or ~/.cache/vision_gen: arrays by name."""

import hashlib
import logging
import os
import pathlib

import numpy as np

from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")


def place(kind, *content):
    """The file of what is known by its content.

    Args:
      kind: a folder of the cache.
      *content: what it depends on: arrays, which count to three decimals, and what has a text.
    """
    text = " ".join(str(np.round(x, 3).tolist() if isinstance(x, np.ndarray) else x) for x in content)
    folder = pathlib.Path(os.environ.get("VISION_GEN_CACHE", "~/.cache/vision_gen")).expanduser()
    return folder / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def load(path):
    """{name: array} of a file of the cache, {} where there is none.

    Raises:
      InputError: it is damaged.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except Exception as error:  # As a damaged archive has it.
        raise InputError(
            f"{path}: cannot be read ({error}); it is of the cache: delete it, and it is made again"
        ) from error


def save(path, **arrays):
    """Writes a file of the cache; where that is not possible, a warning says so."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
        np.savez(part, **arrays)
        part.replace(path)
    except OSError as error:
        log.warning("%s: cannot be written (%s); what it holds is computed again next time", path, error.strerror)


def features(path, digests, compute):
    """Vectors of what has some content, [len(digests), features]; a file of the cache keeps those that it once had.

    Args:
      path: the file; see `place`.
      digests: of the contents, texts.
      compute: function of the numbers, in `digests`, of contents that the file does not know, each once, which gives an
        iterable of their vectors.
    """
    found = load(path)
    known = dict(zip(found["digests"].tolist(), found["features"])) if found else {}
    missing = {digest: number for number, digest in enumerate(digests) if digest not in known}
    if missing:
        known |= zip(missing, compute(list(missing.values())))
        save(path, digests=np.array(list(known)), features=np.stack(list(known.values())))
    return np.stack([known[digest] for digest in digests])
