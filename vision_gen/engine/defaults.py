"""Every field that the engine reads, with the value it has unless a config says otherwise."""

from ml_collections import ConfigDict


def player(learning_rate, **overrides):
    """Settings of one player: `config.players.<name>`. Adam as the GAN papers use it."""
    settings = ConfigDict(
        dict(
            learning_rate=float(learning_rate),
            b1=0.5,
            b2=0.999,
            epsilon=1e-8,
            weight_decay=0.0,  # Decoupled (AdamW).
            schedule="constant",  # "constant", "linear" (see decay_start), "cosine", "exponential".
            decay_start=0.5,  # Share of the run after which "linear" decays.
            warmup=0,  # Steps.
            clip=0.0,  # Largest global norm of the gradient; 0 is off.
            every=1,  # Acts every so many steps.
            ema=0.0,  # Decay of the moving average of its parameters; 0 keeps none.
        )
    )
    settings.update(overrides)
    return settings


def experiment(system, *, data, model, players, **train):
    """An experiment: the engine's defaults around a system's own sections.

    Args:
      system: "module.Class" in vision_gen.systems.
      data: overrides of `config.data`.
      model: the system's own settings.
      players: {name: player(...)}.
      **train: overrides of `config.train`.
    """
    config = ConfigDict(
        dict(
            system=system,
            seed=0,
            dtype="float32",  # Of the computation: "float32" or "bfloat16".
            model=model,
            players=players,
            data=dict(
                name="openmoji",  # See data.sources.open_source.
                dir="",  # image_folder: the folder. openmoji: where it is prepared.
                size=64,
                labels=False,  # Examples have a label: openmoji's group, image_folder's subfolder.
                workers=0,  # Processes that decode; 0 decodes in threads of this one.
                skip_unreadable=False,  # image_folder: leave broken files out, and count them.
            ),
            train=dict(
                batch_size=16,  # Over all devices.
                steps=10000,
                accumulate=1,  # Parts that a batch is computed in, to save memory.
                log_every=50,
                sample_every=500,
                eval_every=1000,  # Validation; also when a checkpoint is due.
                eval_images=256,  # Of the validation split, at most.
                checkpoint_every=1000,
                keep=2,  # Checkpoints, besides the best.
                best_metric="psnr",
                best_mode="max",
                sample_images=8,
                profile_at=0,  # Step at which a profile of a few steps is taken; 0 takes none.
            ),
            parallel=dict(
                style="jit",  # "jit", "shard_map" or "pmap".
                fsdp=1,  # Devices that share one copy of parameters and optimizer state.
                processes=1,  # 1; the number of processes; or 0 to ask the cluster.
                process=0,
                coordinator="",  # host:port of process 0; empty: ask the cluster.
                timeout=60,  # Seconds without a sign of life after which a process counts as lost.
            ),
        )
    )
    config.data.update(data)
    config.train.update(train)
    return config
