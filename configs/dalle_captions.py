"""DALL-E's second stage on your own pictures with captions, `name.jpg` beside `name.txt`, with the published sizes.

--config.data.parts.pictures.dir=FOLDER --config.init.encoder=encoder.pkl --config.init.decoder=decoder.pkl, the released
autoencoder, or those of a run (runs/dvae:encoder). 12 billion parameters, a batch and steps that are for many
accelerators; config.model and config.train make it smaller. For COCO's layout:
--config.data.parts.pictures.name=coco_captions; for tars of WebDataset: webdataset.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16", "model.remat": "full", "parallel.fsdp": 8, "train.accumulate": 8}


def get_config():
    return defaults.experiment(
        "dalle.DALLE",
        data=dict(
            name="captioned",
            size=256,
            parts=dict(pictures=dict(name="caption_folder", dir="")),
            tokenizer="learned:16384",
            text_length=256,
            text_dropout=0.1,
            workers=8,
        ),
        players=dict(
            transformer=defaults.player(
                4.5e-4,
                b1=0.9,
                b2=0.96,
                weight_decay=0.045,
                schedule="halving",
                halvings=5,
                warmup=5000,
                clip=4.0,
            )
        ),
        batch_size=1024,
        steps=430_000,
        best_metric="image_entropy",
        best_mode="min",
    )
