"""One experiment a file, `get_config()`. The package has this folder as `vision_gen.configs`."""
