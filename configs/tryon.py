"""VITON-HD (Choi et al. 2021) whole, of released files or of runs of its stages; nothing is trained.

--config.init.segmentation=seg_final.pth --config.init.warp=gmm_final.pth --config.init.synthesis=alias_final.pth, each
also a run. `eval.py --config=tryon ... dress person=ROOT/image/ID.jpg cloth=ROOT/cloth/ID.jpg --output=dressed.png`
"""

from vision_gen.configs.tryon_segmentation_folder import PEOPLE
from vision_gen.engine import defaults


def get_config():
    return defaults.experiment("tryon.dress.TryOn", data=PEOPLE)
