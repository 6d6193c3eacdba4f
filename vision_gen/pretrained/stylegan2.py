"""Weights of StyleGAN2 and StyleGAN2-ADA as they are published, read by what a file holds:

- network pickles of NVlabs/stylegan2-ada-pytorch (`G`, `D`, `G_ema`), and those of the TensorFlow versions before it;
- `.pt` of rosinality/stylegan2-pytorch (`g`, `d`, `g_ema`, `latent_avg`);
- state dicts under the names of the first, as torch files or safetensors.

Behind a colon stands which generator of a file is meant: "ffhq.pkl:G" is the one that was trained, "ffhq.pkl" its
average.
"""

import functools
import math
import pathlib
import re

import numpy as np

from vision_gen.errors import InputError
from vision_gen.ops import fir
from vision_gen.pretrained import named, network_pickle, torch_file

GENERATORS = {"G_ema": "g_ema", "G": "g"}  # As the reference and rosinality call them.
SAMPLES = 4096  # Latents that the average of w is taken of, where a file has none.


# The layouts.

# A dense layer behind a flattened map: torch's is of (channel, height, width), here it is the other way round.
FLAT = named.Turn(
    lambda x: x.reshape(len(x), -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, len(x)),
    lambda x: [x.reshape(4, 4, -1, x.shape[1]).transpose(3, 2, 0, 1).reshape(x.shape[1], -1)],
)
CONST = named.permuted(1, 2, 0)
_PARTS = dict(kernel="weight", bias="bias", noise="noise_const", noise_strength="noise_strength", const="const")


def generator_layout(network):
    """The reference's layout of a `nets.stylegan2.Generator`; see `pretrained.named`."""
    return _layout(network, _generator_name, network.settings.resolutions)


def discriminator_layout(network):
    """The reference's layout of a `nets.stylegan2.Discriminator`."""
    return _layout(network, _discriminator_name, network.settings.resolutions[:0:-1])


def _generator_name(path, resolutions):
    if path[0] == "mapping":
        return _mapping_name(path)
    _, _, index, *layer, part = path
    return ".".join([f"synthesis.b{resolutions[int(index)]}", *map(_layer, layer), _PARTS[part]])


def _discriminator_name(path, resolutions):
    if path[0] == "mapping":
        return _mapping_name(path)
    if path[0] == "blocks":
        _, index, layer, part = path
        return f"b{resolutions[int(index)]}.{_layer(layer)}.{_PARTS[part]}"
    return f"b4.{_layer(path[0])}.{_PARTS[path[1]]}"


def _mapping_name(path):
    if path[1] == "average":
        return "mapping.w_avg"
    layer = "embed" if path[1] == "embed" else f"fc{path[2]}"
    return f"mapping.{layer}.{_PARTS[path[-1]]}"


def _layer(name):
    return {"to_rgb": "torgb", "from_rgb": "fromrgb", "dense": "fc"}.get(name, name)


def _layout(network, name, resolutions):
    found = {}
    for ours, value in named.flat(network).items():
        path = ours.split("/")
        if path[-1] == "const":
            turn = CONST
        elif path[-1] != "kernel":
            turn = named.SAME
        elif value.ndim == 4:
            turn = named.CONV
        else:
            turn = FLAT if path[0] == "dense" else named.LINEAR
        found[ours] = name(path, resolutions), turn
    return found


def _rosinality_generator_layout(network):
    """Rosinality's: the reference's arrays under other names, some with axes of one."""
    found = {}
    for ours, (theirs, turn) in generator_layout(network).items():
        _, block, *rest = theirs.split(".")
        if theirs.startswith("mapping."):
            if theirs == "mapping.w_avg":
                found[ours] = "latent_avg", named.SAME
            elif block.startswith("fc"):
                found[ours] = f"style.{int(block[2:]) + 1}.{rest[0]}", turn
            continue
        step = int(block[1:]).bit_length() - 3  # 0 at 4 px.
        if rest[0] == "const":
            found[ours] = "input.input", _in_front(1, turn)
        elif rest[0] == "torgb":
            layer = f"to_rgbs.{step - 1}" if step else "to_rgb1"
            found[ours] = _rosinality_styled(layer, rest[1:], turn)
        elif rest[0] in ("conv0", "conv1"):
            index = 2 * step - (rest[0] == "conv0")
            if rest[1] == "noise_const":
                found[ours] = f"noises.noise_{index}", _in_front(2, turn)
            else:
                found[ours] = _rosinality_styled(f"convs.{index - 1}" if step else "conv1", rest[1:], turn)
    return found


def _rosinality_styled(layer, rest, turn):
    if rest[0] == "affine":
        return f"{layer}.conv.modulation.{rest[1]}", turn
    if rest[0] == "weight":
        return f"{layer}.conv.weight", _in_front(1, turn)
    if rest[0] == "noise_strength":
        return f"{layer}.noise.weight", _in_front(1, turn)
    if layer.startswith("to_rgb"):
        return f"{layer}.bias", named.Turn(lambda x: x.reshape(-1), lambda x: [x.reshape(1, -1, 1, 1)])
    return f"{layer}.activate.bias", turn


def _in_front(count, turn):
    """A turn of what has `count` more axes of one in front."""

    def read(x):
        if x.ndim < count or x.shape[:count] != (1,) * count:
            raise ValueError(f"it would have {count} axes of 1 in front")
        return turn.read(x.reshape(x.shape[count:]))

    return named.Turn(read, lambda x: [y.reshape((1,) * count + y.shape) for y in turn.write(x)])


def _rosinality_discriminator_layout(network):
    found = {}
    size = network.settings.size
    ends = {"conv": ("final_conv.0", "final_conv.1"), "fc": ("final_linear.0",) * 2, "out": ("final_linear.1",) * 2}
    for ours, (theirs, turn) in discriminator_layout(network).items():
        block, *layer, part = theirs.split(".")
        if block == "mapping" or theirs.startswith("b4.fromrgb"):
            continue
        if block == "b4":
            weight, bias = ends[layer[0]]
        elif layer[0] == "fromrgb":
            weight, bias = "convs.0.0", "convs.0.1"
        else:
            index = size.bit_length() - int(block[1:]).bit_length() + 1
            name = {"conv0": "conv1.0", "conv1": "conv2.1", "skip": "skip.1"}[layer[0]]
            weight = f"convs.{index}.{name}"
            bias = weight[:-1] + str(int(weight[-1]) + 1)
        found[ours] = f"{weight if part == 'weight' else bias}.{part}", turn
    return found


# TensorFlow's names as the reference's, and what is done to the arrays.


def _from_tensorflow(path, tensors, size):
    """The reference's state dict of a TensorFlow network's variables; names that mean nothing stay."""
    found = {}
    for name, value in tensors.items():
        lod = re.fullmatch(r"(.*)(To|From)RGB_lod(\d\d?)/(\w+)", name)  # Colours at one size only.
        if lod:
            side = size >> int(lod[3])
            name = f"{lod[1]}{side}x{side}/{lod[2]}RGB/{lod[4]}"
        for pattern, theirs, turn in _TENSORFLOW:
            match = re.fullmatch(pattern, name)
            if match:
                try:
                    found[theirs(match) if callable(theirs) else match.expand(theirs)] = turn(value)
                except (ValueError, IndexError):
                    shape = list(value.shape)
                    raise InputError(f"{path}: {name} has shape {shape}, which it has in no network") from None
                break
        else:
            found[name] = value
    return found


_CONV = lambda x: x.transpose(3, 2, 0, 1)
_FLIPPED = lambda x: _CONV(x[::-1, ::-1])
_LINEAR = lambda x: x.transpose(1, 0)
_SAME = lambda x: x
_STYLED = (
    ("weight", "weight", _CONV),
    ("bias", "bias", _SAME),
    ("noise_strength", "noise_strength", _SAME),
    ("mod_weight", "affine.weight", _LINEAR),
    ("mod_bias", "affine.bias", lambda x: x + 1),
)


def _noise(match):
    index = int(match[1])
    return f"synthesis.b{2 ** ((index + 5) // 2)}.conv{1 - index % 2}.noise_const"


_TENSORFLOW = [
    (r"dlatent_avg", "mapping.w_avg", _SAME),
    (r"mapping/LabelEmbed/weight", "mapping.embed.weight", _LINEAR),
    (r"mapping/LabelEmbed/bias", "mapping.embed.bias", _SAME),
    (r"mapping/Dense(\d+)/weight", r"mapping.fc\1.weight", _LINEAR),
    (r"mapping/Dense(\d+)/bias", r"mapping.fc\1.bias", _SAME),
    (r"synthesis/4x4/Const/const", "synthesis.b4.const", lambda x: x[0]),
    (r"synthesis/noise(\d\d?)", _noise, lambda x: x[0, 0]),
    *(
        (rf"synthesis/(\d+)x\1/{layer}/{part}", rf"synthesis.b\1.{ours}.{name}", flip if part == "weight" else turn)
        for layer, ours, flip in (
            ("Conv", "conv1", _CONV),
            ("Conv0_up", "conv0", _FLIPPED),
            ("Conv1", "conv1", _CONV),
            ("ToRGB", "torgb", _CONV),
        )
        for part, name, turn in _STYLED
    ),
    (r"synthesis/(\d+)x\1/Skip/weight", r"synthesis.b\1.skip.weight", _FLIPPED),
    # The discriminator.
    *(
        (rf"(\d+)x\1/{layer}/{part}", rf"b\1.{ours}.{part}", _CONV if part == "weight" else _SAME)
        for layer, ours in (
            ("FromRGB", "fromrgb"),
            ("Conv0", "conv0"),
            ("Conv1_down", "conv1"),
            ("Skip", "skip"),
            ("Conv", "conv"),
        )
        for part in ("weight", "bias")
    ),
    (r"4x4/Dense0/weight", "b4.fc.weight", _LINEAR),
    (r"4x4/Dense0/bias", "b4.fc.bias", _SAME),
    (r"Output/weight", "b4.out.weight", _LINEAR),
    (r"Output/bias", "b4.out.bias", _SAME),
    (r"LabelEmbed/weight", "mapping.embed.weight", _LINEAR),
    (r"LabelEmbed/bias", "mapping.embed.bias", _SAME),
    (r"Mapping(\d+)/weight", r"mapping.fc\1.weight", _LINEAR),
    (r"Mapping(\d+)/bias", r"mapping.fc\1.bias", _SAME),
]


# Reading.


def read_generator(path, network):
    """The average of a published generator, or the one behind the path's colon ("G", "G_ema").

    Args:
      path: the file; see the module.
      network: a `nets.stylegan2.Generator`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read, holds something else than networks, or its network is built otherwise.
    """
    path, which = _which(path)
    state, facts, rosinality = _state(path, which or "G_ema", "generator")
    _check(path, network, _generator_facts(state, rosinality, facts))
    if not rosinality:
        return _translated(path, state, generator_layout(network), network)
    found = _translated(path, state, _rosinality_generator_layout(network), network)
    if "latent_avg" not in state:
        named.fit(found, network, allow=("latent_avg",))
        found.tensors["mapping/average"] = _average(found.tensors, network.settings)
        found.notes += (f"latent_avg: none is there; taken of {SAMPLES:,} latents",)
    return found


def read_discriminator(path, network):
    """A published discriminator for a `nets.stylegan2.Discriminator`; see `read_generator`."""
    path, which = _which(path)
    if which:
        raise InputError(f"{path}: has one discriminator; leave {':' + which!r} away")
    state, facts, rosinality = _state(path, "D", "discriminator")
    layout = _rosinality_discriminator_layout(network) if rosinality else discriminator_layout(network)
    _check(path, network, _discriminator_facts(state, rosinality, facts))
    return _translated(path, state, layout, network)


def _which(path):
    path = pathlib.Path(path)
    file, colon, which = str(path).rpartition(":")
    if path.exists() or not colon:
        return path, ""
    if which not in GENERATORS:
        raise InputError(f"{file}: behind the colon stands {which!r}; it must be one of {', '.join(GENERATORS)}")
    return pathlib.Path(file), which


def _state(path, which, kind):
    """-> ({name: array}, facts that no tensor shows, are the names rosinality's?)."""
    if path.suffix != ".safetensors" and network_pickle.is_one(path):
        networks = network_pickle.read(path)
        network = networks.get(which, networks.get(""))
        if network is None:
            raise InputError(f"{path}: has no network {which!r}, found {', '.join(networks)}")
        if not network.tensorflow:
            return network.tensors, _facts_of_torch(network.facts), False
        size = network.facts.get("resolution", 1024)
        if not isinstance(size, int):
            raise InputError(f"{path}: its resolution is {size!r}")
        return _from_tensorflow(path, network.tensors, size), _facts_of_tensorflow(network.facts, kind), False
    value = torch_file.read(path)
    theirs = {"D": "d"}.get(which) or GENERATORS[which]
    if isinstance(value, dict) and isinstance(value.get(theirs), dict):
        state = dict(value[theirs])
        if kind == "generator" and "latent_avg" in value:
            state["latent_avg"] = np.asarray(value["latent_avg"]).reshape(-1)
    elif isinstance(value, dict) and any(isinstance(value.get(name), dict) for name in ("g", "d", "g_ema")):
        raise InputError(f"{path}: has no network {theirs!r}, found {', '.join(map(str, value))}")
    else:
        state = torch_file.read_state_dict(path)
    rosinality = any(name.startswith(("style.", "convs.", "input.")) for name in state)
    return state, {}, rosinality


def _facts_of_torch(facts):
    """What settings a pickled module was built with."""
    return {"mapping_rate": facts.get("mapping.fc0.bias_gain"), "group": facts.get("b4.mbstd.group_size")}


def _facts_of_tensorflow(facts, kind):
    taps = facts.get("resample_kernel", (1, 3, 3, 1))
    found = {"taps": tuple(taps) if isinstance(taps, (tuple, list)) else taps}
    if kind == "generator" or facts.get("mapping_layers"):
        found["mapping_rate"] = facts.get("mapping_lrmul", 0.01 if kind == "generator" else 0.1)
    return found


def _translated(path, state, layout, network):
    filters = [name for name in state if name.endswith((".resample_filter", ".kernel"))]
    taps = np.asarray(network.settings.taps, np.float64) / sum(network.settings.taps)
    # The reference keeps one for layers that do not resample too; the block's is the one that is used.
    for name in (name for name in filters if re.search(r"(^|\.)b\d+\.resample_filter$|kernel$", name)):
        value = np.asarray(state[name], np.float64)
        found = value.sum(0) if value.ndim == 2 else value
        if value.sum() == 0 or found.shape != taps.shape or not np.allclose(found / found.sum(), taps, atol=1e-4):
            raise InputError(f"{path}: {name} is not the filter {network.settings.taps} that the network resamples by")
    file = named.read(path, {name: value for name, value in state.items() if name not in filters}, layout)
    file.ignore("lod", "of progressive growing")
    return file.result()


def _average(tensors, settings):
    """The mean of w over standard normal latents, by the file's own mapping: as rosinality's programs take it."""
    x = np.random.default_rng(0).standard_normal((SAMPLES, settings.z_size), np.float32)
    x = x / np.sqrt(np.mean(x**2, 1, keepdims=True) + 1e-8)
    for i in range(settings.mapping_layers):
        kernel, bias = tensors[f"mapping/dense/{i}/kernel"], tensors[f"mapping/dense/{i}/bias"]
        x = (x @ kernel / len(kernel) ** 0.5 + bias) * settings.mapping_rate
        x = np.where(x < 0, 0.2 * x, x) * 2**0.5
    return x.mean(0)


# What a file's network is built of, from its tensors.


def _shape(state, name, axis):
    value = state.get(name)
    return value.shape[axis] if value is not None and value.ndim > axis else None


def _generator_facts(state, rosinality, facts):
    if rosinality:
        steps = sum(bool(re.fullmatch(r"to_rgbs\.\d+\.conv\.weight", name)) for name in state)
        depth = sum(bool(re.fullmatch(r"style\.\d+\.weight", name)) for name in state)
        widths = {4: _shape(state, "input.input", 1)}
        widths |= {2 ** (i + 3): _shape(state, f"to_rgbs.{i}.conv.weight", 2) for i in range(steps)}
        found = dict(
            channels=_shape(state, "to_rgb1.conv.weight", 1),
            classes=0,
            w_size=_shape(state, "conv1.conv.modulation.weight", 1),
            z_size=_shape(state, "style.1.weight", 1),
            architecture="skip",
        )
    else:
        widths = _widths(state, "synthesis.")
        depth = _depth(state)
        last = f"synthesis.b{max(widths, default=4)}."
        classes, inputs = _shape(state, "mapping.embed.weight", 1) or 0, _shape(state, "mapping.fc0.weight", 1)
        skips, residual = "synthesis.b4.torgb.weight" in state, f"{last}skip.weight" in state
        found = dict(
            channels=_shape(state, f"{last}torgb.weight", 0),
            classes=classes,
            w_size=_shape(state, "synthesis.b4.conv1.affine.weight", 1),
            z_size=inputs - (_shape(state, "mapping.embed.weight", 0) if classes else 0) if inputs else None,
            architecture="skip" if skips else "residual" if residual else "orig",
        )
    return found | facts | dict(widths=widths, mapping_layers=depth)


def _discriminator_facts(state, rosinality, facts):
    if rosinality:
        steps = sum(bool(re.fullmatch(r"convs\.\d+\.conv1\.0\.weight", name)) for name in state)
        sides = {i: 2 ** (steps + 3 - i) for i in range(1, steps + 1)}
        widths = {side: _shape(state, f"convs.{i}.conv1.0.weight", 0) for i, side in sides.items()}
        found = dict(channels=_shape(state, "convs.0.0.weight", 1), classes=0, architecture="residual")
    else:
        widths = _widths(state, "")
        classes, size = _shape(state, "mapping.embed.weight", 1) or 0, max(widths, default=4)
        kind = "skip" if "b4.fromrgb.weight" in state else "residual" if f"b{size}.skip.weight" in state else "orig"
        found = dict(channels=_shape(state, f"b{size}.fromrgb.weight", 1), classes=classes, architecture=kind)
        if classes:
            found["mapping_layers"] = _depth(state)
    return found | facts | dict(widths=widths)


def _widths(state, prefix):
    """{side of a map: channels}."""
    found = {}
    for name in state:
        match = re.fullmatch(rf"{re.escape(prefix)}b(\d+)\.(conv|conv1)\.weight", name)
        if match and len(match[1]) < 6:
            # In the discriminator the last convolution of a side is the next's.
            found[int(match[1])] = _shape(state, name, 0 if prefix or match[2] == "conv" else 1)
    return found


def _depth(state):
    return sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state)


# What is not called `config.model.<name>`, or cannot be set.
_FIELDS = {
    "size": "config.data.size",
    "channels": "the number of an image's channels",
    "mapping_rate": "the multiplier of the mapping's learning rate",
    "taps": "the filter of resampling",
}
_FIELDS_OF = {
    "Generator": _FIELDS | {"architecture": "the generator's architecture"},
    "Discriminator": _FIELDS | {"mapping_layers": "config.model.label_layers"},
}


def _check(path, network, facts):
    """Refuses a file whose network is built otherwise, by the name of the setting."""
    settings = network.settings
    widths = facts.pop("widths")
    if not widths:
        raise InputError(f"{path}: has no weights of a {type(network).__name__} of StyleGAN2")
    facts = {"size": max(widths), **facts}
    for name, found in facts.items():
        mine = getattr(settings, name, None)
        near = isinstance(mine, float) and isinstance(found, float) and math.isclose(mine, found)
        if found is not None and mine != found and not near:
            field = _FIELDS_OF[type(network).__name__].get(name, f"config.model.{name}")
            raise InputError(f"{path}: {field} is {mine}, and the network in the file has {found}")
    for side, found in sorted(widths.items()):
        if found is not None and found != settings.width(side):
            raise InputError(
                f"{path}: config.model.channel_base={settings.channel_base} and channel_max={settings.channel_max} "
                f"give {settings.width(side)} channels at {side} px, and the network in the file has {found}"
            )


# Writing. The files have the filters too, which are constants: the programs that load them ask for every name.


def _filter(taps, gain=1):
    taps = np.float32(taps)
    return np.outer(taps, taps) * np.float32(gain / taps.sum() ** 2)


def _write(layout, path, network, about):
    state, taps = named.written(network, layout(network)), network.settings.taps
    resamples = ("conv0", "skip") if layout is generator_layout else ("conv1", "skip")
    for name in [name for name, value in state.items() if value.ndim == 4 and "torgb" not in name]:
        block, layer, _ = name.rsplit(".", 2)
        state[f"{block}.{layer}.resample_filter"] = _filter(taps if layer in resamples else fir.TAPS)
        if block != "b4":  # The discriminator's last block has none.
            state[f"{block}.resample_filter"] = _filter(taps)
    torch_file.write(state, path)


def _check_rosinality(settings, architecture):
    for name, wanted in (("classes", 0), ("architecture", architecture), ("channels", 3)):
        found = getattr(settings, name)
        if found != wanted:
            raise InputError(f"{name} is {found}; rosinality's networks have {wanted}. Choose another format")


def _write_rosinality_generator(path, network, about):
    settings = network.settings
    _check_rosinality(settings, "skip")
    state = named.written(network, _rosinality_generator_layout(network))
    average = state.pop("latent_avg")
    for i in range(len(settings.resolutions) - 1):
        state[f"convs.{2 * i}.conv.blur.kernel"] = state[f"to_rgbs.{i}.upsample.kernel"] = _filter(settings.taps, 4)
    torch_file.write({"g_ema": state, "latent_avg": average}, path)


def _write_rosinality_discriminator(path, network, about):
    settings = network.settings
    _check_rosinality(settings, "residual")
    state = named.written(network, _rosinality_discriminator_layout(network))
    for i in range(1, len(settings.resolutions)):
        state[f"convs.{i}.conv2.0.kernel"] = state[f"convs.{i}.skip.0.kernel"] = _filter(settings.taps)
    torch_file.write({"d": state}, path)


GENERATOR_WRITERS = {
    "pytorch": named.Writer("G_ema.pth", functools.partial(_write, generator_layout)),
    "rosinality": named.Writer("{step:06}.pt", _write_rosinality_generator),
}
DISCRIMINATOR_WRITERS = {
    "pytorch": named.Writer("D.pth", functools.partial(_write, discriminator_layout)),
    "rosinality": named.Writer("{step:06}_d.pt", _write_rosinality_discriminator),
}
