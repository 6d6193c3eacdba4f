"""Published line extraction: weights under its names give what torch's layers give, in a picture of any size."""

import numpy as np
import pytest

from vision_gen.configs import lines_informative
from vision_gen.engine import use

torch = pytest.importorskip("torch", reason="the parity extra is not installed")
WIDTH = 4


def reference():
    """The published architecture, of torch's layers under its names."""
    layers = torch.nn

    class Residual(layers.Module):
        def __init__(self, width):
            super().__init__()
            half = lambda: [layers.ReflectionPad2d(1), layers.Conv2d(width, width, 3), layers.InstanceNorm2d(width)]
            self.conv_block = layers.Sequential(*half(), layers.ReLU(), *half())

        def forward(self, x):
            return x + self.conv_block(x)

    def after(conv):
        return [conv, layers.InstanceNorm2d(conv.out_channels), layers.ReLU()]

    up = dict(stride=2, padding=1, output_padding=1)
    return layers.ModuleDict({
        "model0": layers.Sequential(layers.ReflectionPad2d(3), *after(layers.Conv2d(3, WIDTH, 7))),
        "model1": layers.Sequential(
            *after(layers.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)),
            *after(layers.Conv2d(2 * WIDTH, 4 * WIDTH, 3, stride=2, padding=1)),
        ),
        "model2": layers.Sequential(*(Residual(4 * WIDTH) for _ in range(2))),
        "model3": layers.Sequential(
            *after(layers.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 3, **up)),
            *after(layers.ConvTranspose2d(2 * WIDTH, WIDTH, 3, **up)),
        ),
        "model4": layers.Sequential(layers.ReflectionPad2d(3), layers.Conv2d(WIDTH, 1, 7), layers.Sigmoid()),
    })  # fmt: skip


def test_a_file_gives_the_lines_that_torch_gives(tmp_path):
    torch.manual_seed(0)
    theirs = reference()
    torch.save(theirs.state_dict(), tmp_path / "sk_model.pth")
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    with torch.no_grad():
        x = torch.tensor(image / np.float32(255)).permute(2, 0, 1)[None]
        for part in theirs.values():
            x = part(x)
    config = lines_informative.get_config()
    config.model.update(width=WIDTH, blocks=2)
    config.init.network = str(tmp_path / "sk_model.pth")
    model = use.from_config(config)
    np.testing.assert_allclose(model.sketch(image)[..., 0].astype(int), x[0, 0] * 255, atol=1)
    model.export("pytorch", tmp_path / "again")
    again = torch.load(tmp_path / "again" / "netG_A_latest.pth")
    assert again.keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, again[name]) for name, value in theirs.state_dict().items())
