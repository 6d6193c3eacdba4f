"""A hash-grid NeRF of a scene that the package renders itself: minutes on two CPU cores, no file."""

from vision_gen.configs import nerf_hash


def get_config():
    config = nerf_hash.get_config()
    config.data.update(name="analytic_scene", size=96)
    config.model.update(
        levels=8, entries=2**15, coarsest=16, finest=512, samples=32, occupancy_bins=96,
        occupancy_visited=4096,
    )
    config.players.field.ema_half_life = 1100
    config.train.update(
        batch_size=16,
        steps=3000,
        log_every=100,
        sample_every=1000,
        eval_every=1000,
        checkpoint_every=1000,
    )
    return config
