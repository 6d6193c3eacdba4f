"""Every system's losses against the papers' equations in numpy: terms, signs and weights, and where gradients flow.

A new system has a case here.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import tiny
from tests.systems import (
    test_dalle,
    test_dietnerf,
    test_edges,
    test_nerf,
    test_styleclip,
    test_stylegan2,
    test_xploregan,
)
from vision_gen import data
from vision_gen import systems as shipped
from vision_gen.configs import resnet_coloured_digits, styleclip_ffhq, vit_digits
from vision_gen.engine import defaults
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.ops import ada_augment, colour, gamut, losses, random
from vision_gen.systems import (
    acgan,
    adain,
    cgan,
    classifier,
    clip,
    cocosnet,
    colorization,
    cyclegan,
    dalle,
    dietnerf,
    edges,
    hints,
    lines,
    munit,
    nerf,
    pix2pix,
    resnet_classifier,
    scft,
    stargan,
    stargan_v2,
    stylegan2,
    tracking,
    xploregan,
)
from vision_gen.systems.styleclip import mapper
from vision_gen.systems.tryon import segmentation, stages, synthesis, warp


class Case(NamedTuple):
    """A system's losses as they should be.

    Attributes:
      config: of an experiment, tiny, with the paper's weights.
      batch: that the step reads.
      expected: function (system, out, now) -> {player: {term: value}}; targets are taken of the batch.
      flows: {player: {term: names of what `forward` returns that its gradient flows into}}.
    """

    config: object
    batch: dict
    expected: object
    flows: dict


def drawn(experiment):
    """As `systems.build`, with numbers in every parameter; of numpy, as JAX would compile a program for each shape."""
    graphdef, rng = None, np.random.default_rng(1)

    def build():
        nonlocal graphdef
        graphdef, *parts = systems.build(experiment)
        return parts

    def parameter(path, x):
        spread = rng.normal(size=x.shape) * (np.prod(x.shape[:-1]) ** -0.5 if x.ndim > 1 else 0.1)
        return jnp.asarray(spread + (path[-1].key == "scale"), x.dtype)

    params, _ = jax.eval_shape(build)
    rest = jax.jit(lambda: build()[1])()  # As systems begin with it.
    return graphdef, jax.tree_util.tree_map_with_path(parameter, params), rest


def check(case):
    """Compares a system's losses with what they should be, with numbers in every parameter."""
    experiment = Experiment(case.config)
    graphdef, params, rest = drawn(experiment)
    size = len(next(iter(case.batch.values())))
    now = systems.Now(jax.random.split(jax.random.key(2), size), jnp.int32(3), jnp.float32(0.25))
    players = {name: player for name, (player, _) in experiment.players.items() if not player.turn}
    whole = lambda x: x.dtype == jax.dtypes.float0  # What comes back to numbers that are whole: nothing.
    whether = lambda gradients: jax.tree.map(lambda x: False if whole(x) else jnp.any(x != 0), gradients)
    added = lambda *each: each[0] if whole(each[0]) else sum(each)

    @jax.jit
    def look(params):
        """What `forward` returns, and {player: (terms, whether they flow into it, whether they move parameters)}."""
        out, pull = jax.vjp(lambda params: systems.run(graphdef, params, rest, "forward", case.batch, now)[0], params)
        found = {}
        for name, player in players.items():

            def loss(own, out):
                return systems.run(graphdef, params | own, rest, f"{name}_loss", out, case.batch, now)[0]

            movers = [player, *(other for other, _ in experiment.players.values() if other.turn == name)]
            own = {module: params[module] for mover in movers for module in mover.modules}
            terms, back = jax.vjp(loss, own, out)
            if player.forward == "none":  # It reads nothing of what `forward` returns.
                moved, _ = back(jax.tree.map(jnp.ones_like, terms))
                found[name] = terms, dict.fromkeys(terms, {}), whether(moved)
                continue
            alone = {term: back({other: jnp.float32(other == term) for other in terms}) for term in terms}
            moved, into = (jax.tree.map(added, *parts) for parts in zip(*alone.values()))
            (through,) = pull(into)
            moved = jax.tree.map(jnp.add, moved, {module: through[module] for module in own})
            found[name] = terms, {term: whether(into) for term, (_, into) in alone.items()}, whether(moved)
        return out, found

    out, found = look(params)
    expected = case.expected(nnx.merge(graphdef, params, rest, copy=True), out, now)
    assert expected.keys() == players.keys()
    for name, (terms, into, moved) in found.items():
        assert terms.keys() == expected[name].keys(), name
        for term, value in expected[name].items():
            np.testing.assert_allclose(terms[term], value, rtol=1e-4, err_msg=f"{name}: {term}")
            reached = {entry for entry, flows in into[term].items() if flows}
            assert reached == case.flows[name][term], (name, term)
        for module, parts in moved.items():
            for part, gradients in parts.items():
                assert any(jax.tree.leaves(gradients)), f"{name}: {module}/{part}"


def pixels(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def plain(image):
    return image / np.float32(127.5) - 1


def entropy(logits, real):
    """Mean of -log of the share that logits give the verdict."""
    share = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return -np.mean(np.log(share if real else 1 - share))


def square(logits, real):
    return np.mean((np.asarray(logits) - (1 if real else 0)) ** 2)


def absolute(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).mean()


called = nnx.jit(lambda network, *given: network(*given, train=True))  # One program, not one for each operation.


def of_settings(config, settings, **small):
    config.model.update(**dataclasses.asdict(settings) | small)
    return config


def of_pix2pix(gan_loss, distance):
    """Equations 1 to 4 with lambda = 100; the discriminator's loss is halved (section 3.3)."""
    small = dict(width=4, discriminator_width=4, flip=False, jitter=1.0, gan_loss=gan_loss)
    config = of_settings(tiny("pix2pix_pairs"), pix2pix.Settings(), **small)
    batch = {"source": pixels(2, 32, 32, 3), "colour": pixels(2, 32, 32, 3)[::-1]}

    def expected(system, out, now):
        look = lambda image: called(system.discriminator, plain(batch["source"]), image)
        fake, target = out["fake"], plain(batch["colour"])
        return {
            "discriminator": {"fake": 0.5 * distance(look(fake), False), "real": 0.5 * distance(look(target), True)},
            "generator": {"gan": distance(look(fake), True), "l1": 100 * absolute(fake, target)},
        }

    flows = {
        "discriminator": {"fake": {"source", "fake"}, "real": {"source", "target"}},
        "generator": {"gan": {"source", "fake"}, "l1": {"fake", "target"}},
    }
    return Case(config, batch, expected, flows)


def of_scft():
    """Equation 9 without its perceptual terms, which `test_scft` has: weights 1, 30 and 1, margin 12."""
    small = dict(width=4, levels=2, residual_blocks=1, discriminator_width=4, flip=False, jitter_shift=0.0)
    small |= dict(perceptual_weight=0.0, style_weight=0.0, line_share=1.0)
    config = of_settings(tiny("scft_demo"), scft.Settings(), **small)
    batch = {"line": pixels(2, 32, 32, 1), "colour": pixels(2, 32, 32, 3)}

    def expected(system, out, now):
        look = lambda image: called(system.discriminator, plain(batch["line"]), image)
        fake, target = out["fake"], plain(batch["colour"])
        codes = out["query"], out["key"], out["sampling"]
        return {
            "discriminator": {"fake": entropy(look(fake), False), "real": entropy(look(target), True)},
            "generator": {
                "gan": entropy(look(fake), True),
                "reconstruction": 30 * absolute(fake, target),
                "triplet": scft.similarity_triplet(*codes, random.fold(now.keys, 4), margin=12),
            },
        }

    flows = {
        "discriminator": {"fake": {"sketch", "fake"}, "real": {"sketch", "target"}},
        "generator": {
            "gan": {"sketch", "fake"},
            "reconstruction": {"fake", "target"},
            "triplet": {"query", "key", "sampling"},
        },
    }
    return Case(config, batch, expected, flows)


def of_cyclegan():
    """Equations 1 to 3 with least squares: cycles weigh 10, what is of the domain already half of that."""
    small = dict(width=4, residual_blocks=1, discriminator_width=4, flip=False, jitter=1.0, pool=2)
    config = of_settings(tiny("cyclegan_folders"), cyclegan.Settings(), **small)
    config.init.features = ""
    batch = {"a_colour": pixels(2, 32, 32, 3), "b_colour": pixels(2, 32, 32, 3)[::-1]}
    paint = nnx.jit(lambda generator, image: generator(image))

    def expected(system, out, now):
        a, b = plain(batch["a_colour"]), plain(batch["b_colour"])
        as_b, as_a = paint(system.generator_b, a), paint(system.generator_a, b)
        look_a, look_b = (functools.partial(called, d) for d in (system.discriminator_a, system.discriminator_b))
        return {
            "generators": {
                "gan_b": square(look_b(as_b), True),
                "gan_a": square(look_a(as_a), True),
                "cycle_a": 10 * absolute(paint(system.generator_a, as_b), a),
                "cycle_b": 10 * absolute(paint(system.generator_b, as_a), b),
                "identity_a": 5 * absolute(paint(system.generator_a, a), a),
                "identity_b": 5 * absolute(paint(system.generator_b, b), b),
            },
            # The pools have room: they show what is painted now.
            "discriminators": {
                "real_b": 0.5 * square(look_b(b), True),
                "fake_b": 0.5 * square(look_b(as_b), False),
                "real_a": 0.5 * square(look_a(a), True),
                "fake_a": 0.5 * square(look_a(as_a), False),
            },
        }

    flows = {
        "generators": {f"gan_{x}": {f"fake_{x}"} for x in "ab"}
        | {f"cycle_{x}": {f"back_{x}", f"real_{x}"} for x in "ab"}
        | {f"identity_{x}": {f"real_{x}"} for x in "ab"},
        "discriminators": {f"real_{x}": {f"real_{x}"} for x in "ab"} | {f"fake_{x}": set() for x in "ab"},
    }
    return Case(config, batch, expected, flows)


def of_munit(injection):
    """MUNIT's objective or GDWCT's: images and cycles weigh 10, codes 1, regularisers 0.001 and 10."""
    small = dict(width=4, residual_blocks=1, hidden=6, style=3, groups=2, discriminator_width=4, stages=2, scales=2)
    small |= dict(injection=injection, flip=False, cycle_weight=10.0 if injection == "whitening" else 0.0)
    config = of_settings(tiny("munit_folders"), munit.Settings(), **small)
    config.init.features = ""
    batch = {"a_colour": pixels(2, 32, 32, 3), "b_colour": pixels(2, 32, 32, 3)[::-1]}
    encode = nnx.jit(lambda network, image: network.encode(image, train=True))
    decode = nnx.jit(lambda network, content, style: network.decode(content, style, train=True))
    judged = nnx.jit(lambda network, image: network(image))

    def expected(system, out, now):
        image = {side: plain(batch[f"{side}_colour"]) for side in "ab"}
        generator, look = ({x: getattr(system, f"{part}_{x}") for x in "ab"} for part in ("generator", "discriminator"))
        codes = {x: encode(generator[x], image[x]) for x in "ab"}
        drawn = {x: np.asarray(out[f"wanted_{x}"]) for x in "ab"}
        assert np.abs(drawn["a"] - drawn["b"]).max() > 0.1 and drawn["a"].shape == codes["a"][1].shape
        # Drawn, and not the images' own.
        assert all((np.abs(drawn[x] - codes[x][1]).max() > 0.1) == (injection == "adain") for x in "ab")
        wanted = drawn if injection == "adain" else {x: codes[x][1] for x in "ab"}
        of_critics, of_painters, regularisers = {}, {}, []
        made = {x: decode(generator[x], codes[y][0], wanted[x]) for x, y in ("ab", "ba")}
        found = {x: encode(generator[x], made[x][0]) for x in "ab"}
        for x, y in ("ab", "ba"):
            fake = made[x][0]
            of_critics[f"real_{x}"] = sum(square(logits, True) for logits in judged(look[x], image[x]))
            of_critics[f"fake_{x}"] = sum(square(logits, False) for logits in judged(look[x], fake))
            of_painters[f"gan_{x}"] = sum(square(logits, True) for logits in judged(look[x], fake))
            of_painters[f"image_{x}"] = 10 * absolute(decode(generator[x], *codes[x])[0], image[x])
            of_painters[f"content_{x}"] = absolute(found[y][0], codes[x][0])
            of_painters[f"style_{x}"] = absolute(found[x][1], wanted[x])
            if injection == "whitening":
                back = decode(generator[x], found[y][0], found[x][1])  # In the style of the translation.
                of_painters[f"cycle_{x}"] = 10 * absolute(back[0], image[x])
                regularisers += [made[x][1], back[1]]
        if injection == "whitening":
            of_painters["whitening"] = 0.001 * np.mean([one["whitening"] for one in regularisers])
            of_painters["colouring"] = 10 * np.mean([one["colouring"] for one in regularisers])
        return {"discriminators": of_critics, "generators": of_painters}

    flows = {
        "discriminators": {f"real_{x}": {f"real_{x}"} for x in "ab"} | {f"fake_{x}": set() for x in "ab"},
        "generators": {f"gan_{x}": {f"fake_{x}"} for x in "ab"}
        | {f"image_{x}": {f"again_{x}", f"real_{x}"} for x in "ab"}
        | {f"content_{x}": {f"content_fake_{y}", f"content_{x}"} for x, y in ("ab", "ba")}
        | {f"style_{x}": {f"style_fake_{x}", f"wanted_{x}"} for x in "ab"},
    }
    if injection == "whitening":
        flows["generators"] |= {f"cycle_{x}": {f"back_{x}", f"real_{x}"} for x in "ab"}
        flows["generators"] |= {name: {name} for name in ("whitening", "colouring")}
    return Case(config, batch, expected, flows)


def of_cocosnet():
    """By the released code's weights: 10 hinge, 10 by what the discriminator sees, 10 features of the image's own, 10
    contextual, 10 domain, 1 cycle."""
    small = dict(width=2, discriminator_width=4, scales=1, flip=False, self_share=0.5, perceptual="vgg19")
    config = of_settings(tiny("cocosnet_openmoji"), cocosnet.Settings(), **small)
    batch = {"line": pixels(4, 32, 32, 1), "colour": pixels(4, 32, 32, 3)}
    layers = [f"relu{block}_2" for block in range(1, 6)]

    def expected(system, out, now):
        sketch, image, own = plain(batch["line"]), plain(batch["colour"]), np.asarray(out["own"])
        assert 0 < own.sum() < 4  # Of the others the exemplar is the image before.
        others = np.roll(image, 1, 0)
        close = np.abs(np.asarray(out["exemplar"]) - others).max((1, 2, 3)) < 1e-5
        assert (close == (own == 0)).all()
        look = nnx.jit(lambda network, image: network(image, intermediates=True)[1])
        fake, real, style = (look(system.perceptual, out[name]) for name in ("fake", "image", "exemplar"))
        judge, judged = nnx.jit(lambda network, *given: network(*given, train=True, intermediates=True)[0]), {}
        for player, order in (("generator", ("fake", "image")), ("discriminator", ("image", "fake"))):
            network = nnx.clone(system.discriminator)  # Its singular values are followed from one look to the next.
            judged[player] = {name: judge(network, sketch, out[name]) for name in order}
        (faked, maps), (_, truth) = (judged["generator"][name] for name in ("fake", "image"))
        shares = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
        apart = lambda name: np.abs(np.asarray(fake[name]) - real[name]).mean((1, 2, 3)) * own
        half = lambda x: np.asarray(x).reshape(4, x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))
        context = [(2, half(fake[layers[2]]), half(style[layers[2]]))]
        context += [(times, fake[name], style[name]) for times, name in ((4, layers[3]), (8, layers[4]))]
        return {
            "generator": {
                "gan": -10 * np.mean(faked),
                "matching": 10 * sum(absolute(maps[name], truth[name]) for name in maps),
                "feature": 10 * sum(share * apart(name).mean() for share, name in zip(shares, layers)),
                "perceptual": 0.1 * np.mean((np.asarray(fake[layers[3]]) - real[layers[3]]) ** 2),
                "contextual": 10 * sum(times * float(losses.contextual(a, b)) for times, a, b in context),
                "domain": 10 * absolute(out["adapted"], out["adapted_image"]),
                "cycle": absolute(out["returned"], half(half(out["exemplar"]))),
            },
            "discriminator": {
                "real": 10 * hinge(judged["discriminator"]["image"][0], True),
                "fake": 10 * hinge(judged["discriminator"]["fake"][0], False),
            },
        }

    flows = {
        "generator": {
            "gan": {"sketch", "fake"},
            "matching": {"sketch", "fake", "image"},
            "feature": {"fake", "image", "own"},
            "perceptual": {"fake", "image"},
            "contextual": {"fake", "exemplar"},
            "domain": {"adapted", "adapted_image"},
            "cycle": {"returned", "small"},
        },
        "discriminator": {"real": {"sketch", "image"}, "fake": {"sketch", "fake"}},
    }
    return Case(config, batch, expected, flows)


def many_domains(system, image, fake, origin, target, keys, cross, paint):
    """Equations 2 to 6 and 8: Wasserstein's game with 10 (|dD / dx| - 1)^2, domains, 10 times the way back.

    `cross` is the domains' loss of logits and labels, `paint` a translation of images as labels say.
    """
    assert sorted(target.tolist()) == sorted(origin.tolist()) and (target != origin).any()
    critic = nnx.jit(lambda critic, image: critic(image))
    (real, of_real), (fooled, of_fake) = (critic(system.discriminator, x) for x in (image, fake))
    share = np.asarray(random.uniform(random.fold(keys, 2), (1, 1, 1)))
    sloped = nnx.jit(lambda critic, image: jax.grad(lambda x: critic(x)[0].sum())(image))
    slopes = sloped(system.discriminator, share * image + (1 - share) * fake)
    return {
        "discriminator": {
            "real": -np.mean(real),
            "fake": np.mean(fooled),
            "class": cross(of_real, origin),
            "penalty": 10 * np.mean((np.sqrt(np.square(slopes).sum((1, 2, 3))) - 1) ** 2),
        },
        "generator": {
            "gan": -np.mean(fooled),
            "class": cross(of_fake, target),
            "cycle": 10 * absolute(paint(fake, origin), image),
        },
    }


# Of leaky units slopes do not change with the image.
MANY_DOMAINS = {
    "discriminator": {"real": {"real"}, "fake": {"fake"}, "class": {"real", "origin"}, "penalty": set()},
    "generator": {"gan": {"fake"}, "class": {"fake", "target"}, "cycle": {"fake", "real", "origin"}},
}


def of_stargan(joint=False):
    """The game of many domains, which attributes are; their cross-entropies are summed.

    Of two sets, the game of each: labels have all domains, and the mask (section 3.2).
    """
    small = dict(width=4, residual_blocks=1, discriminator_width=4, stages=2, flip=False, exclusive=())
    config = of_settings(tiny("stargan_joint" if joint else "stargan_avatars"), stargan.Settings(), **small)
    names, config.init.judge = ("Bald", "Mohawk", "Smiling"), ""
    label, classes = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], bool), np.array([1, 0, 1, 1])
    batch = {"colour": pixels(4, 32, 32, 3), "attributes": label}
    if joint:
        config.data.parts.attributes.attributes, config.model.classes = names, 2
        batch |= {"other_colour": pixels(4, 32, 32, 3)[::-1], "label": classes}
    else:
        config.data.attributes = names

    def cross(logits, label):
        share = 1 / (1 + np.exp(-np.asarray(logits[:, :3], np.float64)))
        return -np.log(np.where(label[:, :3], share, 1 - share)).sum() / 4

    def softmax(logits, label):
        powers = np.exp(np.asarray(logits[:, 3:], np.float64))
        return -np.log((powers / powers.sum(-1, keepdims=True))[label[:, 3:] == 1]).mean()

    def expected(system, out, now):
        jitted = nnx.jit(lambda generator, *given: generator(*given, train=True))

        def paint(mask):
            given = lambda label: jnp.concatenate([jnp.float32(label), np.tile(np.float32(mask), (4, 1))], -1)
            return lambda image, label: jitted(system.generator, image, given(label))

        origin, target = np.pad(label, ((0, 0), (0, 2 * joint))), np.asarray(out["target"])
        image, first = plain(batch["colour"]), paint((1, 0) if joint else ())
        found = many_domains(system, image, first(image, target), origin, target, now.keys, cross, first)
        if joint:
            keys, origin = random.fold(now.keys, 3), np.pad(np.eye(2)[classes], ((0, 0), (3, 0)))
            target = origin[np.argsort(random.uniform(random.fold(keys, 1)))]
            image, second = plain(batch["other_colour"]), paint((0, 1))
            more = many_domains(system, image, second(image, target), origin, target, keys, softmax, second)
            found |= {f"{name}_classes": terms for name, terms in more.items()}
        return found

    flows = MANY_DOMAINS
    if joint:
        flows = flows | {f"{name}_classes": dict.fromkeys(terms, set()) for name, terms in flows.items()}
    return Case(config, batch, expected, flows)


def of_xploregan():
    """The same of clusters, what is painted following from their summaries; and 10 times what should stay as it is."""
    config = test_xploregan.small()
    tint = np.array([[0, 0, 0], [190, 190, 190], [190, 0, 0], [0, 0, 190]])
    batch = {"colour": np.uint8(pixels(4, 16, 16, 3) // 4 + tint[:, None, None])}
    cross = lambda logits, label: -(label * np.asarray(jax.nn.log_softmax(logits))).sum() / 4

    def expected(system, out, now):
        image, origin = jnp.float32(plain(batch["colour"])), np.asarray(out["origin"])
        assert (origin == np.eye(3)[np.asarray(system.cluster(image))]).all()
        jitted = nnx.jit(lambda generator, image, summary: generator(image, summary))
        summaries = np.asarray(system.domains["summaries"][...])
        paint = lambda image, label: jitted(system.generator, image, jnp.float32(label @ summaries))
        target = np.asarray(out["target"])
        np.testing.assert_allclose(out["fake"], paint(image, target), atol=1e-5)
        found = many_domains(system, image, out["fake"], origin, target, now.keys, cross, paint)
        found["generator"]["identity"] = 10 * absolute(paint(image, origin), image)
        return found

    generator = MANY_DOMAINS["generator"] | {"identity": {"real", "origin"}}
    return Case(config, batch, expected, MANY_DOMAINS | {"generator": generator})


STYLES = dict(
    classes=3, style_dim=4, latent_dim=4, mapping_width=8, channel_base=64, channel_max=8, crop=0.0, flip=False
)


def of_stargan_v2():
    """Equations 1 to 4 and R1; the same in the styles of latents and of references, of which the last do not learn."""
    config = of_settings(tiny("stargan_v2_avatars", classes=3), stargan_v2.Settings(), **STYLES)
    config.data.size = 16
    label, target = np.array([2, 0, 1, 1], np.int32), np.array([0, 1, 2, 0], np.int32)
    images = {name: pixels(4, 16, 16, 3 + i)[..., :3] for i, name in enumerate(("colour", "reference", "other_reference"))}
    batch = {**images, "label": label, "reference_label": target}

    def expected(system, out, now):
        run = nnx.jit(lambda network, *given: network(*given))
        real, first, second = (plain(image) for image in images.values())
        latents = [random.normal(random.fold(now.keys, i), (4,)) for i in (3, 4)]
        styles = {
            "": [run(system.mapping_network, latent, target) for latent in latents],
            "_reference": [run(system.style_encoder, image, target) for image in (first, second)],
        }
        slope = nnx.jit(lambda critic, x: jax.grad(lambda x: critic(x, label).sum())(x))(system.discriminator, real)
        found = {}
        for turn, (style, other) in styles.items():
            fake, apart = run(system.generator, real, style), run(system.generator, real, other)
            verdict = run(system.discriminator, fake, target)
            back = run(system.generator, fake, run(system.style_encoder, real, label))
            found[f"discriminator{turn}"] = {
                "real": entropy(run(system.discriminator, real, label), True),
                "fake": entropy(verdict, False),
                "penalty": np.square(slope).sum((1, 2, 3)).mean() / 2,
            }
            found[f"generator{turn}"] = {
                "gan": entropy(verdict, True),
                "style": absolute(run(system.style_encoder, fake, target), style),
                "diversity": -0.75 * absolute(fake, apart),  # After a quarter of the run.
                "cycle": absolute(back, real),
            }
        return found

    alone = lambda terms: {term: set() for term in terms.split()}
    # What is compared with the other image is the image alone.
    flows = {
        "discriminator": {"real": {"real"}, "fake": {"fake"}, "penalty": set()},
        "discriminator_reference": alone("real fake penalty"),
        "generator": {
            "gan": {"fake"}, "style": {"fake", "style"}, "diversity": {"fake"}, "cycle": {"fake", "real"},
        },
        "generator_reference": alone("gan style diversity cycle"),
    }  # fmt: skip
    return Case(config, batch, expected, flows)


def of_classifier():
    """Cross-entropy of smoothed labels."""
    small = dict(size=(32, 64, 2, 2), patch=2, classes=10, label_smoothing=0.1)
    small |= dict(dropout=0.0, drop_path=0.0, crop_area=1.0, flip=False, operations=0, mixup=0.0)
    config = of_settings(vit_digits.get_config(), classifier.Settings(), **small)
    batch = {"colour": pixels(4, 8, 8, 3), "label": np.array([3, 0, 9, 3], np.int32)}

    def expected(system, out, now):
        logits = np.asarray(system.network(plain(batch["colour"])), np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        right = log[np.arange(4), batch["label"]]
        return {"network": {"cross_entropy": -np.mean(0.9 * right + 0.1 * log.mean(-1))}}

    return Case(config, batch, expected, {"network": {"cross_entropy": {"logits", "targets"}}})


def of_resnet():
    """Cross-entropy, of logits that are normalised by the batch."""
    small = dict(depth=(1, 1), width=4, stem="small", classes=10, label_smoothing=0.1)
    small |= dict(crop_area=1.0, flip=False, operations=0, mixup=0.0)
    config = of_settings(resnet_coloured_digits.get_config(), resnet_classifier.Settings(), **small)
    batch = {"colour": pixels(4, 8, 8, 3), "label": np.array([3, 0, 9, 3], np.int32)}

    def expected(system, out, now):
        logits = np.asarray(called(system.network, plain(batch["colour"])), np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        right = log[np.arange(4), batch["label"]]
        return {"network": {"cross_entropy": -np.mean(0.9 * right + 0.1 * log.mean(-1))}}

    return Case(config, batch, expected, {"network": {"cross_entropy": {"logits", "targets"}}})


def of_colorization():
    """Equation 2, pixels weighed by how rare their nearest bins are (equations 3 and 4); the second picture is grey."""
    config = of_settings(tiny("colorization_photographs"), colorization.Settings(), width=4, flip=False)
    batch = {"colour": pixels(2, 32, 32, 3)}
    batch["colour"][1] = batch["colour"][1, ..., :1]

    def expected(system, out, now):
        bins = gamut.in_gamut()
        ab = np.asarray(colour.rgb_to_lab(batch["colour"][:, ::4, ::4] / np.float32(255)))[..., 1:]
        number, weight = (np.asarray(x, np.float64 if i else int) for i, x in enumerate(gamut.encode(ab, bins)))
        seen = np.bincount(number[0].ravel(), weight[0].ravel(), 313) / 64
        before = 0.75 / 313 + 0.25 * seen  # The running mean of four steps, of which this is one.
        logits = np.asarray(out["logits"], np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        entropy = -(np.take_along_axis(log, number, -1) * weight).sum(-1)
        rarity = np.asarray(gamut.rarity(before.astype(np.float32), bins))
        return {"network": {"cross_entropy": (entropy * rarity[number[..., 0]])[0].sum() / entropy.size}}

    return Case(config, batch, expected, {"network": {"cross_entropy": {"logits", "ab"}}})


def of_hints():
    """Cross-entropy of the nearest bin at every fourth pixel, ten times L1 of ab / 110; the second picture is grey."""
    small = dict(width=4, flip=False, crop_area=1.0)
    config = of_settings(tiny("hints_photographs"), hints.Settings(), **small)
    batch = {"colour": pixels(2, 32, 32, 3)}
    batch["colour"][1] = batch["colour"][1, ..., :1]

    def expected(system, out, now):
        ab = np.asarray(colour.rgb_to_lab(batch["colour"] / np.float32(255)))[..., 1:]
        logits = np.asarray(out["logits"], np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        number = np.round((ab[:, ::4, ::4] + 110) / 10).astype(int)
        right = np.take_along_axis(log, (number[..., :1] * 23 + number[..., 1:]), -1)[..., 0]
        far = np.abs(np.asarray(out["colours"], np.float64) - ab / 110).sum(-1)
        return {"network": {"class": -right[0].sum() / right.size, "colour": 10 * far[0].sum() / far.size}}

    return Case(config, batch, expected, {"network": {"class": {"logits"}, "colour": {"colours", "ab"}}})


def of_edges():
    """Ten times the L1 of slopes and once that of colours inside scribbles, the square of what is added outside."""
    config = of_settings(test_edges.configured(), edges.Settings(), width=4, flip=False)
    batch = {"colour": pixels(2, 32, 32, 3)}

    def expected(system, out, now):
        ab = np.asarray(colour.rgb_to_lab(batch["colour"] / np.float32(255)))[..., 1:] / 110
        far, inside = np.asarray(out["colours"]) - ab, np.asarray(out["scribbles"])
        assert 0 < inside.mean() < 1
        padded = np.pad(far, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
        mean = lambda x: np.mean((np.abs(x) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3)))
        taps = np.outer([1, 2, 1], [-1, 0, 1]) / 8
        slope = lambda taps: sum(taps[i, j] * padded[:, i : i + 32, j : j + 32] for i in range(3) for j in range(3))
        outside = 1 - inside.reshape(2, 16, 2, 16, 2, 1).mean((2, 4))
        return {
            "enhancer": {
                "edge": 10 * (mean(slope(taps)) + mean(slope(taps.T))),
                "colour": mean(far),
                "regularisation": np.mean(np.asarray(out["added"]) ** 2 * outside),
            }
        }

    inside = {"colours", "ab", "scribbles"}
    flows = {"edge": inside, "colour": inside, "regularisation": {"added", "share"}}
    return Case(config, batch, expected, {"enhancer": flows})


def of_adain():
    """Equations 12 and 13: the map that was decoded is to be found again, and the style's means and deviations."""
    config = of_settings(tiny("adain_openmoji"), adain.Settings(), width=2, encoder="vgg19-normalised")
    batch = {"content_colour": pixels(2, 16, 16, 3), "style_colour": pixels(2, 16, 16, 3)[:, ::-1]}
    names = [f"relu{block}_1" for block in range(1, 5)]

    def expected(system, out, now):
        look = nnx.jit(lambda encoder, image: encoder(image, intermediates=True)[1])
        found, seen = look(system.encoder, out["image"]), look(system.encoder, plain(batch["style_colour"]))
        style, far = 0.0, lambda a, b: ((a - b) ** 2).mean()
        for layer in names:
            a, b = (np.asarray(maps[layer], np.float64) for maps in (found, seen))
            deviation = lambda x: np.sqrt(x.var((1, 2), ddof=1) + 1e-5)
            style += far(a.mean((1, 2)), b.mean((1, 2))) + far(deviation(a), deviation(b))
        content = far(np.asarray(found[names[-1]], np.float64), np.asarray(out["target"]))
        return {"decoder": {"content": content, "style": 10 * style}}

    return Case(config, batch, expected, {"decoder": {"content": {"image", "target"}, "style": {"image", *names}}})


def of_nerf(encoding):
    """Equation 6: squared errors of the fine and of the coarse colours, on white."""
    config = test_nerf.tiny(encoding)
    config.model.white_background = True
    source = data.open(Experiment(config).data, "train")
    batch = data.stack([source[i] for i in range(2)])
    batch["colour"] = pixels(*batch["colour"].shape)

    def expected(system, out, now):
        opacity = batch["colour"][..., 3:] / 255
        truth = batch["colour"][..., :3] / 255 * opacity + (1 - opacity)
        names = {"fine": "colour"} | ({"coarse": "coarse"} if encoding == "positional" else {})
        return {"field": {term: np.mean((np.asarray(out[name]) - truth) ** 2) for term, name in names.items()}}

    flows = {"fine": {"colour"}} | ({"coarse": {"coarse"}} if encoding == "positional" else {})
    return Case(config, batch, expected, {"field": flows})


def of_dietnerf(encoding):
    """The same, and minus 0.1 times the cosine of a view from a random pose and of a training view (equation 5)."""
    case = of_nerf(encoding)
    config, screen = test_dietnerf.tiny(encoding), np.float32([[[8, 8, 4, 4, 0, 0, 0, 0]]])

    def expected(system, out, now):
        pose, pixel, target = test_dietnerf.as_released(system, now.keys[0])
        drawn = random.fold(random.fold(now.keys, dietnerf.POSE + 5), 0)
        pixel = pixel.reshape(2, 32, 2)  # The two examples share the view.
        found = nnx.jit(lambda system, pixel: system.render_rays(pixel, pose[None, None], screen, drawn))(system, pixel)
        terms = {}
        for term, name in {"fine": "colour", "coarse": "coarse"}.items():
            if name in found:
                view = np.reshape(found[name], (8, 8, 3)).clip(0, 1)
                seen = np.asarray(system._look(system.encoder, view[None])[0])
                terms[term] = -0.1 * seen @ target / np.linalg.norm(seen) / np.linalg.norm(target)
        return {**case.expected(system, out, now), "consistency": terms}

    flows = case.flows | {"consistency": {term: set() for term in case.flows["field"]}}
    return Case(config, case.batch, expected, flows)


def of_stylegan2():
    """The non-saturating game, 10 / 2 |dD / dx|^2 and 2 (|J^T y| - a)^2, each behind augmentations of its own."""
    config = test_stylegan2.tiny(augmentation="fixed", probability=0.5, pipeline="color", r1_weight=10.0)
    batch = {"colour": pixels(4, 8, 8, 3), "label": np.array([3, 0, 9, 3], np.int32)}

    def expected(system, out, now):
        graph, state = nnx.split(system)

        @jax.jit
        def computed(state, real, fake):
            system = nnx.merge(graph, state, copy=True)

            def look(image, i):
                drawn = ada_augment.draw(random.fold(now.keys, i), 0.5, "color", (8, 8, 3))
                return system.discriminator(ada_augment.apply(image, drawn), batch["label"])

            slopes = jax.grad(lambda image: look(image, 6).sum())(real)
            ws = system._latents(random.fold(now.keys, 8), batch["label"])
            paint = lambda ws: system.generator.synthesis(ws, key=random.fold(now.keys, 9))
            towards = random.normal(random.fold(now.keys, 10), (8, 8, 3)) / 8
            return slopes, jax.vjp(paint, ws)[1](towards)[0], look(fake, 3), look(real, 4), look(fake, 7)

        slopes, back, fake, real, again = computed(state, plain(batch["colour"]), out["fake"])
        lengths = np.sqrt(np.square(back).sum(2).mean(1))
        return {
            "discriminator": {"fake": entropy(fake, False), "real": entropy(real, True)},
            "r1": {"penalty": 10 / 2 * np.square(slopes).sum((1, 2, 3)).mean()},
            "generator": {"gan": entropy(again, True)},
            "path_length": {"penalty": 2 * np.square(lengths - 0.01 * lengths.mean()).mean()},
        }

    flows = {
        "discriminator": {"fake": {"fake"}, "real": {"real"}},
        "r1": {"penalty": set()},
        "generator": {"gan": {"fake"}},
        "path_length": {"penalty": set()},
    }
    return Case(config, batch, expected, flows)


def of_tracking():
    """Equations 1 to 3: what is copied of the frames before, by a softmax over all their places at temperature 1."""
    config = tiny("tracking_drawings", widths=(4, 4, 4, 4), head=4, features=4, flip=False)
    batch = {"frames": pixels(2, 4, 32, 32, 3)}

    def expected(system, out, now):
        frames = plain(batch["frames"])
        lab = np.asarray(colour.rgb_to_lab((frames + 1) / 2))
        features = np.asarray(called(system.network, lab[..., :1] / 50 - 1), np.float64)
        cells = frames.reshape(2, 4, 4, 8, 4, 8, 3).mean((3, 5))
        ab = np.asarray(colour.rgb_to_lab((cells + 1) / 2))[..., 1:]
        number = np.asarray(out["target"]).argmax(-1)
        assert number.shape == (2, 4, 4) and len(np.unique(number)) > 1
        np.testing.assert_array_equal(number, system.clusters.nearest(ab[:, 3]))
        before = np.asarray(system.clusters.nearest(ab[:, :3])).reshape(2, -1)
        scores = np.einsum("bqd,bkd->bqk", features[:, 3].reshape(2, 16, -1), features[:, :3].reshape(2, 48, -1))
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mine = np.array([[shares[b, q][before[b] == n].sum() for q, n in enumerate(number[b].ravel())] for b in range(2)])
        return {"network": {"cross_entropy": -np.log(np.maximum(mine, 1e-6)).mean()}}

    config.model.clusters_steps = 1  # Of which step 3 is none: the clusters stay as they are.
    return Case(config, batch, expected, {"network": {"cross_entropy": {"shares", "target"}}})


def of_lines():
    """Cross-entropy of pixels' ink, and half of one minus its Dice coefficient in each example, smoothed by 1 pixel."""
    small = dict(width=4, levels=2, flip=False, blur=0.0, jitter_shift=0.0, jitter_hue=0.0)
    config = of_settings(tiny("lines_openmoji"), lines.Settings(), **small)
    batch = {"colour": pixels(2, 16, 16, 3), "flat": pixels(2, 16, 16, 3), "lines": pixels(2, 16, 16, 1)}
    batch["weights"] = np.float32([[2.0], [3.0]])

    def expected(system, out, now):
        logits, ink = np.asarray(out["logits"], np.float64), 1 - batch["lines"] / 255
        found = 1 / (1 + np.exp(-logits))
        right = ink * np.log(found) + (1 - ink) * np.log(1 - found)
        dice = [(2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1) for p, t in zip(found, ink)]
        return {"network": {"entropy": -right.mean(), "overlap": 0.5 * (1 - np.mean(dice))}}

    both = {"logits", "ink"}
    return Case(config, batch, expected, {"network": {"entropy": both, "overlap": both}})


def of_clip():
    """Figure 3 of the paper: cross-entropy of which text is a picture's and which picture a text's, by cosines."""
    widths = dict(embedding=8, image_width=8, text_width=8, head=4, vocabulary=300)
    config = tiny("clip_avatars", image_layers=1, text_layers=1, unroll=1, crop_area=1.0, **widths)
    config.data.size = 16
    ids = np.random.default_rng(3).integers(1, 298, (4, 36))
    ids[:, 7] = 299
    batch = {"colour": pixels(4, 16, 16, 3), "tokens": np.int32(ids)}

    def expected(system, out, now):
        unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
        image, text = (unit(np.asarray(out[name], np.float64)) for name in ("image", "text"))
        logits = image @ text.T * np.clip(np.exp(np.float64(system.network.temperature.scale[...])), 1, 100)
        log = lambda x: np.diagonal(x - np.log(np.exp(x).sum(1, keepdims=True))).mean()
        return {"network": {"contrastive": -(log(logits) + log(logits.T)) / 2}}

    return Case(config, batch, expected, {"network": {"contrastive": {"image", "text"}}})


def of_dvae():
    """Equation 1 by the logit-Laplace distribution and a uniform prior, over the numbers of a picture, at step 3 of 10.

    Also how far the batch's mean code is from all alike.
    """
    config = test_dalle.of_dvae(temperature_steps=10, kl_steps=10, kl_weight=6.6, least_scale=0.9, usage_weight=0.3)
    batch = {"colour": pixels(2, 16, 16, 3)}

    def expected(system, out, now):
        along = (1 + np.cos(np.pi * 3 / 10)) / 2
        logits = np.asarray(out["logits"], np.float64)
        uniform = np.asarray(random.uniform(now.keys, logits.shape[1:], 1e-6, 1.0), np.float64)
        relaxed = np.exp((logits - np.log(-np.log(uniform))) / (1 / 16 + 15 / 16 * along))
        relaxed = (relaxed / relaxed.sum(-1, keepdims=True)).astype(np.float32)
        mean, log_scale = nnx.jit(lambda network, weights: network(weights))(system.decoder, relaxed)
        np.testing.assert_allclose(out["mean"], mean, atol=1e-3)
        assert np.log(0.9) < np.max(log_scale) and np.min(log_scale) < np.log(0.9)
        log_scale = np.maximum(log_scale, np.log(0.9))
        x, mean, log_scale = (np.asarray(a, np.float64) for a in (out["pixels"], mean, log_scale))
        np.testing.assert_allclose(x, 0.8 * batch["colour"] / 255 + 0.1, atol=1e-6)
        scale = np.exp(log_scale)
        density = np.exp(-np.abs(np.log(x / (1 - x)) - mean) / scale) / (2 * scale * x * (1 - x))
        share = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        divergence = (share * np.log(share * 16)).sum((1, 2, 3)).mean()
        used = share.mean((0, 1, 2))
        return {
            "autoencoder": {
                "reconstruction": -np.log(density).mean(),
                "kl": 6.6 * (1 - along) * divergence / (16 * 16 * 3),
                "usage": 0.3 * (used * np.log(used * 16)).sum(),
            }
        }

    flows = {"reconstruction": {"pixels", "mean", "log_scale"}, "kl": {"logits"}, "usage": {"logits"}}
    return Case(config, batch, expected, {"autoencoder": flows})


def of_dalle():
    """Cross-entropy of texts, an eighth, and of codes, seven; behind an end, each place has a token of its own."""
    config = test_dalle.config("")
    ids = np.random.default_rng(3).integers(1, 298, (2, 12))
    ids[0, 7:], ids[1, 11], ids[0, 7] = 0, 319, 319
    batch = {"colour": pixels(2, 16, 16, 3), "tokens": np.int32(ids)}

    def expected(system, out, now):
        targets = ids.copy()
        targets[0, 8:] = 320 + np.arange(8, 12)
        codes = np.asarray(nnx.jit(lambda encoder, image: encoder.codes(image))(system.encoder, plain(batch["colour"])))

        def entropy(logits, targets):
            log = np.asarray(logits, np.float64)
            log = log - np.log(np.exp(log).sum(-1, keepdims=True))
            return -np.take_along_axis(log, targets[..., None], -1).mean()

        text, image = entropy(out["text"], targets[:, 1:]), entropy(out["image"], codes.reshape(2, 16))
        return {"transformer": {"text": text / 8, "image": 7 / 8 * image}}

    return Case(config, batch, expected, {"transformer": {"text": {"text"}, "image": {"image"}}})
def of_styleclip(space):
    """Equation 4 of the paper and the released weights: CLIP 1, mean squared distance 0.8, identity 0.1."""
    # Weights are not so large here as their low rates ask for; and faces must differ by more than rounding.
    small = dict(space=space, text=(1, 7, 2, 299, 0, 0), step=1e3 if space == "w+" else 1e4)
    config = test_styleclip.small(styleclip_ffhq.get_config(), identity=True, **small)
    batch = {"seed": np.uint32([3, 5])}

    def expected(system, out, now):
        unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
        moved, place, after = (np.asarray(out[name], np.float64) for name in ("moved", "place", "after"))
        assert np.abs(moved - place).max() > 0.1
        seen = system.clip.image(jnp.float32(after.reshape(2, 8, 2, 8, 2, 3).mean((2, 4))))
        text = system.clip.encode_text(jnp.int32([small["text"]]))
        look = nnx.jit(lambda network, image: network(image, intermediates=True)[1]["pooled"])
        faces = [unit(np.asarray(look(system.identity, out[name]))) for name in ("before", "after")]
        square = (moved - place) ** 2  # Of style space the sum of the means over layers, of 4 channels each.
        return {
            "mapper": {
                "clip": 1 - np.mean(unit(np.asarray(seen)) @ unit(np.asarray(text)).T),
                "l2": 0.8 * (square.mean() if space == "w+" else square.sum(1).mean() / 4),
                "identity": 0.1 * (1 - np.mean(np.sum(faces[0] * faces[1], 1))),
            }
        }

    flows = {"mapper": {"clip": {"after"}, "l2": {"moved", "place"}, "identity": {"after"}}}
    return Case(config, batch, expected, flows)


def class_gan(system, **small):
    """An experiment of a GAN conditioned on digits, tiny."""
    player = defaults.player(1e-3)
    both = dict(discriminator=player, generator=player)
    return defaults.experiment(
        system, data=dict(name="digits", size=8, labels=True), players=both, model=small, batch_size=4
    )


DIGITS = {"colour": pixels(4, 8, 8, 1).repeat(3, -1), "label": np.array([3, 0, 9, 3], np.int32)}


def of_cgan(system, fooled, judged, **small):
    """Equation 2 of Mirza & Osindero, of logits of an image and its class, or hinge and least squares in its place.

    The drawn numbers of dropout are those of the step's keys.
    """

    def expected(system, out, now):
        key = lambda i: random.fold(now.keys, i)
        look = lambda image, i: called(system.discriminator, image, jnp.eye(10)[DIGITS["label"]], key(i))
        # A power iteration a call: the order is that of the losses.
        real, fake = look(plain(DIGITS["colour"][..., :1]), 3), look(out["fake"], 4)
        discriminator = {"real": judged(real, True), "fake": judged(fake, False)}
        return {"discriminator": discriminator, "generator": {"gan": fooled(look(out["fake"], 5))}}

    flows = {
        "discriminator": {"real": {"real", "classes"}, "fake": {"fake", "classes"}},
        "generator": {"gan": {"fake", "classes"}},
    }
    return Case(class_gan(system, **small), DIGITS, expected, flows)


def of_acgan(system, **small):
    """L_S and L_C of Odena et al.: the discriminator maximises L_S + L_C, the generator L_C - L_S."""

    def expected(system, out, now):
        def look(image, i, real):
            source, logits = called(system.discriminator, image, random.fold(now.keys, i))
            logits = np.asarray(logits, np.float64)
            log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            return entropy(source, real), -2 * log[np.arange(4), DIGITS["label"]].mean()

        source_real, class_real = look(plain(DIGITS["colour"][..., :1]), 3, True)
        source_fake, class_fake = look(out["fake"], 4, False)
        source, classes = look(out["fake"], 5, True)
        of_discriminator = dict(
            source_real=source_real, class_real=class_real, source_fake=source_fake, class_fake=class_fake
        )
        return {"discriminator": of_discriminator, "generator": {"source": source, "class": classes}}

    flows = {
        "discriminator": {
            "source_real": {"real"},
            "source_fake": {"fake"},
            "class_real": {"real", "classes"},
            "class_fake": {"fake", "classes"},
        },
        "generator": {"source": {"fake"}, "class": {"fake", "classes"}},
    }
    return Case(class_gan(system, class_weight=2.0, **small), DIGITS, expected, flows)


def hinge(logits, real):
    return np.maximum(0, 1 - np.asarray(logits) if real else 1 + np.asarray(logits)).mean()


def of_tryon(stage, size, **model):
    """(config, batch) of a stage of try-on, its model but for widths as published."""
    config = tiny(f"tryon_{stage}_mannequins", small=(size, size))
    config.data.size = size
    module = dict(segmentation=segmentation, warp=warp, synthesis=synthesis)[stage]
    of_settings(config, module.Settings(), small=(size, size), **model)
    channels = dict(image=3, cloth=3, cloth_mask=1, pose=3, agnostic=3, parse=1, parse_agnostic=1)
    batch = {name: pixels(2, size, size, count) for name, count in channels.items()}
    return config, batch | {name: batch[name] % 20 for name in ("parse", "parse_agnostic")}


UPPER = (5, 6, 7)  # Of LIP's labels.


def of_tryon_segmentation():
    """Equations 1 and 2: least squares, and cross-entropy of weight 10."""
    config, batch = of_tryon("segmentation", 32, width=4, levels=3, discriminator_width=4, scales=1)
    truth = np.eye(13)[np.array(stages.CLASS_OF)[batch["parse"][..., 0]]]

    def expected(system, out, now):
        logits = np.asarray(out["logits"], np.float64)
        shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        look = lambda regions: called(system.discriminator, out["given"][..., :20], np.float32(regions))[0]
        fake = look(1 / (1 + np.exp(-logits)))
        return {
            "discriminator": {"real": 0.5 * square(look(truth), True), "fake": 0.5 * square(fake, False)},
            "segmentation": {"gan": square(fake, True), "entropy": -10 * np.mean(np.log((shares * truth).sum(-1)))},
        }

    flows = {
        "discriminator": {"real": {"given"}, "fake": {"given", "logits"}},
        "segmentation": {"gan": {"given", "logits"}, "entropy": {"logits"}},
    }
    return Case(config, batch, expected, flows)


def of_tryon_warp():
    """Equation 3: L1, and how unlike control points lie to both sides, of weight 0.04; here the mask's L1 too."""
    config, batch = of_tryon("warp", 64, width=2, levels=3, mask_weight=2.0)

    def expected(system, out, now):
        upper = np.isin(batch["parse"], UPPER)
        worn = np.where(upper, plain(batch["image"]), 1)
        assert np.asarray(out["bent"]).std() > 0.1
        line = np.linspace(-0.9, 0.9, 5)
        moved = np.asarray(out["moved"]).reshape(2, 5, 5, 2)
        points = np.stack(np.meshgrid(line, line, indexing="ij"), -1) + moved
        constraint = 0
        for points in (points, points.swapaxes(1, 2)):
            before, here, after = points[:, :-2], points[:, 1:-1], points[:, 2:]
            (x, y), (u, v) = (np.moveaxis(part, -1, 0) for part in (here - before, after - here))
            constraint += np.abs(x**2 + y**2 - u**2 - v**2).mean() + np.abs(y * u - x * v).mean()
        terms = {"l1": absolute(out["bent"], worn), "mask": 2 * absolute(out["bent_mask"], upper)}
        return {"warp": {**terms, "constraint": 0.04 * constraint}}

    flows = {"warp": {"l1": {"bent", "worn"}, "mask": {"bent_mask", "upper"}, "constraint": {"moved"}}}
    return Case(config, batch, expected, flows)


def of_tryon_synthesis():
    """Hinge, and by 10 each what the discriminator and VGG-19 see."""
    narrow = dict(widths=(8, 8, 4), masked=2, hidden=4, added=2, segmentation_width=1, warp_width=1)
    config, batch = of_tryon("synthesis", 64, **narrow, discriminator_width=4, scales=1, perceptual="vgg19")
    layers = [f"relu{block}_1" for block in range(1, 6)]

    def expected(system, out, now):
        look = nnx.jit(lambda network, *given: network(*given, train=True, intermediates=True)[0])
        seen = nnx.jit(lambda network, image: network(image, intermediates=True)[1])
        regions = np.eye(7)[np.array(stages.REGION_OF)[np.array(stages.CLASS_OF)[batch["parse"][..., 0]]]]
        assert (regions[..., 2:3] == np.isin(batch["parse"], UPPER)).all()
        judged = {}
        for player, order in (("synthesis", ("fake", "image")), ("discriminator", ("image", "fake"))):
            network = nnx.clone(system.discriminator)  # Its singular values are followed from one look to the next.
            judged[player] = {name: look(network, np.float32(regions), out[name]) for name in order}
        (fake, fake_maps), (_, maps) = (judged["synthesis"][name] for name in ("fake", "image"))
        looks = [seen(system.perceptual, out[name]) for name in ("fake", "image")]
        apart = [absolute(*(x[name] for x in looks)) for name in layers]
        return {
            "synthesis": {
                "gan": -np.mean(fake),
                "feature": 10 * sum(absolute(fake_maps[name], maps[name]) for name in maps),
                "perceptual": 10 * np.dot([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1], apart),
            },
            "discriminator": {
                "real": hinge(judged["discriminator"]["image"][0], True),
                "fake": hinge(judged["discriminator"]["fake"][0], False),
            },
        }

    flows = {
        "synthesis": {
            "gan": {"regions", "fake"},
            "feature": {"regions", "fake", "image"},
            "perceptual": {"fake", "image"},
        },
        "discriminator": {"real": {"regions", "image"}, "fake": {"regions", "fake"}},
    }
    return Case(config, batch, expected, flows)


MAXOUT = dict(hidden=(8, 8, 8), image_maxout=(4, 2), class_maxout=(4, 2), joint_maxout=(4, 2))
SMALL = dict(channels=1, widths=(8,), discriminator_widths=(4, 8))

CASES = {
    "projection": (
        cgan.CGAN,
        lambda: of_cgan("cgan.CGAN", lambda fake: -np.mean(fake), hinge, discriminator_norm="none", **SMALL),
    ),
    "maxout": (
        cgan.MaxoutCGAN,
        lambda: of_cgan("cgan.MaxoutCGAN", lambda fake: entropy(fake, True), entropy, **MAXOUT),
    ),
    "perceptrons": (
        cgan.PerceptronCGAN,
        lambda: of_cgan("cgan.PerceptronCGAN", lambda fake: square(fake, True), square),
    ),
    "auxiliary": (acgan.ACGAN, lambda: of_acgan("acgan.ACGAN", noise=0.1, **SMALL)),
    "auxiliary, resizing": (acgan.ResizeACGAN, lambda: of_acgan("acgan.ResizeACGAN")),
    "cross entropy": (pix2pix.Pix2Pix, lambda: of_pix2pix("cross_entropy", entropy)),
    "least squares": (pix2pix.Pix2Pix, lambda: of_pix2pix("least_squares", square)),
    "unpaired": (cyclegan.CycleGAN, of_cyclegan),
    "munit": (munit.MUNIT, lambda: of_munit("adain")),
    "whitening": (munit.MUNIT, lambda: of_munit("whitening")),
    "exemplars": (cocosnet.CoCosNet, of_cocosnet),
    "attributes": (stargan.StarGAN, of_stargan),
    "clusters": (xploregan.XploreGAN, of_xploregan),
    "attributes and classes": (stargan.JointStarGAN, lambda: of_stargan(joint=True)),
    "styles": (stargan_v2.StarGANv2, of_stargan_v2),
    "scft": (scft.SCFT, of_scft),
    "classifier": (classifier.Classifier, of_classifier),
    "residual": (resnet_classifier.ResNetClassifier, of_resnet),
    "stylegan2": (stylegan2.StyleGAN2, of_stylegan2),
    "colorization": (colorization.Colorization, of_colorization),
    "hints": (hints.Hints, of_hints),
    "edges": (edges.Edges, of_edges),
    "adain": (adain.AdaIN, of_adain),
    "lines": (lines.Lines, of_lines),
    "positional": (nerf.NeRF, lambda: of_nerf("positional")),
    "tracking": (tracking.Tracking, of_tracking),
    "clip": (clip.CLIP, of_clip),
    "regions of garments": (segmentation.Segmentation, of_tryon_segmentation),
    "bent garments": (warp.Warp, of_tryon_warp),
    "painted garments": (synthesis.Synthesis, of_tryon_synthesis),
    "codes": (dalle.DVAE, of_dvae),
    "texts and codes": (dalle.DALLE, of_dalle),
    "mapper": (mapper.Mapper, lambda: of_styleclip("w+")),
    "mapper of styles": (mapper.Mapper, lambda: of_styleclip("s with colours")),
    "hash": (nerf.HashNeRF, lambda: of_nerf("hash")),
    "few views": (dietnerf.DietNeRF, lambda: of_dietnerf("positional")),
    "few views, hash": (dietnerf.DietHashNeRF, lambda: of_dietnerf("hash")),
}


SLOW = (  # To compile.
    "whitening",
    "exemplars",
    "attributes and classes",
    "mapper of styles",
    "regions of garments",
    "painted garments",
    "few views, hash",
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in CASES])
def test_losses_are_the_papers_and_gradients_flow_where_they_should(name):
    check(CASES[name][1]())


def test_every_system_that_ships_has_a_case():
    names = [module.name for module in pkgutil.walk_packages(shipped.__path__, "vision_gen.systems.")]
    modules = [importlib.import_module(name) for name in names]
    known = {cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)}
    trained = {cls for cls in known if issubclass(cls, systems.System) and cls.players}
    extended = {cls for cls in trained if not known.isdisjoint(cls.__subclasses__())}  # Some have a case nevertheless.
    assert trained - extended <= {cls for cls, _ in CASES.values()} <= trained
