"""XploreGAN: translation between clusters of pictures that nobody has labelled (Bahng et al., CVPR 2020).

The features that a trained classifier has of the training examples are clustered by k-means; the clusters are the
domains of StarGAN's game (`systems.many_domains`). A summary of a cluster, means and deviations of its features, says
what the generator paints. There is no released code. The paper leaves open which layer is clustered, how features are
scaled, what a summary is made of, and whether an image shall stay as it is in its own cluster; `Settings` and `moments`
say what was chosen here.
"""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import data, values
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.system import load_class
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import stargan as nets
from vision_gen.nets import xploregan
from vision_gen.ops import colour, conv, losses
from vision_gen.pretrained import named
from vision_gen.settings import Count, CountOrNone, NotNegative, nearest
from vision_gen.systems import many_domains
from vision_gen.systems.classifier import Classifier

TOGETHER = 64  # Examples whose features are computed at a time.
MANY = 1000  # More images than a network has layers: what has as many rows is of the images.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of XploreGAN; the defaults are StarGAN's where it has them, the others ours."""

    clusters: Count = 10  # Of features: how many domains there are.
    layer: str = "pooled"  # Of the classifier, that is clustered: an intermediate of its network ("stem", "stage_1").
    clustered: Count = 10_000  # Examples that clusters are found in, spread over the training set.
    width: Count = 64  # Channels of the generator's first convolution.
    residual_blocks: CountOrNone = 6
    discriminator_width: Count = 64  # Channels of the discriminator's first convolution.
    stages: Count = 6  # Convolutions of the discriminator, each of which halves the map.
    class_weight: NotNegative = 1.0  # Of the clusters' cross-entropy.
    cycle_weight: NotNegative = 10.0  # Of the absolute error of what is translated there and back.
    identity_weight: NotNegative = 10.0  # Of the absolute error of an image as one of its own cluster.
    penalty_weight: NotNegative = 10.0  # Of the gradient penalty.
    flip: bool = True  # Mirror half of the images.


class XploreGAN(many_domains.ManyDomains):
    """A domain is a cluster; an image is of the one whose centre is nearest to its features."""

    title = "Translation between clusters (XploreGAN)"
    Settings = Settings
    readers = {"classifier": None}
    needs = {"colour": (None, None, 3)}
    explained = many_domains.ManyDomains.explained | {
        "reached": "share of translations, into other clusters than the image's own, that are of the one asked for by "
        "the classifier's features",
    }
    legends = {"samples": "Held-out images, each as those of every cluster."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        origin = experiment.origin.get("classifier")
        if origin and not issubclass(load_class(origin.system), Classifier):
            found = f"{origin.run}: {origin.attribute} of {origin.system}"
            raise InputError(
                f"config.init.classifier must be the network of a classifier.Classifier (runs/x:network), got {found}"
            )
        self.classifier = experiment.network("classifier", rngs=rngs)
        count, features = model.clusters, width(self.classifier, experiment.data.resolution, model.layer)
        any_of = lambda *shape: nnx.BatchStat(0.01 * jax.random.normal(rngs.params(), shape))
        # `prepare` finds them; until then any. Features are those of `moments`, shifted and scaled.
        self.domains = nnx.Dict(
            shift=nnx.BatchStat(jnp.zeros(features)),
            scale=nnx.BatchStat(jnp.ones(features)),
            centres=any_of(count, features),
            summaries=any_of(count, 2 * features),
        )
        self.generator = xploregan.Generator(
            summary=2 * features, width=model.width, blocks=model.residual_blocks, rngs=rngs
        )
        self.discriminator = nets.Discriminator(
            size=experiment.data.resolution,
            labels=count,
            width=model.discriminator_width,
            stages=model.stages,
            rngs=rngs,
        )

    @classmethod
    def check(cls, experiment, source):
        """As many examples as clusters at least, and pictures of the size that the classifier knows."""
        super().check(experiment, source)
        known = experiment.other("classifier").data
        if known.resolution != experiment.data.resolution:
            raise InputError(
                f"config.data.size must be that of the classifier, {known.size}, got {experiment.data.size}"
            )
        check_clusters(experiment, source)

    @classmethod
    def prepare(cls, experiment, source, weights):
        """The clusters, with their summaries."""
        model = experiment.model
        system = nnx.eval_shape(lambda: experiment.system(experiment, rngs=nnx.Rngs(0)))
        network, state = nnx.split(named.put(system.classifier, weights["classifier"]))
        see = jax.jit(
            lambda state, image: moments(nnx.merge(network, state), colour.from_uint8(image), model.layer),
            compiler_options=conv.compiler_options(),
        )
        chosen = np.linspace(0, len(source) - 1, min(len(source), model.clustered)).astype(int)
        found = []
        for start in range(0, len(chosen), TOGETHER):
            some = np.resize(chosen[start : start + TOGETHER], TOGETHER)  # Of one shape, for one program.
            found.append(see(state, data.stack([{"colour": source[int(i)]["colour"]} for i in some])["colour"]))
        found = np.concatenate(found)[: len(chosen)]
        shift, scale = found.mean(0), np.maximum(found.std(0), 1e-6)
        features = (found - shift) / scale
        number = clustered(features, model.clusters, experiment.seed)
        of = [features[number == i] for i in range(model.clusters)]
        centres = np.stack([some.mean(0) for some in of])
        summaries = np.concatenate([centres, [some.std(0) for some in of]], -1)
        made = dict(shift=shift, scale=scale, centres=centres, summaries=summaries)
        return {"domains": {name: jnp.float32(value) for name, value in made.items()}}

    @classmethod
    def domain_names(cls, experiment, classes):
        return tuple(f"cluster {i}" for i in range(experiment.model.clusters))

    @classmethod
    def tools(cls, experiment, facts):
        image, names = values.Image(), cls.domain_names(experiment, ())
        fitting = CentralSquare(experiment.data.size, multiple=2**nets.DOWN)
        inputs = {"image": image, "cluster": values.Label(names)}
        doc = "Turns an image into one of a cluster."
        return [
            Tool("translate", doc, inputs, {"translation": image}, fitting=fitting),
            Tool("sheet", "An image, and it in each cluster.", {"image": image}, {"sheet": image}, fitting=fitting),
        ]

    # Clusters.

    def cluster(self, image):
        """Which cluster each of images [batch, height, width, 3] is of, [batch] int32."""
        domains = self.domains
        found = (moments(self.classifier, image, self.model.layer) - domains["shift"][...]) / domains["scale"][...]
        apart = jnp.square(found[:, None] - domains["centres"][...]).sum(-1)
        return apart.argmin(-1).astype(jnp.int32)

    def _label(self, batch):
        return jax.nn.one_hot(self.cluster(colour.from_uint8(batch["colour"])), self.model.clusters)

    def _translated(self, image, label, *, train=False):
        return self.generator(image, (label @ self.domains["summaries"][...]).astype(image.dtype))

    def _asked(self, image):
        """Labels that ask for each cluster in turn, [batch, clusters, clusters]."""
        count = self.model.clusters
        return jnp.broadcast_to(jnp.eye(count), (len(image), count, count))

    def generator_loss(self, out, batch, now):
        """StarGAN's, and an image as one of its own cluster: without it a digit may become a hole of its shape."""
        same = self._translated(out["real"], out["origin"], train=True)
        identity = self.model.identity_weight * losses.l1(same, out["real"])
        return super().generator_loss(out, batch, now) | {"identity": identity}

    # Tools.

    def translate(self, *, image, cluster):
        """Images [batch, height, width, 3] in [-1, 1], as those of clusters [batch]."""
        return self._translated(image, jax.nn.one_hot(cluster, self.model.clusters))

    def sheet(self, *, image):
        """[batch, height, (1 + clusters) * width, 3]: images [batch, height, width, 3], each cluster's beside them."""
        return jnp.concatenate([image, self._strip(image, self._asked(image))], 2)

    def clusters(self, batch, keys):
        """`cluster` [batch] of a batch."""
        return {"cluster": self.cluster(colour.from_uint8(batch["colour"]))}

    def paint(self, batch, keys):
        """`picture` [batch, height, width, 3] uint8: the batch's `colour` as of its `target` [batch] clusters."""
        made = self.translate(image=colour.from_uint8(batch["colour"]), cluster=batch["target"])
        return {"picture": colour.to_uint8(made)}

    # Figures.

    def sample(self, batch, keys):
        image = colour.from_uint8(batch["colour"])
        return {"source": image, "translations": self._strip(image, self._asked(image))}

    def evaluate(self, batch, keys):
        """How far translations into all clusters are from images, and those back, and whether they reach it."""
        image, label = colour.from_uint8(batch["colour"]), self._label(batch)
        values, found = self._there_and_back(image, label, self._asked(image), self.cluster)
        reached = found.T == jnp.arange(self.model.clusters)
        return values | {"reached": jnp.mean(reached.astype(jnp.float32), 1, where=label == 0)}


def clustered(features, count, seed):
    """Numbers [n] int32 of `count` clusters of features [n, width] by k-means."""
    from sklearn.cluster import KMeans  # Takes most of a second to import.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # To the last bit the same on any number of cores.
        return KMeans(count, n_init=4, random_state=seed).fit_predict(features)


def check_clusters(experiment, source):
    """Refuses a `config.model.clusters` that a source of examples to train on is too small for."""
    most = min(len(source), experiment.model.clustered)
    if not 2 <= experiment.model.clusters <= most:
        raise InputError(
            f"config.model.clusters must be from 2 to {most}, the examples that are clustered, got "
            f"{experiment.model.clusters}"
        )


def width(network, size, layer):
    """How many features `moments` gives of images of `size` = (height, width); nothing is computed."""
    graphdef, state = nnx.split(network)
    see = lambda state, images: moments(nnx.merge(graphdef, state), images, layer)
    return jax.eval_shape(see, state, jax.ShapeDtypeStruct((MANY, *size, 3), jnp.float32)).shape[1]


def moments(network, images, layer):
    """Means of a layer's channels over an image, and, where it has places, their deviations: [batch, features] float32.

    Args:
      network: of a classifier.
      images: [batch, height, width, 3] in [-1, 1].
      layer: [batch, ..., channel] among the intermediates of the network; of several, "stage_1" and so on.

    Raises:
      InputError: there is no such layer.
    """
    known = {}
    for name, x in network(images, intermediates=True)[1].items():
        known |= {f"{name}_{i}": part for i, part in enumerate(x, 1)} if isinstance(x, tuple) else {name: x}
    known = {name: x for name, x in known.items() if x.ndim > 1 and len(x) == len(images)}
    if layer not in known:
        raise InputError(f"config.model.layer {layer!r} is none of the classifier's{nearest(layer, known, every=True)}")
    x = known[layer].astype(jnp.float32)
    places = tuple(range(1, x.ndim - 1))
    return jnp.concatenate([x.mean(places), x.std(places)], -1) if places else x
