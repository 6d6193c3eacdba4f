"""OpenMoji as a TFDS dataset: colour drawings and the artists' own line drawings."""
