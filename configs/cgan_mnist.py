"""PyTorch-GAN's `cgan.py`: its nets and recipe, on MNIST at 32 px, which TFDS downloads; reads its checkpoints."""

from vision_gen.configs import acgan_mnist
from vision_gen.engine import defaults


def get_config():
    recipe = acgan_mnist.get_config()
    return defaults.experiment(
        "cgan.PerceptronCGAN", data=recipe.data, players=recipe.players, **recipe.train
    )
