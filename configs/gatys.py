"""Style transfer by optimisation (Gatys et al., CVPR 2016): nothing is trained, so eval.py needs no run.

python eval.py --config=configs/gatys.py restyle content=photo.jpg style=painting.jpg --output=painted.png

It looks with VGG-19, as the paper, where its weights are there (docs/metrics.md), with EfficientNet-Lite0 otherwise;
--config.model.network=vgg19 downloads them.
"""

from vision_gen.engine import defaults
from vision_gen.pretrained import weights


def get_config():
    network = "vgg19" if weights.is_here("vgg19") else "efficientnet-lite0"
    return defaults.experiment("gatys.Gatys", model=dict(network=network))
