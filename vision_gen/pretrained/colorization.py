"""Weights of the released colorization networks: `colorization_release_v2-9b330a0b.pth` and `siggraph17-df00044c.pth`.

And of what richzhang/colorization-pytorch trains, `latest_net_G.pth`.
"""

from vision_gen.pretrained import named, torch_file

PARTS = dict(kernel="weight", scale="weight", bias="bias", mean="running_mean", var="running_var")
# Our layers by their module, but for those of blocks: "block3/convs/1" is "model3.2".
ECCV16 = {"up": "model8.0", "head": "model8.6"}
SIGGRAPH17 = {
    "up8": "model8up.0", "short8": "model3short8.0", "up9": "model9up.0", "short9": "model2short9.0",
    "up10": "model10up.0", "short10": "model1short10.0", "conv10": "model10.1", "classes": "model_class.0",
    "out": "model_out.0",
}  # fmt: skip
CENTRES = named.Turn(lambda x: x[:, :, 0, 0].T, lambda x: [x.T[:, :, None, None]])


def read(path, network):
    """A state dict for a `nets.colorization.ECCV16` or `SIGGRAPH17`.

    Args:
      path: the file.
      network: may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read.
    """
    file = named.read(path, torch_file.read_state_dict(path), layout(network))
    file.ignore("*num_batches_tracked", "counters of batches")
    return file.result()


def layout(network):
    """The layout of a network; see `named`."""
    automatic = hasattr(network, "centres")
    names, found = ECCV16 if automatic else SIGGRAPH17, {}
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        block, *inside = layer.split("/")
        if ours == "centres":
            found[ours] = "model_out.weight", CENTRES
            continue
        if inside:
            # A ReLU after each convolution; before the first of the last blocks a ReLU, or what enlarges and one.
            first = {"block8": 2 if automatic else 1, "block9": 1}.get(block, 0)
            place = int(inside[1]) if inside[0] == "convs" else len(getattr(network, block).convs)
            module = f"{block.replace('block', 'model')}.{first + 2 * place}"
        else:
            module = names[block]
        found[ours] = f"{module}.{PARTS[part]}", named.CONV if value.ndim == 4 else named.SAME
    return found


def _writer(file):
    write = lambda path, network, about: torch_file.write(named.written(network, layout(network)), path)
    return named.Writer(file, write, (".pth",))


ECCV16_WRITERS = {"pytorch": _writer("colorization_release_v2.pth")}
SIGGRAPH17_WRITERS = {"pytorch": _writer("siggraph17.pth")}
