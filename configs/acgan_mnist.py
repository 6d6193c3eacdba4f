"""PyTorch-GAN's `acgan.py`: its nets and recipe, on MNIST at 32 px, which TFDS downloads; reads its checkpoints."""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "acgan.ResizeACGAN",
        data=dict(name="tfds:mnist", size=32, labels=True),
        players=dict(discriminator=defaults.player(2e-4), generator=defaults.player(2e-4)),
        batch_size=64,
        steps=187_600,  # 200 epochs.
        sample_every=2000,
        eval_every=5000,
        checkpoint_every=5000,
        best_metric="spread",
    )
