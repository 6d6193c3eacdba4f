"""The conditional GAN of Mirza & Osindero (2014) on MNIST's digits: maxout nets, SGD, batches of 100.

Over this run the rate falls by 1 / 1.00004 a step, as the paper's, which goes on to 1e-6. The paper's momentum rises
from 0.5 to 0.7; here it stays.
"""

from vision_gen.engine import defaults


def get_config():
    sgd = dict(optimizer="sgd(momentum=0.5)", schedule="exponential")
    return defaults.experiment(
        "cgan.MaxoutCGAN",
        data=dict(name="digits", size=28, labels=True),
        players=dict(discriminator=defaults.player(0.1, **sgd), generator=defaults.player(0.1, **sgd)),
        batch_size=100,
        steps=57_565,  # ln 10 / ln 1.00004.
        eval_every=5000,
        best_metric="spread",
    )
