"""`decoder.pth` of AdaIN's PyTorch release, read and written; its encoder is read by `pretrained.features`."""

from vision_gen.nets import adain
from vision_gen.pretrained import named, torch_file


def read(path, network):
    """A state dict for a `nets.adain.Decoder`, which may be abstract: a `named.Named`.

    Raises:
      InputError: the file cannot be read.
    """
    return named.read(path, torch_file.read_state_dict(path), layout()).result()


def layout():
    """The layout of `named`: layers by their place, each with a reflection before and a ReLU behind it."""
    found, place = {}, 1
    convs = 0
    for times in (*adain.LAYERS, 3):
        if times:
            found[f"convs/{convs}/kernel"] = f"{place}.weight", named.CONV
            found[f"convs/{convs}/bias"] = f"{place}.bias", named.SAME
            convs += 1
        place += 3 if times else 1
    return found


def _write(path, network, about):
    torch_file.write(named.written(network, layout()), path)


WRITERS = {"pytorch": named.Writer("decoder.pth", _write, (".pth",))}
