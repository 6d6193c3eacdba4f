"""Systems are trained on one device, by programs compiled as users'; many devices are the affair of `tests/engine`."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def one_device(as_users):
    first = jax.devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, lambda *_: first)
        yield
