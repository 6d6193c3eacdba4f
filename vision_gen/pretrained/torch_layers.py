"""State dicts of torch's modules whose layers are ours by other names; one table says both ways which is which.

`names` is a function of a network of ours that gives {our layer: theirs}; the layers' parts are called as torch does. A
part that is called otherwise there stands in it by its own name: {"norm/scale": "norm.gamma"}; one that is laid out
otherwise, with its `named.Turn`.
"""

from vision_gen.pretrained import named, torch_file

_PARTS = dict(kernel="weight", scale="weight", bias="bias", mean="running_mean", var="running_var")
_TURNS = {2: named.LINEAR, 4: named.CONV}


def reader(names, embeddings=(), unused=(), entry=None):
    """A reader of files whose layers are called `names`: function (path, network) -> `named.Named`.

    It raises InputError where the file cannot be read.

    Args:
      names: see above.
      embeddings: layers of ours that are no linear maps but tables [entries, numbers], in torch too.
      unused: {pattern of names in the file that are left aside: why}.
      entry: of a file that holds several networks, the name of one.
    """

    def read(path, network):
        file = named.read(path, torch_file.read_state_dict(path, entry), _layout(names, embeddings, network))
        for pattern, why in {"*num_batches_tracked": "counters of batches", **dict(unused)}.items():
            file.ignore(pattern, why)
        return file.result()

    return read


def writers(names, file, embeddings=(), entry=None, also=lambda network: {}):
    """The writers of a network whose layers are called `names` there: {format: `named.Writer`}; see `reader`.

    Those of several entries of one file write one after the other. `also` gives what the file has beside the network's,
    {name: array}.
    """

    def write(path, network, about):
        value = named.written(network, _layout(names, embeddings, network)) | also(network)
        if entry is not None:
            value = (torch_file.read(path) if path.exists() else {}) | {entry: value}
        torch_file.write(value, path)

    return {"pytorch": named.Writer(file, write)}


def state(names, network):
    """A network's tensors under the names of such a file, {name: array}."""
    return named.written(network, _layout(names, (), network))


def _layout(names, embeddings, network):
    layers, found = names(network), {}
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        turn = named.SAME if layer in embeddings else _TURNS.get(value.ndim, named.SAME)
        theirs = layers.get(ours) or f"{layers[layer]}.{_PARTS[part]}"
        found[ours] = theirs if isinstance(theirs, tuple) else (theirs, turn)
    return found
