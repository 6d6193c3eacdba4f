"""What is written in a published format is read back to the last bit, and computes the same in torch."""

import functools
import json

from flax import nnx
import jax
import numpy as np
import pytest
import safetensors

from vision_gen.data import images as data_images
from vision_gen.errors import InputError
from vision_gen.nets import clip, nerf, patchgan, unet, vit
from vision_gen.pretrained import clip as of_clip
from vision_gen.pretrained import named
from vision_gen.pretrained import nerf as of_nerf
from vision_gen.pretrained import pix2pix as of_pix2pix
from vision_gen.pretrained import vit as of_vit

needed = functools.partial(pytest.importorskip, reason="the parity extra is not installed")
ABOUT = {"step": 70, "classes": ("ant", "bee", "cat", "dog", "eel"), "cameras": None}


def drawn(build):
    """A network with numbers in every tensor, running statistics too."""
    network, rng = nnx.eval_shape(build), np.random.default_rng(0)
    spread = lambda name, shape: (1 + 0.2 * rng.random(shape)) if name.endswith("var") else 0.2 * rng.normal(size=shape)
    return named.put(network, {k: np.float32(spread(k, x.shape)) for k, x in named.flat(network).items()})


def a_vit(**settings):
    settings = dict(size=vit.Size(32, 64, 2, 3), patch=4, image=16, classes=5) | settings
    return lambda: vit.ViT(**settings, rngs=nnx.Rngs(0))


def a_field():
    one = lambda: nerf.RadianceMLP(width=16, rngs=nnx.Rngs(0))
    return nnx.Dict(coarse=one(), fine=one())


def a_clip(layers):
    patch = 0 if isinstance(layers, tuple) else 8
    sizes = clip.Sizes(24, 32, 32, layers, patch, length=7, vocabulary=30, text_width=48, text_layers=2, head=16)
    return lambda: clip.CLIP(sizes, rngs=nnx.Rngs(0))


a_unet = lambda: unet.UNet(size=32, width=4, rngs=nnx.Rngs(0))
a_discriminator = lambda: patchgan.PatchDiscriminator(channel=6, width=4, rngs=nnx.Rngs(0))
averaging = a_vit(pool="gap", positions="sincos")


@pytest.mark.parametrize(
    "build, reader, writer, name",
    [
        (a_vit(), of_vit.read, of_vit.WRITERS["timm"], "vit.safetensors"),
        (a_vit(), of_vit.read, of_vit.WRITERS["timm"], "vit.pth"),
        (a_vit(), of_vit.read, of_vit.WRITERS["torchvision"], "vit.pth"),
        (a_vit(), of_vit.read, of_vit.WRITERS["transformers"], "model.safetensors"),
        (a_vit(), of_vit.read, of_vit.WRITERS["original"], "vit.npz"),
        (averaging, of_vit.read, of_vit.WRITERS["timm"], "vit.safetensors"),
        (averaging, of_vit.read, of_vit.WRITERS["original"], "vit.npz"),
        (a_clip(2), of_clip.read, of_clip.WRITERS["transformers"], "model.safetensors"),
        (a_clip(2), of_clip.read, of_clip.WRITERS["open_clip"], "clip.bin"),
        (a_clip((1, 1, 1, 2)), of_clip.read, of_clip.WRITERS["open_clip"], "clip.safetensors"),
        (a_unet, of_pix2pix.read_generator, of_pix2pix.GENERATOR_WRITERS["pytorch"], "G.pth"),
        (a_discriminator, of_pix2pix.read_discriminator, of_pix2pix.DISCRIMINATOR_WRITERS["pytorch"], "D.pth"),
        (a_field, of_nerf.read, of_nerf.WRITERS["pytorch"], "000070.tar"),
        (a_field, of_nerf.read, of_nerf.WRITERS["jaxnerf"], "checkpoint_70"),
    ],
)
def test_it_is_read_back_to_the_last_bit(build, reader, writer, name, tmp_path):
    network = drawn(build)
    writer.write(tmp_path / name, network, ABOUT)
    found, _ = named.fit(reader(tmp_path / name, network), network)
    expected = named.flat(network)
    assert found.keys() == expected.keys()
    for ours, value in expected.items():
        np.testing.assert_array_equal(found[ours], value, err_msg=ours)


def images(size, channel=3):
    return np.random.default_rng(1).uniform(-1, 1, (2, channel, size, size)).astype(np.float32)


def same(ours, theirs):
    """Both [batch, features] or maps, ours with channels last."""
    theirs = theirs.detach().numpy()
    theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(theirs).max()))
    assert np.std(theirs) > 1e-2


def test_pix2pixs_files_give_torchs_outputs(tmp_path):
    torch = needed("torch")
    from benchmarks.peers import pix2pix as peers

    generator, discriminator = drawn(a_unet), drawn(a_discriminator)
    of_pix2pix.GENERATOR_WRITERS["pytorch"].write(tmp_path / "G.pth", generator, ABOUT)
    of_pix2pix.DISCRIMINATOR_WRITERS["pytorch"].write(tmp_path / "D.pth", discriminator, ABOUT)
    theirs = peers.UNet(5, 4), peers.PatchDiscriminator(6, 4)
    for network, name in zip(theirs, "GD"):
        network.load_state_dict(torch.load(tmp_path / f"{name}.pth", weights_only=True))
        network.eval()
    picture, both = images(32), images(32, 6)
    last = lambda x: x.transpose(0, 2, 3, 1)
    same(generator(last(picture), train=False), theirs[0](torch.tensor(picture)))
    same(discriminator(last(both), train=False), theirs[1](torch.tensor(both)))


def test_nerfs_checkpoint_goes_on_in_torch(tmp_path):
    torch = needed("torch")
    from benchmarks.peers import nerf as peer

    field = drawn(a_field)
    of_nerf.WRITERS["pytorch"].write(tmp_path / "000070.tar", field, ABOUT)
    # As the PyTorch implementation opens it.
    found = torch.load(tmp_path / "000070.tar", weights_only=True)
    networks = peer.RadianceMLP(16), peer.RadianceMLP(16)
    optimizer = torch.optim.Adam([p for n in networks for p in n.parameters()], lr=5e-4, betas=(0.9, 0.999))
    assert found["global_step"] == 70
    optimizer.load_state_dict(found["optimizer_state_dict"])
    x, d = np.random.default_rng(1).uniform(-1, 1, (2, 30, 3)).astype(np.float32)
    for part, entry, network in zip(("coarse", "fine"), ("network_fn_state_dict", "network_fine_state_dict"), networks):
        network.load_state_dict(found[entry])
        ours, theirs = field[part](x, d), network(torch.tensor(x), torch.tensor(d))
        # The highest octave multiplies the rounding of a position by 512.
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b.detach(), atol=1e-4)
        sum(out.sum() for out in theirs).backward()
    before = networks[0].rgb_linear.weight.detach().clone()
    optimizer.step()
    assert (networks[0].rgb_linear.weight != before).all()


def test_a_folder_for_transformers_is_opened_with_its_classes(tmp_path):
    torch, transformers = needed("torch"), needed("transformers")
    network = drawn(a_vit())
    of_vit.WRITERS["transformers"].write(tmp_path / "model.safetensors", network, ABOUT)
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.id2label == dict(enumerate(ABOUT["classes"])) and theirs.config.label2id["eel"] == 4
    same(jax.jit(lambda x: network(x))(images(16).transpose(0, 2, 3, 1)), theirs(torch.tensor(images(16))).logits)


def test_transformers_cuts_pictures_as_here(tmp_path):
    needed("torch"), needed("transformers")
    from transformers import AutoImageProcessor

    of_vit.WRITERS["transformers"].write(tmp_path / "model.safetensors", drawn(a_vit()), ABOUT)
    picture = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    found = AutoImageProcessor.from_pretrained(tmp_path)(picture, return_tensors="np")["pixel_values"]
    expected = data_images.fit(picture, 16) / 127.5 - 1
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1)[None], atol=1e-5)


def test_classes_without_names_are_numbered(tmp_path):
    of_vit.WRITERS["transformers"].write(tmp_path / "model.safetensors", drawn(a_vit()), ABOUT | {"classes": ()})
    labels = json.loads((tmp_path / "config.json").read_text())["id2label"]
    assert labels == {str(i): f"LABEL_{i}" for i in range(5)}


def test_fixed_positions_are_written_out_and_refused_where_they_are_others(tmp_path):
    path = tmp_path / "vit.safetensors"
    of_vit.WRITERS["timm"].write(path, drawn(averaging), ABOUT)
    with safetensors.safe_open(path, "np") as file:
        np.testing.assert_allclose(file.get_tensor("pos_embed")[0], vit.sincos(4, 4, 32), atol=1e-6)
        assert file.metadata() == {"format": "pt"}
    smaller = a_vit(pool="gap", positions="sincos", image=8)()
    with pytest.raises(InputError, match="has weights that the network has not: 'pos_embed'"):
        named.fit(of_vit.read(path, smaller), smaller)


@pytest.mark.parametrize(
    "pool, release, message",
    [
        ("map", "timm", "config.model.pool is 'map'; a ViT of timm has 'token' or 'gap'"),
        ("map", "original", "config.model.pool is 'map'; a ViT of original has 'token' or 'gap'"),
        ("gap", "transformers", "config.model.pool is 'gap'; a ViT of transformers has 'token'"),
        ("gap", "torchvision", "config.model.pool is 'gap'; a ViT of torchvision has 'token'"),
    ],
)
def test_what_a_release_cannot_compute_is_refused(pool, release, message, tmp_path):
    writer = of_vit.WRITERS[release]
    with pytest.raises(InputError, match=message):
        writer.write(tmp_path / writer.file, drawn(a_vit(pool=pool)), ABOUT)
    assert not list(tmp_path.iterdir())
