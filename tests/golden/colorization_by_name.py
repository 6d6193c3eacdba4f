"""Weights, inputs and losses of colorization_reference.npz, from names and seeds alone."""

import zlib

import numpy as np

WIDTH = 4


def weight(name, shape):
    """The value of a parameter or running statistic, from its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    value = rng.normal(size=shape)
    if name.endswith("running_var"):
        return np.float32(1 + 0.1 * value**2)
    if len(shape) == 4:
        return np.float32(value * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5)
    return np.float32(1 + 0.1 * value if name.endswith("weight") else 0.1 * value)


def inputs():
    """lightness, hints and mask [batch, channel, height, width]."""
    rng = np.random.default_rng(0)
    mask = np.float32(rng.uniform(size=(2, 1, 24, 32)) < 0.1)
    hints = np.float32(rng.uniform(-1, 1, (2, 2, 24, 32))) * mask
    return {"lightness": np.float32(rng.uniform(-0.5, 0.5, (2, 1, 24, 32))), "hints": hints, "mask": mask - 0.5}


def targets(bins):
    """What outputs are multiplied by before they are summed to a loss."""
    rng = np.random.default_rng(1)
    shapes = {"colours": (2, 2, 24, 32), "logits": (2, bins, 6, 8)}
    return {name: np.float32(rng.normal(size=shape)) for name, shape in shapes.items()}


def of_torch(torch, name, network, call):
    """Outputs with running statistics, and with those of the batch the gradients of every parameter, [name]: array.

    Args:
      torch: the package.
      name: "eccv16" or "siggraph17".
      network: a torch module, whose weights are set by name.
      call: function (lightness, hints, mask, by_class) that gives its (colours, logits).
    """
    state = network.state_dict()
    network.load_state_dict({k: torch.tensor(weight(k, tuple(v.shape))) if v.ndim else v for k, v in state.items()})
    given = [torch.tensor(x) for x in inputs().values()]
    with torch.no_grad():
        network.eval()
        colours, logits = call(*given, None)
    found = {"colours": colours.numpy(), "logits": logits.numpy()}
    network.train()
    goals = targets(logits.shape[1])
    for way, by_class in ({"": None} if name == "eccv16" else {"_class": True, "_colour": False}).items():
        network.zero_grad()
        outputs = dict(zip(("colours", "logits"), call(*given, by_class)))
        sum((outputs[key] * torch.tensor(goal)).sum() for key, goal in goals.items()).backward()
        for key, value in network.named_parameters():
            if key != "model_out.weight" or name == "siggraph17":  # The centres, which are no parameters of ours.
                found[f"gradient{way}/{key}"] = value.grad.numpy().copy()
    return found


def digest(value):
    """A few numbers that tell an array: its norm and 16 entries."""
    flat = np.asarray(value, np.float64).ravel()
    return np.concatenate([[np.linalg.norm(flat)], flat[:: max(1, flat.size // 16)][:16]])
