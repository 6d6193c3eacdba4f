"""State dicts of eriklindernoren/PyTorch-GAN's `cgan.py` and `acgan.py`, for `nets.pytorch_gan`.

Those scripts save nothing themselves; what is read is `torch.save(generator.state_dict(), "generator.pth")`, the
discriminator likewise.
"""

from vision_gen.pretrained import named, torch_file

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


def reader(names):
    """A reader of files whose layers are called `names`: function (path, network) -> `named.Named`.

    It raises InputError where the file cannot be read.
    """

    def read(path, network):
        file = named.read(path, torch_file.read_state_dict(path), _layout(names, network))
        file.ignore("*num_batches_tracked", "counters of batches")
        return file.result()

    return read


def writers(names, file):
    """The writers of a network whose layers are called `names` there: {format: `named.Writer`}."""
    write = lambda path, network, about: torch_file.write(named.written(network, _layout(names, network)), path)
    return {"pytorch": named.Writer(file, write)}


def _layout(names, network):
    parts = dict(kernel="weight", scale="weight", bias="bias", mean="running_mean", var="running_var")
    turns = {2: named.LINEAR, 4: named.CONV}
    found = {}
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        # An embedding is a matrix [classes, numbers] in torch, too.
        turn = named.SAME if layer == "embed" else turns.get(value.ndim, named.SAME)
        found[ours] = f"{names[layer]}.{parts[part]}", turn
    return found
