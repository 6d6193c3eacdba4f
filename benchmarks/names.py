"""What results are called where people read them: systems, devices, machines, numbers."""

import re

# Others by the name of their class.
SYSTEMS = {
    "classifier.Classifier": "ViT", "resnet_classifier.ResNetClassifier": "ResNet", "pix2pix.Pix2Pix": "pix2pix",
    "cgan.CGAN": "conditional GAN", "dalle.DALLE": "DALL-E", "dalle.DVAE": "DALL-E's autoencoder",
    "styleclip.mapper.Mapper": "StyleCLIP's mapper",
    "tryon.segmentation.Segmentation": "VITON-HD, regions", "tryon.warp.Warp": "VITON-HD, bending",
    "tryon.synthesis.Synthesis": "VITON-HD, painting",
}  # fmt: skip
PROCESSORS = {"AMD EPYC, family 26 model 2": "AMD EPYC (Zen 5)", "AMD EPYC, family 25 model 17": "AMD EPYC (Zen 4)"}
CHIPS = {"tpu": "TPU", "gpu": "NVIDIA"}
# Fields of a config that tell one model from another; what says how a step is run stands beside the name.
MODEL = {"data.size": ", {} px", "model.size": "-{}/16", "model.perceptual": ", {}"}
PAPER = {"vit_imagenet": "-L/16"}  # What a config's full size is, where that names another model.
METRICS = {"psnr": "PSNR in dB"}
RUN = r"train\.|parallel\.|dtype$|model\.unroll$"


def subject(result):
    """What a result is of: "SCFT, 256 px", "ViT-B/16"."""
    settings = result["settings"]
    name = system(result)
    for field, value in re.findall(r"(\S+)=(\S+)", settings["config"]):
        if not re.match(RUN, field):
            name += MODEL.get(field, f", {field} {{}}").format(value)
    return name + PAPER.get(config(result), ", paper") * paper(result)


def paper(result):
    """Whether it is of a paper's full size and batch."""
    return result["settings"]["config"].endswith("(paper)")


def system(result):
    """What was trained, of whatever size: "SCFT"."""
    name = result["settings"]["system"]
    return SYSTEMS.get(name, name.rpartition(".")[2])


def config(result):
    """The file of the config, and its preset: "scft_demo", "stylegan2_folder:paper256"."""
    return result["settings"]["config"].split()[0]


def where(result):
    """The device of a measured result: "2 cores of an AMD EPYC (Zen 5)", "one NVIDIA H200"."""
    environment = result["environment"]
    device = result["settings"].get("device", environment["processor"])
    if device != environment["processor"]:
        return f"one {device}"
    return f"{environment['cores']} cores of an {PROCESSORS.get(device, device)}"


def target(result):
    """The chip of a compiled result: "TPU v5e", "NVIDIA H100"."""
    kind, chip, _ = result["settings"]["target"].split(":")
    return f"{CHIPS[kind]} {chip.upper() if kind == 'gpu' else chip}"


def number(value):
    """Three digits, or all before the point: "0.29", "74.5", "1,072"."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def around(figure):
    """Where a figure's measurements lie: "62.3 to 76.6"; nothing, where there was one."""
    return f"{number(figure['low'])} to {number(figure['high'])}" if "low" in figure else ""


def listed(words):
    """Words as a list in a sentence: "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
