"""Published CLIP weights for `nets.clip.CLIP`: OpenAI's TorchScript archives, open_clip's and transformers' files.

Sizes follow from the tensors (`sizes`); whether a file was trained with `quick_gelu` or with `gelu` does not: OpenAI's
were with the former, most of open_clip's own with the latter.
"""

import dataclasses
import json
import math
import re

from flax import nnx
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import clip
from vision_gen.pretrained import named, torch_file, torchscript, vit

SCALAR = named.Turn(lambda x: x.reshape(()), lambda x: [x])
# What both releases call the parts of both towers; a name stands for NAME.weight and NAME.bias, a pair for itself.
# Beside each projection, how it is laid out.
_BLOCK = {
    "openai": dict(
        norm1="ln_1",
        qkv=[("attn.in_proj_weight", "attn.in_proj_bias")],
        out="attn.out_proj",
        norm2="ln_2",
        expand="mlp.c_fc",
        contract="mlp.c_proj",
    ),
    "transformers": dict(
        norm1="layer_norm1",
        qkv=[f"self_attn.{name}_proj" for name in "qkv"],
        out="self_attn.out_proj",
        norm2="layer_norm2",
        expand="mlp.fc1",
        contract="mlp.fc2",
    ),
}
RELEASES = {
    "openai": dict(
        token="visual.class_embedding",
        image_positions="visual.positional_embedding",
        patches="visual.conv1.weight",
        norm_before="visual.ln_pre",
        image_block="visual.transformer.resblocks.{}.",
        image_norm="visual.ln_post",
        image_projection=("visual.proj", named.SAME),
        embed="token_embedding.weight",
        text_positions="positional_embedding",
        text_block="transformer.resblocks.{}.",
        text_norm="ln_final",
        text_projection=("text_projection", named.SAME),
        block=_BLOCK["openai"],
    ),
    "transformers": dict(
        token="vision_model.embeddings.class_embedding",
        image_positions="vision_model.embeddings.position_embedding.weight",
        patches="vision_model.embeddings.patch_embedding.weight",
        norm_before="vision_model.pre_layrnorm",
        image_block="vision_model.encoder.layers.{}.",
        image_norm="vision_model.post_layernorm",
        image_projection=("visual_projection.weight", named.LINEAR),
        embed="text_model.embeddings.token_embedding.weight",
        text_positions="text_model.embeddings.position_embedding.weight",
        text_block="text_model.encoder.layers.{}.",
        text_norm="text_model.final_layer_norm",
        text_projection=("text_projection.weight", named.LINEAR),
        block=_BLOCK["transformers"],
    ),
}
_LEFT_ASIDE = {
    "input_resolution": "sizes, which follow from the tensors",
    "context_length": "sizes, which follow from the tensors",
    "vocab_size": "sizes, which follow from the tensors",
    "*position_ids": "numbers of positions",
    "attn_mask": "the mask of the text tower",
    "*num_batches_tracked": "counters of batches",
}


def read(path, network):
    """A file of any release, for a `nets.clip.CLIP`; which, it tells itself.

    Args:
      path: the file.
      network: the `CLIP`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read, is of no known release, or of other sizes; then it says which those are.
    """
    state = _state(path)
    there, here = sizes(state, path), network.sizes
    # Positions of other pictures are interpolated; how wide heads are no tensor says.
    there = dataclasses.replace(there, head=here.head, image=here.image)
    different = [
        field.name for field in dataclasses.fields(there) if getattr(there, field.name) != getattr(here, field.name)
    ]
    if different:
        what = lambda of: ", ".join(f"{name}={getattr(of, name)}" for name in different)
        preset = next(
            (f" (those of {name})" for name, known in clip.PRESETS.items() if known == sizes(state, path)), ""
        )
        raise InputError(f"{path}: its sizes{preset} are {what(there)}, the network's {what(here)}")
    file = named.read(path, state, _layout(_release(state, path), network))
    for pattern, why in _LEFT_ASIDE.items():
        file.ignore(pattern, why)
    return file.result()


def load(path, *, head=64, activation="quick_gelu"):
    """A `nets.clip.CLIP` of the sizes of a file and with its weights.

    Args:
      path: the file.
      head: width of an attention head, which no tensor says; 64 in all published networks but the largest of
        open_clip's.
      activation: of the transformers; see above.

    Raises:
      InputError: as `read`, or heads of that width do not divide the towers'.
    """
    found = dataclasses.replace(sizes_of(path), head=head)
    try:
        network = nnx.eval_shape(lambda: clip.CLIP(found, activation=activation, rngs=nnx.Rngs(0)))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return named.load(read, path, network)


def adapt(name, value, like):
    """`System.adapt`: positions of pictures of another size are interpolated."""
    return vit.adapt("positions", value, like) if name in ("image/positions", "image/pool/positions") else None


def sizes_of(path):
    """The `clip.Sizes` of a file. Raises as `read`."""
    return sizes(_state(path), path)


def sizes(state, origin):
    """The `clip.Sizes` of a state dict, {name: array}.

    Raises:
      InputError: it is no CLIP's; `origin` says of what.
    """
    names = _release(state, origin)
    try:
        if names["token"] in state:
            width, _, patch, _ = state[names["patches"]].shape
            layers = _count(state, names["image_block"])
            image = math.isqrt(len(state[names["image_positions"]]) - 1) * patch
            projection, turn = names["image_projection"]
            embedding = turn.read(np.asarray(state[projection])).shape[1]
        else:
            width, patch = state["visual.layer1.0.conv1.weight"].shape[0], 0
            layers = tuple(_count(state, f"visual.layer{stage}.{{}}.") for stage in range(1, 5))
            image = math.isqrt(len(state["visual.attnpool.positional_embedding"]) - 1) * 32
            embedding = len(state["visual.attnpool.c_proj.weight"])
        vocabulary, text_width = state[names["embed"]].shape
        return clip.Sizes(
            embedding=embedding,
            image=image,
            image_width=width,
            image_layers=layers,
            patch=patch,
            length=len(state[names["text_positions"]]),
            vocabulary=vocabulary,
            text_width=text_width,
            text_layers=_count(state, names["text_block"]),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{origin}: not a whole CLIP: {error} is missing or of another shape") from None


def _count(state, block):
    """How many blocks of such names there are."""
    pattern = re.compile(re.escape(block).replace(re.escape("{}"), r"(\d+)"))
    return len({found[1] for found in map(pattern.match, state) if found})


def _release(state, origin):
    for names in RELEASES.values():
        if names["embed"] in state and ("logit_scale" in state):
            return names
    raise InputError(
        f"{origin}: not a CLIP of {', '.join(RELEASES)} or open_clip; its first weight is {next(iter(state), None)!r}"
    )


def _state(path):
    """{name: array} of a file."""
    if torchscript.is_one(path):
        return torchscript.read_state_dict(path)
    state = torch_file.read(path)
    wrapped = isinstance(state, dict) and isinstance(state.get("state_dict"), dict)  # As open_clip's training does.
    state = torch_file.read_state_dict(path, "state_dict" if wrapped else None)
    # open_clip's models with a text tower of their own.
    return {name.removeprefix("text."): value for name, value in state.items()}


def _layout(names, network):
    """The layout of a release; see `named`."""
    of_image = network.image
    found = {
        "text/embed": (names["embed"], named.SAME),
        "text/positions": (names["text_positions"], named.SAME),
        "text/projection/kernel": names["text_projection"],
        "temperature/scale": ("logit_scale", SCALAR),
        **vit.torch_layer("text/norm", names["text_norm"], named.SAME),
        **_blocks("text", names["block"] | dict(block=names["text_block"]), network.sizes.text_layers),
    }
    if isinstance(of_image, clip.ResNet):
        return found | _resnet(of_image)
    return found | {
        "image/token": (names["token"], named.Turn(lambda x: x[None], lambda x: [x[0]])),
        "image/positions": (names["image_positions"], named.SAME),
        "image/embed/kernel": (names["patches"], vit.rows(of_image.patch)),
        "image/projection/kernel": names["image_projection"],
        **vit.torch_layer("image/norm_before", names["norm_before"], named.SAME),
        **vit.torch_layer("image/norm", names["image_norm"], named.SAME),
        **_blocks("image", names["block"] | dict(block=names["image_block"]), network.sizes.image_layers),
    }


def _blocks(tower, names, depth):
    return {f"{tower}/{ours}": layer for ours, layer in vit.torch_blocks(names, depth).items()}


def _resnet(network):
    """The layout of the image tower that is a ResNet, which only OpenAI's and open_clip's files have."""
    found = {"image/pool/positions": ("visual.attnpool.positional_embedding", named.SAME)}
    for ours, theirs in dict(query="q", key="k", value="v", out="c").items():
        found |= vit.torch_layer(f"image/pool/{ours}", f"visual.attnpool.{theirs}_proj", named.LINEAR)

    def conv_norm(ours, conv, norm):
        found[f"image/{ours}/conv/kernel"] = f"visual.{conv}.weight", named.CONV
        for part, name in dict(scale="weight", bias="bias", mean="running_mean", var="running_var").items():
            found[f"image/{ours}/norm/{part}"] = f"visual.{norm}.{name}", named.SAME

    for number in range(3):
        conv_norm(f"stem/{number}", f"conv{number + 1}", f"bn{number + 1}")
    for place, (stage, number) in enumerate(network.places):
        for i, part in enumerate(("reduce", "middle", "expand"), 1):
            conv_norm(f"blocks/{place}/{part}", f"layer{stage}.{number}.conv{i}", f"layer{stage}.{number}.bn{i}")
        if network.blocks[place].shortcut is not None:
            # The pooling before has no weights, but a name of its own.
            conv_norm(f"blocks/{place}/shortcut", *(f"layer{stage}.{number}.downsample.{i}" for i in "01"))
    return found


def _write_open_clip(path, network, about):
    torch_file.write(named.written(network, _layout(RELEASES["openai"], network)), path)


def _write_transformers(path, network, about):
    """Also `config.json` and `preprocessor_config.json`, which `from_pretrained` reads beside the weights."""
    sizes = network.sizes
    if isinstance(network.image, clip.ResNet):
        raise InputError("config.model.image_layers is of a ResNet, which transformers' CLIP has not; open_clip has")
    torch_file.write(named.written(network, _layout(RELEASES["transformers"], network)), path)
    tower = lambda width, depth: dict(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // sizes.head,
        hidden_act=network.text.blocks.activation,
        layer_norm_eps=clip.EPSILON,
        projection_dim=sizes.embedding,
    )
    end = sizes.vocabulary - 1
    text = dict(
        vocab_size=sizes.vocabulary,
        max_position_embeddings=sizes.length,
        eos_token_id=end,
        bos_token_id=end - 1,
        pad_token_id=0,
    )
    config = dict(
        architectures=["CLIPModel"],
        model_type="clip",
        projection_dim=sizes.embedding,
        text_config=tower(sizes.text_width, sizes.text_layers) | text,
        vision_config=tower(sizes.image_width, sizes.image_layers)
        | dict(image_size=sizes.image, patch_size=sizes.patch),
    )
    processor = dict(
        image_processor_type="CLIPImageProcessor",
        do_convert_rgb=True,
        do_resize=True,
        size=dict(shortest_edge=sizes.image),
        resample=3,  # Bicubic, as published.
        do_center_crop=True,
        crop_size=dict(height=sizes.image, width=sizes.image),
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=list(clip.MEAN),
        image_std=list(clip.DEVIATION),
    )
    for name, record in (("config", config), ("preprocessor_config", processor)):
        path.with_name(f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


WRITERS = {
    "open_clip": named.Writer("open_clip_model.safetensors", _write_open_clip, (".safetensors", ".pt", ".bin")),
    "transformers": named.Writer("model.safetensors", _write_transformers),
}
