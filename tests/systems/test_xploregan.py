"""XploreGAN: clusters are those of a classifier's features, and what is painted follows from a cluster's summary."""

from flax import nnx
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests.conftest import tiny
from vision_gen.data import source
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import layers, xploregan as nets
from vision_gen.systems import xploregan


def small(**model):
    """A config of three clusters of the patches that a tiny ViT sees, 16 px."""
    sizes = dict(clusters=3, layer="stem", width=4, residual_blocks=1, discriminator_width=4, stages=2, flip=False)
    config = tiny("xploregan_avatars", **sizes | model)
    config.data.size = 16
    judge = tiny("vit_avatars", size=(8, 8, 2, 1), patch=8, classes=2, answers=())
    judge.data.size = 16
    origin = dict(run="runs/x", attribute="network", system=judge.system, model=judge.model.to_dict())
    with config.unlocked():
        config.origin = ConfigDict(dict(classifier=origin | dict(data=judge.data.to_dict())))
    return config


class Eye(nnx.Module):
    """A classifier that sees colours as they are."""

    def __call__(self, images, *, intermediates):
        return None, {"colour": images, "pooled": images.mean((1, 2))}


class Tinted(source.Source):
    """Flat pictures around three colours, as many of the i-th as i + 2."""

    colours = np.array([[200, 20, 20], [20, 200, 20], [20, 20, 200]])

    def __init__(self):
        self.of = np.repeat([0, 1, 2], [2, 3, 4])

    def __len__(self):
        return len(self.of)

    def __getitem__(self, index):
        shade = self.colours[self.of[index]] + 5 * (index % 3)
        return {"colour": np.broadcast_to(np.uint8(shade), (16, 16, 3))}


def test_clusters_are_found_in_features_and_summed_up(monkeypatch):
    monkeypatch.setattr(Experiment, "network", lambda self, attribute, *, rngs: Eye())
    experiment, data = Experiment(small(layer="pooled")), Tinted()
    found = xploregan.XploreGAN.prepare(experiment, data, {"classifier": {}})["domains"]
    pictures = np.stack([data[i]["colour"] for i in range(9)])
    seen = pictures.mean((1, 2)) / 127.5 - 1
    shift, scale = seen.mean(0), seen.std(0)
    np.testing.assert_allclose(found["shift"], shift, atol=1e-5)
    np.testing.assert_allclose(found["scale"], scale, atol=1e-5)
    system = nnx.merge(*Painter.made(found))
    number = np.asarray(system.cluster(jnp.float32(pictures / 127.5 - 1)))
    assert len({*zip(data.of, number)}) == 3 == len({*number})
    for kind in range(3):
        mine = ((seen - shift) / scale)[data.of == kind]
        expected = np.concatenate([mine.mean(0), mine.std(0)])
        np.testing.assert_allclose(found["summaries"][number[data.of == kind][0]], expected, atol=1e-5)
    np.testing.assert_allclose(found["centres"], found["summaries"][:, :3], atol=1e-6)


class Painter(xploregan.XploreGAN):
    """Paints a flat picture of a summary's colour, for an eye that sees it; but cluster 2 as it is."""

    def __init__(self, domains):
        self.model = nnx.static(xploregan.Settings(clusters=3))
        self.classifier = Eye()
        self.domains = nnx.Dict({name: nnx.BatchStat(jnp.asarray(value)) for name, value in domains.items()})

    @classmethod
    def made(cls, domains):
        return nnx.split(cls(domains))

    def generator(self, image, summary):
        flat = jnp.broadcast_to(summary[:, None, None, :3], image.shape)
        return jnp.where((summary[:, 2] > 0.5)[:, None, None, None], image, flat)


def test_figures_say_whether_translations_reach_their_cluster():
    centres = np.float32(np.eye(3) * 2 - 1)
    domains = dict(shift=np.zeros(3), scale=np.ones(3), centres=centres, summaries=np.concatenate([centres, 0 * centres], 1))
    system = Painter({name: np.float32(value) for name, value in domains.items()})
    picture = np.zeros((2, 4, 4, 3), np.uint8)
    picture[0, ..., 0] = picture[1, ..., 1] = 255  # Of clusters 0 and 1.
    found = system.evaluate({"colour": picture}, None)
    # Of the others, cluster 1, or 0, is reached, and cluster 2 is not.
    np.testing.assert_allclose(found["reached"], [0.5, 0.5])
    # Two of three channels change by 2, in one of three translations; all come back.
    np.testing.assert_allclose(found["moved"], [4 / 9, 4 / 9], rtol=1e-5)
    np.testing.assert_allclose(found["cycle"], [0, 0], atol=1e-6)
    assert system.clusters({"colour": picture}, None)["cluster"].tolist() == [0, 1]
    painted = system.paint({"colour": picture, "target": np.int32([1, 2])}, None)["picture"]
    np.testing.assert_array_equal(painted, picture[[1, 1]])
    assert system.sheet(image=jnp.float32(picture / 127.5 - 1)).shape == (2, 4, 16, 3)


def test_summaries_scale_and_shift_what_is_normalised():
    rng = np.random.default_rng(0)
    x, style = rng.normal(3, 2, (2, 4, 5, 3)), rng.normal(size=(2, 6))
    norm = layers.StyleNorm(6, 3, rngs=nnx.Rngs(0))
    kernel, bias = rng.normal(size=(6, 6)), rng.normal(size=6)
    norm.fc.kernel[...], norm.fc.bias[...] = jnp.float32(kernel), jnp.float32(bias)
    gamma, beta = np.split((style @ kernel + bias)[:, None, None], 2, -1)
    normal = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm(jnp.float32(x), jnp.float32(style)), (1 + gamma) * normal + beta, rtol=1e-4, atol=1e-5)
    generator = nnx.eval_shape(lambda: nets.Generator(summary=6, width=4, blocks=1, rngs=nnx.Rngs(0)))
    shapes = {"/".join(map(str, path)): x.shape for path, x in nnx.to_flat_state(nnx.state(generator))}
    assert shapes["down/0/kernel"] == (7, 7, 3, 4) and shapes["down_norms/0/scale"] == (4,)
    assert shapes["blocks/0/norms/1/fc/kernel"] == (6, 32) and shapes["up_norms/1/fc/kernel"] == (6, 8)


def test_what_cannot_be_clustered_is_refused_by_name():
    made = lambda config: nnx.eval_shape(lambda: systems.made(Experiment(config), 0))
    with pytest.raises(InputError, match="config.model.layer 'stam' is none .*; there are logits, pooled, stem; did you"):
        made(small(layer="stam"))
    config = small()
    config.origin.classifier.system = "clip.CLIP"
    with pytest.raises(InputError, match="config.init.classifier must be the network of a classifier.Classifier"):
        made(config)
    check = lambda config: xploregan.XploreGAN.check(Experiment(config), range(9))
    with pytest.raises(InputError, match="config.model.clusters must be from 2 to 9, the examples .* got 10"):
        check(small(clusters=10))
    config = small()
    config.data.size = 32
    with pytest.raises(InputError, match="config.data.size must be that of the classifier, 16, got 32"):
        check(config)
