"""Published weights of `nets.arcface.IRSE50`: `model_ir_se50.pth` of InsightFace_Pytorch."""

from vision_gen.pretrained import torch_layers


def names(network):
    """{our layer: theirs}; see `torch_layers`."""
    found = {
        "conv": "input_layer.0",
        "conv_norm": "input_layer.1",
        "prelu/slope": "input_layer.2.weight",
        "norm": "output_layer.0",
        "out": "output_layer.3",
        "out_norm": "output_layer.4",
    }
    parts = dict(norm_before="res_layer.0", conv1="res_layer.1", conv2="res_layer.3", norm="res_layer.4")
    parts |= dict(squeeze="res_layer.5.fc1", excite="res_layer.5.fc2")
    parts |= dict(shortcut="shortcut_layer.0", shortcut_norm="shortcut_layer.1")
    parts["prelu/slope"] = "res_layer.2.weight"
    for number in range(len(network.blocks)):
        found |= {f"blocks/{number}/{ours}": f"body.{number}.{theirs}" for ours, theirs in parts.items()}
    return found


read = torch_layers.reader(names)
