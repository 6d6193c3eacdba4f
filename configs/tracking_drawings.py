"""Tracking by colorization on clips of moving drawings, at 96 px, sized for half an hour on two CPU cores."""

from vision_gen.engine import defaults

# Vondrick et al., section 4.3: 256 px, the published widths, batch 32, 400,000 steps.
PAPER = {
    "data.size": 256,
    "model.widths": (64, 128, 256, 256),
    "model.head": 256,
    "train.batch_size": 32,
    "train.steps": 400_000,
}


def get_config():
    return defaults.experiment(
        "tracking.Tracking",
        data=dict(name="moving_drawings", size=96),
        model=dict(widths=(32, 48, 64, 64), head=64, clusters_steps=200),
        players=dict(network=defaults.player(1e-3, b1=0.9, schedule="cosine", warmup=100, clip=1.0)),
        batch_size=8,
        steps=3000,
        log_every=50,
        sample_every=500,
        eval_every=500,
        eval_images=40,
        checkpoint_every=500,
        best_metric="j",
    )
