"""The feature networks are the published ones, layer by layer.

`tests/golden/features_reference.npz` is made by `tests/golden/make_features.py`: pytorch-fid 0.3.0
and torchvision 0.29.1 with weights drawn by name.
"""

import functools
import hashlib
import http.server
import pathlib
import threading

from flax import nnx
import jax
import numpy as np
import pytest

from tests.golden import features_by_name as golden
from tests.golden import ops_by_seed
from vision_gen.errors import InputError
from vision_gen.nets import features
from vision_gen.ops import pool
from vision_gen.pretrained import features as reader, named
from vision_gen.pretrained import torch_file, weights

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "features_reference.npz"
TORCH = np.load(GOLDEN.with_name("torch_reference.npz"))  # See make_torch.py there.


@pytest.mark.parametrize("name", list(golden.SIZES))
def test_every_activation_is_the_references(name):
    network = nnx.eval_shape(lambda: reader.NETWORKS[name](rngs=nnx.Rngs(0)))
    reader.fill(network, golden.state_of(network))
    apply, params = reader.apply(network)
    found = jax.jit(apply)(params, golden.images(network.size))
    compared = 0
    with np.load(GOLDEN) as reference:
        for full in reference:
            origin, _, tap = full.partition("/")
            if origin == name:
                ours, theirs = golden.some(found[tap]), reference[full]
                np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), err_msg=tap)
                compared += 1
    assert compared >= {"inception-2015": 5, "alexnet": 8}.get(name, 16)
    if name == "inception-2015":
        bias = network.fc.bias[...]
        assert [found[f"mixed{block}"].shape[-1] for block in ("5b", "6a", "7a", "7c")] == [256, 768, 1280, 2048]
        np.testing.assert_allclose(found["logits_unbiased"] + bias, found["logits"], atol=1e-5)


@pytest.fixture(scope="module")
def lite():
    network, checksum = reader.load("efficientnet-lite0")
    assert checksum == weights.FILES["efficientnet-lite0"].sha256
    return reader.apply(network)


def test_efficientnet_knows_photographs(lite):
    data = pytest.importorskip("skimage.data", reason="the test extra is not installed")
    from vision_gen.data import images

    apply, params = lite
    pictures = [data.chelsea(), data.coffee(), np.stack([data.camera()] * 3, -1), data.rocket()]
    batch = np.stack([images.fit(p, 224) for p in pictures]) / np.float32(127.5) - 1
    best = np.argsort(-jax.jit(apply)(params, batch)["logits"], 1)[:, :5]
    # Egyptian cat, tabby; espresso, cup; tripod; missile or projectile.
    for row, classes in zip(best, ({285, 281}, {967, 968}, {872}, {657, 744})):
        assert classes <= set(row.tolist()), best


def test_efficientnet_is_the_torch_implementation(lite):
    apply, params = lite
    found = jax.jit(apply)(params, golden.images(224))
    for tap in ("stage3", "features", "logits"):
        np.testing.assert_allclose(golden.some(found[tap]), TORCH[f"efficientnet-lite0/{tap}"], atol=1e-4, err_msg=tap)


def test_pooling_is_torchs():
    x = ops_by_seed.pooled()
    np.testing.assert_allclose(pool.max_pool(x, 3, stride=2), TORCH["max_pool/3/2/0"])
    np.testing.assert_allclose(pool.max_pool(x, 3, stride=1, padding=1), TORCH["max_pool/3/1/1"])
    np.testing.assert_allclose(pool.average_pool(x, 3, padding=1), TORCH["average_pool"], atol=1e-6)


@pytest.mark.parametrize("window, stride, padding", [(2, 2, 0), (3, 2, 0), (3, 1, 1)])
def test_both_forms_of_pooling_by_maxima_are_the_same_with_their_gradients(window, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, 9, 8, 3))
    ours = lambda x: pool.max_pool(x, window, stride=stride, padding=padding)
    native = lambda x: pool.native_max_pool(x, window, stride, padding)
    np.testing.assert_array_equal(native(x), ours(x))
    weight = jax.random.normal(jax.random.key(1), ours(x).shape)
    gradient = lambda f: jax.grad(lambda x: (f(x) * weight).sum())(x)
    np.testing.assert_allclose(gradient(native), gradient(ours), atol=1e-5)


def test_a_missing_or_wrong_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_WEIGHTS", str(tmp_path))
    published = weights.FILES["alexnet"]
    wrong = {**weights.FILES, "alexnet": weights.dataclasses.replace(published, url="http://127.0.0.1:9/x")}
    monkeypatch.setattr(weights, "FILES", wrong)
    with pytest.raises(InputError, match="alexnet-owt-7be5be79.pth is not there.*SHA-256 begins with 7be5be79"):
        reader.load("alexnet")
    assert not list(tmp_path.iterdir())
    (tmp_path / published.file).write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not the published alexnet-owt-7be5be79.pth"):
        reader.load("alexnet")
    with pytest.raises(InputError, match="the feature network must be one of .*'alexnot'"):
        reader.load("alexnot")
    network = nnx.eval_shape(lambda: features.AlexNet(classes=0, rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match="no weight 'features.0"):
        named.load(reader.read, weights.find("efficientnet-lite0"), network)
    assert torch_file.read_state_dict(weights.find("efficientnet-lite0"))


def test_a_file_is_downloaded_once_and_its_checksum_compared(tmp_path, monkeypatch):
    content = weights.find("efficientnet-lite0").read_bytes()[:5000]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x.pth").write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "there")
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("VISION_GEN_WEIGHTS", str(tmp_path / "here"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x.pth"
        digest = hashlib.sha256(content).hexdigest()
        right = weights.Published("x.pth", url, digest[:8])
        wrong = weights.Published("y.pth", url, "00000000")
        monkeypatch.setattr(weights, "FILES", {"right": right, "wrong": wrong})
        assert weights.find("right").read_bytes() == content
        with pytest.raises(InputError, match="y.pth: is not the published .*delete it"):
            weights.find("wrong")
        server.shutdown()
    assert weights.find("right") == tmp_path / "here" / "x.pth"  # Without the server.
