"""NeRF (Mildenhall et al. 2020) on a scene in the nerf_synthetic layout: --config.data.dir=SCENE.

On CPU --config.train.accumulate=64, a bundle of rays at a time, is nearly twice as fast: what a part leaves for its
backward pass stays in the cache.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {}


def get_config():
    return defaults.experiment(
        "nerf.NeRF",
        data=dict(name="nerf_synthetic", rays=64),
        players=dict(field=defaults.player(5e-4, b1=0.9, epsilon=1e-7, schedule="exponential")),
        **training(steps=500_000),
    )


def training(**differing):
    """`config.train` of a scene: 64 bundles of 64 rays are 4,096."""
    common = dict(
        batch_size=64,
        log_every=100,
        sample_every=5000,
        eval_every=10_000,
        eval_images=8,
        checkpoint_every=10_000,
        sample_images=4,
    )
    return {**common, **differing}
