"""Weights of the reference implementation of pix2pix (`latest_net_G.pth`, `latest_net_D.pth`)."""

from vision_gen.pretrained import named, torch_file


def read_generator(path, network):
    """A saved U-Net (`unet_128`, `unet_256`) for a `nets.unet.UNet`.

    Args:
      path: `latest_net_G.pth` or the like.
      network: the `UNet`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read.
    """
    return _read(path, _generator(network))


def read_discriminator(path, network):
    """A saved PatchGAN (`basic`, `n_layers`) for a `nets.patchgan.PatchDiscriminator`; see `read_generator`."""
    return _read(path, _discriminator(network))


def _read(path, layout):
    file = named.read(path, torch_file.read_state_dict(path), layout)
    file.ignore("*num_batches_tracked", "counters of batches")
    return file.result()


def _writer(file, layout):
    write = lambda path, network, about: torch_file.write(named.written(network, layout(network)), path)
    return named.Writer(file, write)


def _generator(network):
    """The layout of a U-Net; see `named`."""
    stages = len(network.down)
    names = {}
    for i in range(stages):
        # Each stage is nested in the one before; the outermost has no activation in front.
        prefix = "model." + "model.1." * min(i, 1) + "model.3." * max(i - 1, 0) + "model."
        outermost, innermost = i == 0, i == stages - 1
        names[f"down/{i}"] = f"{prefix}{0 if outermost else 1}"
        names[f"up/{i}"] = f"{prefix}{3 if outermost or innermost else 5}"
        if not outermost and not innermost:
            names[f"down_norm/{i}"] = f"{prefix}2"
        if not outermost:
            names[f"up_norm/{i}"] = f"{prefix}{4 if innermost else 6}"
    return _layout(names, network)


def _discriminator(network):
    names, index = {}, 0
    for i, norm in enumerate(network.norms):
        names[f"convs/{i}"] = f"model.{index}"
        index += 1
        if norm is not None:
            names[f"norms/{i}"] = f"model.{index}"
            index += 1
        index += 1  # The activation.
    return _layout(names, network)


def _layout(names, network):
    parts = dict(kernel="weight", scale="weight", bias="bias", mean="running_mean", var="running_var")
    found = {}
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        found[ours] = f"{names[layer]}.{parts[part]}", named.CONV if value.ndim == 4 else named.SAME
    return found


GENERATOR_WRITERS = {"pytorch": _writer("latest_net_G.pth", _generator)}
DISCRIMINATOR_WRITERS = {"pytorch": _writer("latest_net_D.pth", _discriminator)}
