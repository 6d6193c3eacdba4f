"""Lines by the published weights of Chan et al. (CVPR 2022), without training: --config.init.network=sk_model.pth."""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment("lines.Informative")
