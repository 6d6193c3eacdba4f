"""Eight simulated devices, a compilation cache, and OpenMoji prepared once for all tests."""

import mmap
import os
import pathlib
import signal
import sys

import jaxlib
import pytest


def known(option):
    """Does this release of XLA have an option? It ends where it is given others."""
    library = pathlib.Path(jaxlib.__file__).with_name("libjax_common.so")
    if not library.exists():
        return False
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(option.encode()) >= 0


# Compiling is most of what tests cost. Programs are the same, but their loops are neither fast nor made by XLA's newest
# emitter. AS_USERS, options for `jax.jit`, are what users' programs are compiled with.
_EMITTER = "xla_cpu_use_fusion_emitters"
AS_USERS = {"xla_backend_optimization_level": 3, **({_EMITTER: True} if known(_EMITTER) else {})}
os.environ["XLA_FLAGS"] = " ".join((
    "--xla_backend_optimization_level=0",
    *([f"--{_EMITTER}=false"] if known(_EMITTER) else ()),
    os.environ.get("XLA_FLAGS", ""),
    "--xla_force_host_platform_device_count=8",
))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# A shell lets what it starts in the background ignore Ctrl-C, and nohup a lost terminal; tests send both.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks/ and tests/ are no part of the installed package.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Names of files that are no UTF-8 may be in what a test logs; test workers send that as UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def compilation_cache():
    from vision_gen.engine import loop

    loop.use_compilation_cache()


@pytest.fixture(scope="module")
def as_users():
    """What the engine compiles is compiled as users' programs."""
    from vision_gen.ops import conv

    with pytest.MonkeyPatch.context() as patch:
        for name, value in AS_USERS.items():
            patch.setitem(conv.CPU_COMPILER_OPTIONS, name, value)
        yield


@pytest.fixture
def image_folder(tmp_path):
    """Twelve flat-coloured pictures with a dark shape each, as files of several formats."""
    import numpy as np
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        picture = np.full((40, 36, 3), 255, np.uint8)
        picture[8:30, 6:28] = rng.integers(60, 255, 3)
        picture[14:22, 12:20] = 0
        suffix = (".png", ".jpg", ".webp")[index % 3]
        Image.fromarray(picture).save(folder / f"picture{index:02d}{suffix}")
    return folder


def blank(make):
    """The network that `make()` builds, of zeros: drawing weights compiles a program for each of their shapes."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    graphdef, state = nnx.split(nnx.eval_shape(make))
    return nnx.merge(graphdef, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state))


def tiny(name, **model):
    """The experiment of `configs/name.py` in a size that compiles in seconds; the same code. `model`: its fields, if given."""
    import importlib

    config = importlib.import_module(f"vision_gen.configs.{name}").get_config()
    config.data.size = 32
    config.train.update(
        batch_size=8,
        steps=4,
        log_every=2,
        sample_every=0,
        eval_every=0,
        eval_images=8,
        checkpoint_every=2,
        sample_images=2,
    )
    if model:
        config.model.update(model)
    elif name.startswith("scft"):
        config.model.update(width=4, levels=2, residual_blocks=1, discriminator_width=4)
    elif name.startswith(("adain", "colorization", "edges", "hints", "lines")):
        config.model.update(width=4)
    else:
        config.model.update(width=4, discriminator_width=4)
    return config
