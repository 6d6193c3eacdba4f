"""StarGAN (Choi et al. 2018) between the classes of a folder, as for RaFD's 8 expressions: --config.data.dir=FOLDER.

FOLDER has a folder of images for each class, or such folders in `train` and `test`. Of another number of classes:
--config.model.classes=N.
"""

from vision_gen.configs import stargan_celeba


def get_config():
    config = stargan_celeba.get_config()
    config.data.update(name="image_folder", attributes=())
    config.model.update(classes=8, exclusive=())
    return config
