"""Published weights of `nets.resnet.ResNet`: state dicts of torchvision (and timm, which has the same names) and
transformers."""

from vision_gen.pretrained import torch_file, torch_layers


def torchvision(network):
    """{our layer: theirs}; see `torch_layers`."""
    found = {"stem": "conv1", "stem_norm": "bn1", "head": "fc"}
    for ours, stage, block, convs in _blocks(network):
        theirs = f"layer{stage + 1}.{block}"
        found |= {f"{ours}/convs/{i}": f"{theirs}.conv{i + 1}" for i in range(convs)}
        found |= {f"{ours}/norms/{i}": f"{theirs}.bn{i + 1}" for i in range(convs)}
        found |= {f"{ours}/shortcut": f"{theirs}.downsample.0", f"{ours}/shortcut_norm": f"{theirs}.downsample.1"}
    return found


def transformers(network):
    """The same of transformers' `ResNetForImageClassification`."""
    stem = "resnet.embedder.embedder"
    found = {"stem": f"{stem}.convolution", "stem_norm": f"{stem}.normalization", "head": "classifier.1"}
    for ours, stage, block, convs in _blocks(network):
        theirs = f"resnet.encoder.stages.{stage}.layers.{block}"
        parts = {f"{name}s/{i}": f"layer.{i}" for i in range(convs) for name in ("conv", "norm")}
        for part, other in {**parts, "shortcut": "shortcut", "shortcut_norm": "shortcut"}.items():
            found[f"{ours}/{part}"] = f"{theirs}.{other}.{'normalization' if 'norm' in part else 'convolution'}"
    return found


def _blocks(network):
    """(our name, stage, number in it, convolutions) of each block."""
    for stage, blocks in enumerate(network.stages):
        for number, block in enumerate(blocks):
            yield f"stages/{stage}/{number}", stage, number, len(block.convs)


def read(path, network):
    """A file of torchvision or transformers, as its names tell, for a `ResNet`; see `torch_layers.reader`."""
    of_transformers = any(name.startswith("resnet.") for name in torch_file.read_state_dict(path))
    return torch_layers.reader(transformers if of_transformers else torchvision)(path, network)


WRITERS = torch_layers.writers(torchvision, "resnet.pth")
