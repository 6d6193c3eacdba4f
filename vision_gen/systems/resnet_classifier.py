"""Image classification with a residual network (He et al., CVPR 2016); all else is as of `classifier`."""

import dataclasses
from typing import Literal

from vision_gen.engine.fitting import CentralSquare
from vision_gen.nets import resnet
from vision_gen.pretrained import resnet as pretrained
from vision_gen.settings import Count
from vision_gen.systems import classifier


@dataclasses.dataclass(frozen=True)
class Settings(classifier.Training):
    """`config.model` of a residual network."""

    depth: int | tuple[int, ...] = 50  # 18, 34, 50, or blocks of each stage: (1, 1, 1).
    width: Count = 64  # Channels of the first stage; each stage has twice as many as the one before.
    stem: Literal["large", "small"] = "large"  # "small", for small images, keeps their size before the first stage.


class ResNetClassifier(classifier.Classifier):
    """One player, the network."""

    title = "Image classification (ResNet)"
    Settings = Settings
    readers = {"network": pretrained.read}
    writers = {"network": pretrained.WRITERS}
    columns = ("image", "grad_cam")
    looks = {}
    legends = classifier.Classifier.legends | {
        "samples": "Held-out images, and light what in them speaks for the decision (Grad-CAM)."
    }

    @classmethod
    def build(cls, experiment, *, rngs):
        names = ("depth", "width", "stem", "classes")
        return resnet.ResNet(**{name: getattr(experiment.model, name) for name in names}, rngs=rngs)

    @classmethod
    def fitting(cls, experiment):
        return CentralSquare(experiment.data.resolution)

    def trained(self, images, keys):
        return self.network(images, train=True)

    def seen(self, images):
        return self._cam(images)
