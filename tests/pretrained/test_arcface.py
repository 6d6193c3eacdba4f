"""IR-SE50 gives what torch gives by the published names; how it cuts faces out is the released code's."""

from flax import nnx
import jax
import numpy as np
import pytest

from tests.conftest import blank
from vision_gen.nets import arcface
from vision_gen.pretrained import arcface as pretrained
from vision_gen.pretrained import named, torch_file


def test_features_are_torchs(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    F = torch.nn.functional
    monkeypatch.setattr(arcface, "STAGES", ((16, 2), (32, 1)))
    monkeypatch.setattr(arcface, "SIDE", 16)
    monkeypatch.setattr(arcface, "WHOLE", 24)
    monkeypatch.setattr(arcface, "FACE", (slice(2, 23), slice(1, 20)))
    network = blank(lambda: arcface.IRSE50(rngs=nnx.Rngs(0)))
    rng, state = np.random.default_rng(0), {}
    names = pretrained.names(network)
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        order = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[value.ndim]
        shape = tuple(value.shape[i] for i in order)
        positive = part in ("var", "scale")
        draw = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(size=shape) * np.prod(shape[1:]) ** -0.5
        parts = dict(kernel="weight", scale="weight", bias="bias", mean="running_mean", var="running_var")
        state[names.get(ours) or f"{names[layer]}.{parts[part]}"] = draw.astype(np.float32)
    torch_file.write(state, tmp_path / "model_ir_se50.pth")
    named.load(pretrained.read, tmp_path / "model_ir_se50.pth", network)
    weight = {name: torch.tensor(value) for name, value in state.items()}

    def norm(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weight[f"{name}.{part}"] for part in parts))

    def block(x, name, stride):
        y = F.conv2d(norm(x, f"{name}.res_layer.0"), weight[f"{name}.res_layer.1.weight"], padding=1)
        y = F.prelu(y, weight[f"{name}.res_layer.2.weight"])
        y = norm(F.conv2d(y, weight[f"{name}.res_layer.3.weight"], stride=stride, padding=1), f"{name}.res_layer.4")
        gate = F.conv2d(F.adaptive_avg_pool2d(y, 1), weight[f"{name}.res_layer.5.fc1.weight"]).relu()
        y = y * F.conv2d(gate, weight[f"{name}.res_layer.5.fc2.weight"]).sigmoid()
        kernel = weight.get(f"{name}.shortcut_layer.0.weight")
        if kernel is not None:
            return norm(F.conv2d(x, kernel, stride=stride), f"{name}.shortcut_layer.1") + y
        return F.max_pool2d(x, 1, stride) + y

    images = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    x = F.adaptive_avg_pool2d(torch.tensor(images).permute(0, 3, 1, 2), 24)[:, :, 2:23, 1:20]
    x = F.conv2d(F.adaptive_avg_pool2d(x, 16), weight["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(x, "input_layer.1"), weight["input_layer.2.weight"])
    for number, stride in enumerate((2, 1, 2)):
        x = block(x, f"body.{number}", stride)
    x = F.linear(norm(x, "output_layer.0").flatten(1), weight["output_layer.3.weight"], weight["output_layer.3.bias"])
    wanted = norm(x, "output_layer.4").numpy()
    assert wanted.std() > 0.1
    np.testing.assert_allclose(jax.jit(lambda images: network.look(images))(images), wanted, rtol=1e-3, atol=1e-4)


def test_it_has_the_published_layers():
    network = nnx.eval_shape(lambda: arcface.IRSE50(rngs=nnx.Rngs(0)))
    assert len(network.blocks) == 24 and network.out.kernel.shape == (7 * 7 * 512, 512)
    halving = [number for number, block in enumerate(network.blocks) if block.stride == 2]
    assert halving == [0, 3, 7, 21]
    assert sum(np.prod(x.shape) for x in jax.tree.leaves(nnx.state(network, nnx.Param))) == 43_797_696
