"""The people of `mannequin_pictures` as TFDS prepares them.

Images are yielded as encoded PNG bytes, so that neither writing nor reading needs tensorflow.
"""

import dataclasses
import io

import numpy as np
import tensorflow_datasets as tfds

from vision_gen.data import mannequin_pictures, workers

CHANNELS = {"image": 3, "cloth": 3, "cloth_mask": 1, "parse": 1, "pose": 3}
TRUTH = {"truth": 3, "truth_parse": 1}


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """One split, so that what is not asked for is not drawn: its name, how many people and their size in pixels.

    `unpaired`: only what they look like in another's garment.
    """

    split: str = "train"
    count: int = 0
    size: tuple = (128, 96)
    unpaired: bool = False

    @classmethod
    def of(cls, split, count, size, unpaired):
        name = f"{split}-{count}-{size[1]}x{size[0]}{'-unpaired' if unpaired else ''}"
        return cls(name=name, split=split, count=count, size=size, unpaired=unpaired)


class Mannequins(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """In the order of their numbers."""

    name = "mannequins"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Another drawing in `mannequin_people` or `mannequin_garments` is another version."}

    def _info(self):
        config = self.builder_config
        image = lambda channels: tfds.features.Image(shape=(*config.size, channels), encoding_format="png")
        features = {name: image(channels) for name, channels in (TRUTH if config.unpaired else CHANNELS).items()}
        if not config.unpaired:
            features["keypoints"] = tfds.features.Tensor(shape=(25, 3), dtype=np.float32)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            license="CC BY-SA 4.0",
            description="People in garments, drawn; prints of OpenMoji.",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {self.builder_config.split: self._generate_examples()}

    def _generate_examples(self):
        config = self.builder_config
        made = workers.results(
            mannequin_pictures.__name__, config.count, config.split, *config.size[::-1], config.unpaired
        )
        for number, example in enumerate(made):
            yield number, {name: io.BytesIO(v) if isinstance(v, bytes) else v for name, v in example.items()}
