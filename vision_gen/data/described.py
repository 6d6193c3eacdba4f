"""Pictures in files, with captions: what the readers of several layouts have in common."""

from vision_gen.data import images, source
from vision_gen.errors import InputError


class Described(source.Source):
    """Decoded when asked for.

    Args:
      settings: `data.Settings`.
      pictures: {name: what `images.read` takes, or a function that gives it}.
      texts: {name: its captions}, one at least.
      skipped: files that were left out.
    """

    def __init__(self, settings, pictures, texts, skipped=()):
        self.shapes, self.skipped = source.images(settings, colour=3), skipped
        self._settings, self._names = settings, list(pictures)
        self._pictures, self._texts = pictures, texts

    def __len__(self):
        return len(self._names)

    def __getitem__(self, index):
        file = self._pictures[self._names[index]]
        found = images.read(file() if callable(file) else file, self._settings.max_pixels)
        return {"colour": images.fit(found, self._settings.size)}

    def name(self, index):
        """The picture's file name, from the folder on."""
        return self._names[index]

    def captions(self, index):
        """Its texts, in the order of the file."""
        return self._texts[self._names[index]]


def text(found, where):
    """One caption, of text or UTF-8 bytes.

    Raises:
      InputError: it is empty or of another encoding; `where` says of what.
    """
    try:
        found = found.decode("utf-8-sig") if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); captions must be"
        ) from None
    if not isinstance(found, str) or not found.strip():
        raise InputError(f"{where}: no caption, but {found!r}")
    return found.strip()


def lines(found, where):
    """The captions in UTF-8 bytes, one a line, empty lines left out. Errors as of `text`."""
    return tuple(line.strip() for line in text(found, where).splitlines() if line.strip())
