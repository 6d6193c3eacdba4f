"""Weights of StyleGAN2 and StyleGAN2-ADA under the names of the reference (NVlabs/stylegan2-ada-pytorch)."""

from vision_gen.pretrained import named

# A dense layer behind a flattened map: the reference flattens (channel, height, width), here it is the other way round.
FLAT = named.Turn(
    lambda x: x.reshape(len(x), -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, len(x)),
    lambda x: [x.reshape(4, 4, -1, x.shape[1]).transpose(3, 2, 0, 1).reshape(x.shape[1], -1)],
)
_PARTS = dict(kernel="weight", bias="bias", noise="noise_const", noise_strength="noise_strength", const="const")


def generator_layout(network):
    """The layout of a `nets.stylegan2.Generator`; see `pretrained.named`."""
    resolutions = network.settings.resolutions

    def theirs(path):
        if path[0] == "mapping":
            return _mapping(path)
        _, _, index, *layer, part = path
        return ".".join([f"synthesis.b{resolutions[int(index)]}", *map(_layer, layer), _PARTS[part]])

    return _layout(network, theirs)


def discriminator_layout(network):
    """The layout of a `nets.stylegan2.Discriminator`; see `pretrained.named`."""
    resolutions = network.settings.resolutions[:0:-1]

    def theirs(path):
        if path[0] == "mapping":
            return _mapping(path)
        if path[0] == "blocks":
            _, index, *layer, part = path
            return ".".join([f"b{resolutions[int(index)]}", *map(_layer, layer), _PARTS[part]])
        return f"b4.{_layer(path[0])}.{_PARTS[path[1]]}"

    return _layout(network, theirs)


def _layer(name):
    return {"to_rgb": "torgb", "from_rgb": "fromrgb", "dense": "fc"}.get(name, name)


def _mapping(path):
    if path[1] == "average":
        return "mapping.w_avg"
    layer = "embed" if path[1] == "embed" else f"fc{path[2]}"
    return f"mapping.{layer}.{_PARTS[path[-1]]}"


def _layout(network, theirs):
    found = {}
    for ours, value in named.flat(network).items():
        path = ours.split("/")
        if path[-1] == "const":
            turn = named.permuted(1, 2, 0)
        elif path[-1] != "kernel":
            turn = named.SAME
        elif value.ndim == 4:
            turn = named.CONV
        else:
            turn = FLAT if path[0] == "dense" else named.LINEAR
        found[ours] = theirs(path), turn
    return found
