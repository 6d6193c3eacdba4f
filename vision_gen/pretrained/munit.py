"""Weights of the released codes of MUNIT (`gen_01000000.pt`, `dis_01000000.pt`) and GDWCT (`G_A_NAME_320000.pth`, ...).

MUNIT's files hold both domains, `a` and `b`. Of both codes' files the network of a domain paints images of it.
"""

import functools

import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import munit as nets
from vision_gen.pretrained import named, torch_file, torch_layers

# Of instances, in files of torch 0.3; AdaIN's layers have them to this day.
UNUSED = {f"*norm.running_{part}": "statistics that are never used" for part in ("mean", "var")}


def _blocks(ours, theirs, count, norms=False):
    """The names of `count` blocks that stand one after the other, by number."""
    found = {f"{ours}/{i}/conv": f"{theirs}.{i}.conv" for i in range(count)}
    return found | ({f"{ours}/{i}/norm": f"{theirs}.{i}.norm" for i in range(count)} if norms else {})


def _adain_generator(network):
    found = {
        **_blocks("content/down", "enc_content.model", len(network.content.down)),
        **_blocks("style/down", "enc_style.model", len(network.style.down)),
        "style/out": f"enc_style.model.{len(network.style.down) + 1}",  # Behind the mean.
        "painter/out/conv": f"dec.model.{2 * len(network.painter.up) + 1}.conv",
    }
    for i in range(len(network.residual)):
        found |= _blocks(f"content/residual/{i}/blocks", f"enc_content.model.3.model.{i}.model", 2)
        found |= _blocks(f"residual/{i}/blocks", f"dec.model.0.model.{i}.model", 2)
    for i in range(len(network.perceptrons.linears)):
        found[f"perceptrons/linears/{i}"] = f"mlp.model.{i}.fc"
    for i in range(len(network.painter.up)):  # Each behind what enlarges the map.
        block = f"dec.model.{2 * i + 2}"
        found |= {f"painter/up/{i}/conv": f"{block}.conv", f"painter/up/{i}/norm/scale": f"{block}.norm.gamma"}
        found[f"painter/up/{i}/norm/bias"] = f"{block}.norm.beta"
    return found


def _whitening_generator(network):
    down = len(network.content.down)
    found = {
        **_blocks("content/down", "c_encoder.main", down, norms=True),
        **_blocks("style/down", "s_encoder.main", len(network.style.down), norms=True),
        "painter/out/conv": f"decoder.main.{2 * len(network.painter.up)}.conv",
    }
    for i in range(len(network.residual)):
        found |= _blocks(f"content/residual/{i}/blocks", f"c_encoder.main.{down + i}.main", 2, norms=True)
        found |= _blocks(f"residual/{i}/blocks", f"decoder.resblocks.{i}.main", 2)
    for i, hop in enumerate(network.hops):
        theirs = f"decoder.gdwct_modules.{i}"
        found[f"hops/{i}/share"] = f"{theirs}.alpha"
        for ours, name in (("matrix", "mlp_CT"), ("mean", "mlp_mu")):
            number = len(getattr(hop, ours).linears)
            found |= {f"hops/{i}/{ours}/linears/{j}": f"{theirs}.{name}.main.{j}.fc" for j in range(number)}
    for i in range(len(network.painter.up)):
        found |= {f"painter/up/{i}/{part}": f"decoder.main.{2 * i + 1}.{part}" for part in ("conv", "norm")}
    return found


def _discriminator(network):
    found = {}
    for i, scale in enumerate(network.scales):
        found |= _blocks(f"scales/{i}/down", f"cnns.{i}", len(scale.down))
        found[f"scales/{i}/out"] = f"cnns.{i}.{len(scale.down)}"
    return found


def _whitens(network):
    """Is it one of GDWCT's?"""
    return isinstance(network, nets.WhiteningGenerator) or getattr(network, "slope", 0.2) != 0.2


def _generator(network):
    return _whitening_generator(network) if _whitens(network) else _adain_generator(network)


def reader(names, side):
    """A reader of one domain's network: of MUNIT's files, which hold both, or of GDWCT's, which hold one."""

    def read(path, network):
        whitens = _whitens(network)
        read = torch_layers.reader(names, unused={} if whitens else UNUSED, entry=None if whitens else side)
        return read(path, network)

    return read


def _written(names, side, whitens, path, network, about):
    if _whitens(network) != whitens:
        other = ("adain", "munit") if whitens else ("whitening", "gdwct")
        raise InputError(f"config.model.injection is {other[0]!r}; ask for the format {other[1]}")
    state = torch_layers.state(names, network)
    if whitens:
        return torch_file.write(state, path)
    for i in range(len(getattr(network, "residual", ()))):  # What the released code wants to be there.
        for j in range(2):
            running, size = f"dec.model.0.model.{i}.model.{j}.norm.running", network.painter.up[0].conv.kernel.shape[2]
            state |= {f"{running}_mean": np.zeros(size, np.float32), f"{running}_var": np.ones(size, np.float32)}
    torch_file.write({**(torch_file.read(path) if path.exists() else {}), side: state}, path)


def _writers(names, side, kind):
    write = lambda whitens: functools.partial(_written, names, side, whitens)
    munit = {"G": "gen", "D": "dis"}[kind]
    return {
        "munit": named.Writer(munit + "_{step:08d}.pt", write(False)),  # Both domains go into one file.
        "gdwct": named.Writer(f"{kind}_{side.upper()}_vision_gen_" + "{step}.pth", write(True)),
    }


PARTS = {"generator": (_generator, "G"), "discriminator": (_discriminator, "D")}
READERS = {f"{part}_{side}": reader(names, side) for part, (names, _) in PARTS.items() for side in "ab"}
WRITERS = {f"{part}_{side}": _writers(names, side, kind) for part, (names, kind) in PARTS.items() for side in "ab"}
