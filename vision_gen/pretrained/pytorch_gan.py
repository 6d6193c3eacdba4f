"""State dicts of eriklindernoren/PyTorch-GAN's `cgan.py` and `acgan.py`, for `nets.pytorch_gan`.

Those scripts save nothing themselves; what is read is `torch.save(generator.state_dict(), "generator.pth")`, the
discriminator likewise.
"""

from vision_gen.pretrained import torch_layers

# Our layers by theirs.
PERCEPTRON_GENERATOR = {
    "embed": "label_emb",
    **{f"linear/{i}": f"model.{n}" for i, n in enumerate((0, 2, 5, 8, 11))},
    **{f"norms/{i}": f"model.{n}" for i, n in enumerate((3, 6, 9))},
}
PERCEPTRON_DISCRIMINATOR = {
    "embed": "label_embedding",
    **{f"linear/{i}": f"model.{n}" for i, n in enumerate((0, 2, 5, 8))},
}
RESIZE_GENERATOR = {
    "embed": "label_emb",
    "start": "l1.0",
    **{f"convs/{i}": f"conv_blocks.{n}" for i, n in enumerate((2, 6, 9))},
    **{f"norms/{i}": f"conv_blocks.{n}" for i, n in enumerate((0, 3, 7))},
}
RESIZE_DISCRIMINATOR = {
    "source": "adv_layer.0",
    "auxiliary": "aux_layer.0",
    **{f"convs/{i}": f"conv_blocks.{n}" for i, n in enumerate((0, 3, 7, 11))},
    **{f"norms/{i}": f"conv_blocks.{n}" for i, n in enumerate((6, 10, 14))},
}


_EMBEDDINGS = ("embed",)


def reader(names):
    """A reader of files whose layers are called `names`; see `torch_layers.reader`."""
    return torch_layers.reader(lambda network: names, _EMBEDDINGS)


def writers(names, file):
    """The writers of a network whose layers are called `names` there: {format: `named.Writer`}."""
    return torch_layers.writers(lambda network: names, file, _EMBEDDINGS)
