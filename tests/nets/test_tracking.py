"""The tracking network is torch's of the same weights, values and gradients."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import blank
from vision_gen.nets import tracking

WIDTHS, HEAD, FEATURES = (4, 6, 8, 8), 8, 5


def reference(weights, x):
    """The network written with torch's three-dimensional convolutions; `weights` in torch's layout by our names."""
    import torch
    from torch.nn import functional as F

    def normed(x, name):
        return F.batch_norm(x, None, None, weights[f"{name}/norm/scale"], weights[f"{name}/norm/bias"], True)

    def convolution(x, name, stride=1):
        kernel = weights[f"{name}/conv/kernel"].permute(3, 2, 0, 1)
        return normed(F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2), name)

    batch, frames, height, width, channels = x.shape
    x = x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    x = F.max_pool2d(F.relu(convolution(x, "stem", 2)), 3, 2, 1)
    for i, stride in enumerate((1, 1, 2, 1, 1, 1, 1, 1)):
        y = F.relu(convolution(x, f"stages/{i}/first", stride))
        y = convolution(y, f"stages/{i}/second")
        short = f"stages/{i}/short"
        x = F.relu(y + (convolution(x, short, stride) if f"{short}/conv/kernel" in weights else x))
    rows, columns = x.shape[2:]
    line = lambda n: (torch.arange(n) + 0.5) * 2 / n - 1
    places = torch.stack([line(columns).expand(rows, -1), line(rows)[:, None].expand(-1, columns)])
    x = torch.cat([x, places.expand(len(x), -1, -1, -1)], 1)
    x = x.reshape(batch, frames, -1, rows, columns).transpose(1, 2)
    for i, dilation in enumerate((1, 2, 4, 8, 16)):
        kernel = weights[f"space/{i}/conv/kernel"].permute(3, 2, 0, 1)[:, :, None]
        x = F.conv3d(x, kernel, padding=(0, dilation, dilation), dilation=(1, dilation, dilation))
        x = F.relu(normed(x, f"space/{i}"))
        kernel = weights[f"time/{i}/conv/kernel"].permute(3, 2, 0, 1)[..., None]
        x = F.relu(normed(F.conv3d(x, kernel, padding=(1, 0, 0)), f"time/{i}"))
    out = F.conv3d(x, weights["out/kernel"].permute(3, 2, 0, 1)[:, :, None], weights["out/bias"])
    return out.permute(0, 2, 3, 4, 1)


def test_it_is_torchs():
    torch = pytest.importorskip("torch")
    network = blank(lambda: tracking.Embedding(1, WIDTHS, HEAD, FEATURES, rngs=nnx.Rngs(0)))
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(0.1, 0.3, p.shape), jnp.float32), params)
    x, weight = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 32, 24, 1), (2, 3, 4, 3, FEATURES)))

    def run(params):
        out = nnx.merge(graphdef, params, rest, copy=True)(x, train=True)
        return jnp.sum(out * weight), out

    (_, out), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)
    flat = {"/".join(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(params)}
    weights = {name: torch.tensor(np.asarray(value), requires_grad=True) for name, value in flat.items()}
    expected = reference(weights, torch.tensor(x))
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=1e-3, atol=1e-3)
    (expected * torch.tensor(weight)).sum().backward()
    for path, leaf in nnx.to_flat_state(gradients):
        name = "/".join(map(str, path))
        truth = weights[name].grad.numpy()
        np.testing.assert_allclose(leaf[...], truth, rtol=5e-3, atol=2e-3 * np.abs(truth).max() + 1e-4, err_msg=name)
