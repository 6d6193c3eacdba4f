"""DALL-E (Ramesh et al., ICML 2021), in two stages: codes for pictures, then pictures from texts by their codes.

`DVAE` learns the codes; `DALLE` learns which of them go with a text, and draws them.
"""

from vision_gen.systems.dalle.autoencoder import DVAE
from vision_gen.systems.dalle.generator import DALLE
