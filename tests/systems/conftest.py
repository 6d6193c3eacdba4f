"""Systems are trained on one device, by programs compiled as users'; many devices are the affair of `tests/engine`."""

import jax
import pytest

from tests.conftest import AS_USERS
from vision_gen.ops import conv


@pytest.fixture(scope="module", autouse=True)
def one_device():
    first = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, lambda *_: first)
        for name, value in AS_USERS.items():
            patch.setitem(conv.CPU_COMPILER_OPTIONS, name, value)
        yield
