"""Faces of `avatar_faces` as TFDS prepares them.

Images are yielded as encoded PNG bytes, so that neither writing nor reading needs tensorflow.
"""

import dataclasses
import importlib.metadata
import io

import tensorflow_datasets as tfds

from vision_gen.data import avatar_faces


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """One split, so that what is not asked for is not drawn: its name, how many faces and their size in pixels."""

    split: str = "train"
    count: int = 0
    size: int = 64

    @classmethod
    def of(cls, split, count, size):
        return cls(name=f"{split}-{count}-{size}", split=split, count=count, size=size)


class Avatars(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """In the order of their numbers."""

    name = "avatars"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Another table in `avatar_faces` is another version."}

    def _info(self):
        size = self.builder_config.size
        traits = {name: tfds.features.ClassLabel(names=list(values)) for name, values in avatar_faces.TRAITS.items()}
        image = tfds.features.Image(shape=(size, size, 3), encoding_format="png")
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"colour": image, **traits}),
            homepage="https://github.com/ibonn/python_avatars",
            license="MIT",
            description=f"Faces drawn by python-avatars {importlib.metadata.version('python-avatars')}.",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {self.builder_config.split: self._generate_examples()}

    def _generate_examples(self):
        config = self.builder_config
        faces = avatar_faces.rendered(config.split, config.count, config.size)
        for number, (traits, png) in enumerate(faces):
            yield number, {"colour": io.BytesIO(png), **traits}
