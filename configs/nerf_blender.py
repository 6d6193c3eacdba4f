"""NeRF (Mildenhall et al. 2020) on a scene in the nerf_synthetic layout: --config.data.dir=SCENE.

On CPU --config.train.accumulate=64, a bundle of rays at a time, is nearly twice as fast: what a part leaves for its
backward pass stays in the cache.
"""

from ml_collections import ConfigDict

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {}


def get_config():
    return defaults.experiment(
        "nerf.NeRF",
        data=dict(name="nerf_synthetic", downscale=1, rays=64, film_frames=60),
        model=ConfigDict(
            dict(
                encoding="positional",
                width=256,
                coarse_samples=64,
                fine_samples=128,
                density_noise=0.0,
                ndc=False,
                white_background=True,
                near=2.0,
                far=6.0,
                chunk=4096,
            )
        ),
        players=dict(field=defaults.player(5e-4, b1=0.9, epsilon=1e-7, schedule="exponential")),
        # 64 bundles of 64 rays: 4,096.
        batch_size=64,
        steps=500_000,
        log_every=100,
        sample_every=5000,
        eval_every=10_000,
        eval_images=8,
        checkpoint_every=10_000,
        sample_images=4,
    )
