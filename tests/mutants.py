"""Small faults, planted one at a time: the tests named beside each must notice it.

    make mutants                                     all of them, two at a time
    python -m tests.mutants --list                   what there is, with numbers
    python -m tests.mutants 3 17 rollout --jobs=2    a few, by number or by a word of what is wrong or of the file

A fault is one text of one file in place of another, in a copy of the tree in a temporary folder. Those that no test
notices are printed as survivors, and so are entries that can plant nothing; the exit status is then 1. `test_mutants`
sees to it that each text still stands in its file.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "runs", "build", "__pycache__", "*.egg-info")
LONGEST = 300  # Seconds for a test.


class Fault(NamedTuple):
    """What is wrong, the file below vision_gen/, its text and the one in its place, and tests that must fail."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple


def of(file, tests, *faults):
    """Faults of one file: (what, old, new, *names of tests), where a name without a file is one of `tests`."""
    place = lambda name: f"tests/{name}" if "::" in name else f"tests/{tests}::{name}"
    return [Fault(what, file, old, new, tuple(map(place, names))) for what, old, new, *names in faults]


LOSSES = "systems/test_losses.py::test_losses_are_the_papers_and_gradients_flow_where_they_should"
PIX2PIX, SCFT, CLASSIFIER, NERF, EDGES, STARGAN, STARGAN2, CYCLEGAN, MUNIT, WHITENING, COCOSNET = (
    f"{LOSSES}[{name}]"
    for name in (
        "cross entropy", "scft", "classifier", "positional", "edges", "attributes", "styles", "unpaired", "munit",
        "whitening", "exemplars",
    )
)
AVERAGES = "engine/test_use.py::test_averaged_weights_are_used_for_figures_samples_and_tools"
COLOURS = "test_colours_are_changed_as_pil_does"
CLASSES = "systems/test_classifier.py"

# fmt: off
FAULTS = [
    # What pairs pictures with texts.
    *of("systems/clip.py", "systems/test_clip.py",
        ("a text need not find its picture", "(image, text), (text, image)", "(image, text), (image, text)",
         f"{LOSSES}[clip]"),
        ("names are the first of their templates", "self.network.encode_text(texts)).mean(0)", "self.network.encode_text(texts))[0]",
         "test_names_are_told_apart_by_the_mean_of_their_templates"),
        ("an index forgets what it knew", "if digest not in known}", "}", "test_a_folder_is_indexed_once_by_content"),
        ("all pictures are looked among at once", "GROUP = 100", "GROUP = 1000",
         "test_recall_is_among_groups_of_a_hundred_and_probes_learn_from_one_half")),
    *of("nets/clip.py", "nets/test_clip.py",
        ("texts are read at their padding", "jnp.argmax(tokens, -1)", "jnp.argmin(tokens, -1)",
         "test_texts_are_read_at_their_first_end_whatever_follows"),
        ("the scale cannot come back", "& (dy < 0)", "& (dy != 0)", "test_the_scale_is_bounded_and_comes_back")),
    *of("ops/losses.py", "engine/test_parallel.py",
        ("a picture's text is the next one", "own[:, None], 1)[:, 0]", "own[:, None] - 1, 1)[:, 0]",
         "test_a_contrastive_loss_is_that_of_the_global_batch")),
    *of("data/captioned.py", "data/test_captions.py",
        ("every epoch has the same captions", "first + epoch % (last - first)", "first",
         "test_examples_have_their_captions_as_tokens_one_an_epoch")),
    # What trains each system.
    *of("systems/pix2pix.py", "systems/test_pix2pix.py",
        ("pix2pix: the discriminator takes real for fake and fake for real",
         'losses.gan(fake, False, kind),\n            "real": 0.5 * losses.gan(real, True, kind)',
         'losses.gan(fake, True, kind),\n            "real": 0.5 * losses.gan(real, False, kind)', PIX2PIX),
        ("pix2pix: half of the discriminator's loss is whole", "0.5 * losses.gan(fake", "losses.gan(fake", PIX2PIX),
        ("pix2pix: the discriminator is conditioned on the target",
         'fake = self.discriminator(out["source"]', 'fake = self.discriminator(out["target"]', PIX2PIX),
        ("pix2pix: the adversarial gradient is detached",
         'logits = self.discriminator(out["source"], out["fake"]',
         'logits = self.discriminator(out["source"], jax.lax.stop_gradient(out["fake"])', PIX2PIX),
        ("pix2pix: the generator wants to be found out", "gan(logits, True", "gan(logits, False", PIX2PIX),
        ("pix2pix: L1 weighs 1 instead of 100", "self.model.l1_weight * losses", "losses", PIX2PIX),
        ("pix2pix: L1 to the source", 'l1(out["fake"], out["target"])', 'l1(out["fake"], out["source"])', PIX2PIX),
        ("pix2pix: no adversarial term",
         '"gan": losses.gan(logits, True, self.model.gan_loss),',
         '"gan": 0 * losses.gan(logits, True, self.model.gan_loss),', PIX2PIX),
        ("pix2pix: only the target is mirrored",
         "source, target = augment.flip(key(2), source, target)", "(target,) = augment.flip(key(2), target)",
         "test_source_and_target_are_cut_and_turned_alike"),
        ("pix2pix: only the target is cut",
         "source, target = augment.crop(key(1), source, target, scale=model.jitter)",
         "(target,) = augment.crop(key(1), target, scale=model.jitter)",
         "test_source_and_target_are_cut_and_turned_alike"),
    ),
    *of("systems/edges.py", "systems/test_edges.py",
        ("edges: features are regularised inside scribbles", '* (1 - out["share"])', '* out["share"]', EDGES),
        ("edges: colours count outside scribbles", "mean(jnp.abs(far), inside)", "mean(jnp.abs(far), 1 - inside)", EDGES),
        ("edges: of a coloured picture all changes", "jnp.where(grey, 1.0, inside)", "jnp.ones_like(inside)",
         "test_a_grey_picture_is_coloured_and_a_coloured_one_changes_where_it_is_scribbled_on"),
        ("edges: the mask of hints is not centred as the colorizer's", 'getattr(settings, "mask_centre", 0.0)', "0.0",
         "test_the_colorizer_is_used_as_its_run_uses_it"),
    ),
    *of("metrics/bleeding.py", "metrics/test_bleeding.py",
        ("CDR: windows lie a pixel off", "np.pad(numbers, REACH)", "np.pad(numbers, REACH - 1)[1:, 1:]",
         "test_the_ratio_is_that_of_the_released_script"),
        ("CDR: a region is not looked at", "where & region", "where", "test_of_a_region_the_edges_inside_count"),
    ),
    *of("ops/users.py", "ops/test_users.py",
        ("scribbles: they begin at edges that are there", "lacking > MISSED", "lacking > -1.0",
         "test_scribbles_follow_the_edges_that_a_result_bleeds_over"),
        ("scribbles: a second lies on the first", "left = bleeds * (1 - found)", "left = bleeds",
         "test_scribbles_follow_the_edges_that_a_result_bleeds_over"),
    ),
    *of("systems/scft.py", "systems/test_scft.py",
        ("SCFT: the discriminator takes real for fake and fake for real",
         '"fake": losses.gan(fake, False, kind), "real": losses.gan(real, True, kind)',
         '"fake": losses.gan(fake, True, kind), "real": losses.gan(real, False, kind)', SCFT),
        ("SCFT: the discriminator sees the reference for the sketch",
         'real = self.discriminator(out["sketch"]', 'real = self.discriminator(out["reference"][..., :1]', SCFT),
        ("SCFT: the adversarial gradient is detached",
         'logits = self.discriminator(out["sketch"], out["fake"]',
         'logits = self.discriminator(out["sketch"], lax.stop_gradient(out["fake"])', SCFT),
        ("SCFT: reconstruction weighs 1 instead of 30", "model.reconstruction_weight * losses", "losses", SCFT),
        ("SCFT: reconstruction of the reference",
         'losses.l1(out["fake"], out["target"])', 'losses.l1(out["fake"], out["reference"])', SCFT),
        ("SCFT: the triplet is left out", "if model.triplet_weight:", "if False:", SCFT),
        ("SCFT: negatives and positives of the triplet are exchanged",
         "(negative - positive)", "(positive - negative)",
         "test_triplet_is_zero_for_the_true_correspondence_and_the_margin_for_none"),
        ("SCFT: similarities of the triplet are not scaled",
         "(negative - positive), -1) / depth**0.5", "(negative - positive), -1)",
         "test_triplet_is_that_of_its_equation"),
        ("SCFT: the style term weighs as the perceptual one",
         'terms["style"] = model.style_weight', 'terms["style"] = model.perceptual_weight',
         "test_perceptual_and_style_terms_are_of_the_published_network"),
        ("SCFT: the published perceptual network is not asked for",
         'return {"perceptual": settings.perceptual} if settings.is_perceptual else {}', "return {}",
         "test_perceptual_and_style_terms_are_of_the_published_network"),
        ("SCFT: only the image is mirrored",
         "sketch, image = augment.flip(key(1), sketch, image)", "(image,) = augment.flip(key(1), image)",
         "test_a_sketch_is_turned_with_its_image"),
    ),
    *of("systems/cyclegan.py", "systems/test_cyclegan.py",
        ("CycleGAN: images of the domain already weigh as much as cycles", "weight * self.model.identity_weight * ",
         "weight * ", CYCLEGAN),
        ("CycleGAN: the discriminators' losses are whole", '0.5 * losses.gan(judged(fake)', "losses.gan(judged(fake)",
         CYCLEGAN),
        ("CycleGAN: generators see through the discriminators' losses",
         'lax.stop_gradient(out[f"fake_{side}"])', 'out[f"fake_{side}"]', CYCLEGAN),
        ("CycleGAN: a pool shows the last image alone", "jnp.where(full & swap, kept[place], image)", "image",
         "test_a_pool_shows_what_was_painted_before"),
        ("CycleGAN: a pool keeps every image", "full & ~swap, kept", "False, kept",
         "test_a_pool_shows_what_was_painted_before")),
    *of("systems/stargan_v2.py", "systems/test_stargan_v2.py",
        ("StarGAN v2: fakes are judged by the head of the source's domain",
         'verdict = self.discriminator(fake, batch["reference_label"])', 'verdict = self.discriminator(fake, batch["label"])',
         STARGAN2),
        ("StarGAN v2: both images learn to differ", "lax.stop_gradient(self._painter(real)(other))",
         "self._painter(real)(other)", STARGAN2),
        ("StarGAN v2: the diversity's weight stays", "* (1 - now.progress) * apart", "* apart", STARGAN2),
        ("StarGAN v2: styles are to be alike", '"diversity": -model', '"diversity": model', STARGAN2),
        ("StarGAN v2: the way back in the style of the target",
         '(fake, target), (real, batch["label"])', '(fake, target), (real, target)', STARGAN2),
        ("StarGAN v2: a film ends where it begins", "(1 - share) * first + share * second", "(1 - share) * first + share * first",
         "test_tools_paint_in_styles_of_latents_and_of_references")),
    *of("systems/domain_pairs.py", "systems/test_stargan_v2.py",
        ("translations are compared with real images of the source's domain", "truths[pair[1]]", "truths[pair[0]]",
         "test_pairs_of_domains_are_compared_each_with_its_own_real_images")),
    *of("nets/stargan_v2.py", "systems/test_stargan_v2.py",
        ("StarGAN v2: gamma without its 1", "(1 + gamma) * self.norm(x)", "gamma * self.norm(x)",
         "test_files_give_torchs_outputs_and_gradients_and_are_written_back"),
        ("StarGAN v2: large maps have the mask of the small ones", "masks[..., :1] if side == 32 else masks[..., 1:]",
         "masks[..., 1:]", "test_high_pass_skips_are_torchs_and_their_file_is_written_back")),
    *of("systems/munit.py", "systems/test_munit.py",
        ("MUNIT: drawn styles are those of the images",
         "wanted = style if whitens else self._drawn(random.fold(keys, 1))", "wanted = style", MUNIT),
        ("MUNIT: contents of the other domain are to be found again",
         'losses.l1(out[f"content_fake_{other}"]', 'losses.l1(out[f"content_fake_{side}"]', MUNIT),
        ("MUNIT: generators see through the discriminators' losses",
         'lax.stop_gradient(out[f"fake_{side}"])', 'out[f"fake_{side}"]', MUNIT),
        ("GDWCT: the way back has the image's own style",
         'f"style_fake_{side}" if whitens else', 'f"style_{side}" if whitens else', WHITENING),
        ("MUNIT: an exemplar's style is taken of the wrong domain",
         'self._encode("a", exemplar)', 'self._encode("b", exemplar)', "test_a_sheet_has_every_image_in_every_style"),
    ),
    *of("nets/munit.py", "systems/test_munit.py",
        ("MUNIT: AdaIN's scale comes first", "bias, scale = moments", "scale, bias = moments",
         "test_files_give_torchs_outputs_and_gradients_and_are_written_back"),
        ("GDWCT: contents lose the mean of the batch, not their own",
         "        if train:\n            mean", "        if True:\n            mean", "test_translations_of_an_example_do_not_hang_on_others"),
    ),
    *of("systems/cocosnet.py", "systems/test_cocosnet.py",
        ("CoCosNet: exemplars are always the image itself", "[0], others)", "[0], image)", COCOSNET),
        ("CoCosNet: features are compared of all exemplars", ' * out["own"]', "", COCOSNET),
        ("CoCosNet: contexts are taken of the truth", 'for x in (fake, style)', "for x in (fake, real)", COCOSNET),
    ),
    *of("nets/cocosnet.py", "systems/test_cocosnet.py",
        ("CoCosNet: what is compared is not centred", "unit(x - x.mean(-1, keepdims=True))", "unit(x)",
         "test_places_take_what_is_like_them_as_in_torch"),
        ("CoCosNet: positional norm by the biased deviation", "/ (x.shape[-1] - 1)", "/ x.shape[-1]",
         "test_modulation_is_that_of_torch_with_positional_norm"),
    ),
    *of("systems/two_domains.py", "systems/test_two_domains.py",
        ("two domains: the baseline is of the translation", "far(f\"seen {other}\")", "far(made)", "test_figures_compare_translations_untranslated_images_and_shuffled_truths"),
    ),
    *of("systems/stargan.py", "systems/test_stargan.py",
        ("StarGAN: real images are to be found bad", '"real": -jnp.mean(real', '"real": jnp.mean(real', STARGAN),
        ("StarGAN: the penalty is of the generated images alone",
         'share * out["real"] + (1 - share) * out["fake"]', 'out["fake"]', STARGAN),
        ("StarGAN: targets are the images' own labels",
         "layers.all_devices(origin)[order]", "layers.all_devices(origin)", STARGAN),
        ("StarGAN: the way back ends in the target domain",
         'self.generator(out["fake"], out["origin"]', 'self.generator(out["fake"], out["target"]', STARGAN),
        ("StarGAN: attributes are averaged, not summed", "terms.sum(-1).mean()", "terms.mean()", STARGAN),
        ("StarGAN: a colour of hair leaves the other", "jnp.where(self._together, 0, label[:, None])", "label[:, None]",
         "test_labels_ask_for_each_domain_as_the_released_code_does"),
        ("StarGAN: what is not named is taken away", "jnp.where(attributes == 0, found, (1 + attributes) / 2)",
         "(1 + attributes) / 2", "test_tools_ask_for_what_is_named_and_leave_the_rest_as_the_discriminator_finds_it"),
        ("StarGAN: what is no change counts", "jnp.where(changes, right[:, domain, domain], jnp.nan)",
         "right[:, domain, domain]", "test_figures_tell_what_changed_and_what_stayed")),
    *of("systems/classifier.py", CLASSES,
        ("classifier: the loss rewards what is wrong", "return -(targets *", "return (targets *", CLASSIFIER),
        ("classifier: labels are not smoothed", "targets += model.label_smoothing *", "targets += 0 *", CLASSIFIER),
        ("classifier: top 5 is top 1",
         'accuracy.top_k(traits["label"], batch["label"], 5)', 'accuracy.top_k(traits["label"], batch["label"], 1)',
         "test_figures_of_logits_are_sklearns"),
        ("classifier: probabilities are logits",
         "return jnp.concatenate([jax.nn.softmax(own) for own in", "return jnp.concatenate([own for own in", "test_figures_of_logits_are_sklearns"),
    ),
    *of("systems/nerf.py", "systems/test_nerf.py",
        ("NeRF: no loss of the coarse network",
         'terms["coarse"] = error(out["coarse"])', 'terms["coarse"] = 0 * error(out["coarse"])', NERF),
        ("NeRF: the fine loss is of the coarse colours", 'error(out["colour"])', 'error(out["coarse"])', NERF),
        ("NeRF: transparent views lie over black",
         "(1 - opacity) * float(self.model.white_background)", "(1 - opacity) * 0.0", NERF),
        ("NeRF: directions of rays are not of length 1",
         "view = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)", "view = direction",
         "test_fields_see_points_of_rays_and_unit_directions"),
        ("NeRF: the fine network misses the coarse samples",
         "jnp.sort(jnp.concatenate([t, more], -1), -1)", "more", "test_fields_see_points_of_rays_and_unit_directions"),
        ("NeRF: masked pixels count", "if mask is not None:", "if False:", "test_masked_pixels_of_a_view_do_not_count"),
    ),
    # Operations.
    *of("ops/augment.py", "ops/test_images.py",
        ("one of a pair is mirrored",
         "for x in batches)\n\n\ndef crop", "for x in batches[:1]) + batches[1:]\n\n\ndef crop",
         "test_crop_and_flip_keep_pictures_together"),
        ("pictures are turned upside down", "x[:, :, ::-1]", "x[:, ::-1]", "test_crop_and_flip_keep_pictures_together"),
        ("windows lean out of the picture",
         "* sides + place * (1 - sides)", "* sides + place", f"{CLASSES}::test_a_window_lies_inside_its_image"),
        ("the artist's lines and made ones are exchanged",
         "jnp.where(choose, drawn, made)", "jnp.where(choose, made, drawn)",
         "test_sketches_are_drawn_by_their_shares"),
    ),
    *of("systems/gatys.py", "systems/test_gatys.py",
        ("Gatys: the weights of style and content are exchanged",
         '["content_weight"] * content + weights["style_weight"] * style',
         '["content_weight"] * style + weights["style_weight"] * content',
         "test_losses_and_their_gradient_are_torchs"),
        ("Gatys: the style is the content's", "self._grams(self._maps(style)),\n            \"content\"",
         "self._grams(self._maps(content)),\n            \"content\"", "test_losses_and_their_gradient_are_torchs"),
        ("Gatys: rows alone are smooth", "jnp.mean(down**2, (1, 2, 3)) + ", "",
         "test_losses_and_their_gradient_are_torchs")),
    *of("systems/adain.py", "systems/test_adain.py",
        ("AdaIN: a tile is normalised by itself", "maps if overview is None else self._content(whole)", "maps",
         "test_tiles_share_the_statistics_of_the_whole_picture"),
        ("AdaIN: outside of the mask is restyled too", "jnp.where(mask > 0.5, self.decoder(inside), content)",
         "self.decoder(inside)", "test_a_mask_says_where"),
        ("AdaIN: the map that is painted is compared with the content's",
         'square(maps[self.looks.content], out["target"])', 'square(maps[self.looks.content], out["target"] * 0)',
         "test_networks_losses_and_gradients_are_the_references")),
    *of("nets/adain.py", "systems/test_adain.py",
        ("deviations of the biased variance", " * (count / max(count - 1, 1))", "",
         "test_networks_losses_and_gradients_are_the_references"),
        ("mean and deviation of a style are exchanged",
         "own[1] * wanted[1] + wanted[0]", "own[1] * wanted[0] + wanted[1]",
         "test_networks_losses_and_gradients_are_the_references")),
    *of("ops/colour.py", "ops/test_images.py",
        ("luma of other weights", "[0.299, 0.587, 0.114]", "[0.299, 0.114, 0.587]", "test_luma_is_pils"),
        ("Lab without its offset", "116 * y - 16", "116 * y", "test_lab_equals_scikit_image_and_inverts"),
        ("sRGB without its gamma", "** (1 / 2.4)", "** (1 / 2.2)", "test_lab_equals_scikit_image_and_inverts"),
        ("8 bits are cut, not rounded",
         "jnp.clip(jnp.round((image.astype(jnp.float32) + 1) * 127.5), 0, 255)",
         "jnp.clip((image.astype(jnp.float32) + 1) * 127.5, 0, 255)", "test_uint8_round_trip_is_exact"),
        ("turning hues changes greys", "return along * grey +", "return 0.9 * along * grey +", "test_jitter_by_hue_keeps_greys_and_changes_colours"),
        ("far is yellow, near violet",
         "place = jnp.clip((values - near)", "place = 255 - jnp.clip((values - near)",
         "test_depths_are_coloured_over_their_own_range"),
    ),
    *of("ops/tps.py", "ops/test_images.py",
        ("another kernel of the spline",
         "return square * jnp.log", "return square**0.5 * jnp.log", "test_spline_is_scipys"),
        ("the spline is affine",
         "basis = jnp.concatenate([_kernel(points, control)", "basis = jnp.concatenate([0 * _kernel(points, control)",
         "test_spline_takes_controls_to_targets_and_reproduces_affine_maps"),
        ("warps move to one side only",
         "control.shape[1:], -scale, scale)", "control.shape[1:], 0.0, scale)",
         "test_a_drawn_warp_moves_its_controls_by_no_more_than_its_scale"),
    ),
    *of("ops/resample.py", "ops/test_images.py",
        ("positions are half a pixel off",
         "x = (jnp.arange(width, dtype=jnp.float32) + 0.5)", "x = jnp.arange(width, dtype=jnp.float32)",
         "test_grid_sample_at_the_identity_returns_the_image"),
        ("bicubic of another a", "out, a=-0.75)", "out, a=-0.5)", "test_cubic_weights_are_keys"),
        ("what lies outside is repeated",
         "tap * (wx * wy * inside)", "tap * (wx * wy)", "ops/test_gradients.py::test_grid_sample"),
    ),
    *of("ops/sketch.py", "ops/test_images.py",
        ("XDoG of one width", "sigma * k)", "sigma)", "test_sketches_are_those_of_their_equations"),
        ("XDoG without its weight",
         "- gamma * gaussian_blur", "- gaussian_blur", "test_sketches_are_those_of_their_equations"),
        ("Sobel by one direction",
         "jnp.sqrt(dx**2 + dy**2", "jnp.sqrt(dx**2", "test_sketches_are_those_of_their_equations"),
    ),
    *of("ops/rays.py", "ops/test_rays_and_volume.py",
        ("pictures of a scene hang upside down",
         "jnp.stack([x, -y,", "jnp.stack([x, y,", "test_rays_go_through_the_points_that_a_distorting_camera_projects"),
        ("tangential distortion along the other axis",
         "2 * p1 * x * y + p2 * (r2 + 2 * x * x)", "2 * p2 * x * y + p1 * (r2 + 2 * x * x)",
         "test_rays_go_through_the_points_that_a_distorting_camera_projects"),
        ("NDC with the near plane twice as far",
         "origin - ((near + origin", "origin - ((2 * near + origin",
         "test_ndc_puts_the_near_plane_at_zero_and_keeps_points_on_their_rays"),
        ("rays leave the box where they enter",
         "jnp.maximum(a, b).min(-1", "jnp.minimum(a, b).min(-1", "test_rays_meet_the_box_where_its_planes_are"),
    ),
    *of("ops/volume.py", "ops/test_rays_and_volume.py",
        ("a sample hides itself",
         "jnp.cumsum(optical, -1) - optical", "jnp.cumsum(optical, -1)", "test_compositing_is_the_reference_product"),
        ("no background", "if background is not None:", "if False:", "test_compositing_is_the_reference_product"),
        ("importance samples at the edges of their bins",
         "take(edges[..., :-1]) + share * width", "take(edges[..., :-1])",
         "test_importance_samples_follow_the_weights_and_stand_for_the_length_they_cover"),
        ("importance sampling lets gradients through",
         "return lax.stop_gradient((t, width * jnp.minimum(1.0, 1 / (samples * take(mass)))))",
         "return t, width * jnp.minimum(1.0, 1 / (samples * take(mass)))",
         "ops/test_gradients.py::test_draws_of_depths_let_no_gradient_through"),
        ("strata beyond the far plane",
         "(jnp.arange(samples) + place) / samples\n\n\ndef importance",
         "(jnp.arange(samples) + place) / (samples - 1)\n\n\ndef importance",
         "test_stratified_samples_are_one_to_a_part"),
    ),
    *of("ops/encoding.py", "ops/test_rays_and_volume.py",
        ("another hash",
         "(1, 2654435761, 805459861)", "(1, 2654435761, 805459869)",
         "test_hash_lookup_has_the_gradients_of_its_definition"),
        ("cosines before sines",
         "jnp.stack([jnp.sin(scaled), jnp.cos(scaled)], -2)", "jnp.stack([jnp.cos(scaled), jnp.sin(scaled)], -2)",
         "test_positional_encoding_has_the_reference_order"),
    ),
    *of("ops/attention.py", "ops/test_gradients.py",
        ("padded keys in 16 bits are attended to",
         "if keys < key.shape[1]:", "if False:", "test_attention_in_sixteen_bits_whose_queries_and_keys_are_padded"),
        ("attention without its scale",
         "query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)",
         "query = query * jnp.asarray(1.0, query.dtype)",
         "ops/test_attention.py::test_chunks_change_nothing_in_values_or_gradients"),
    ),
    *of("ops/guided.py", "ops/test_guided.py",
        ("colours run over lines",
         "BARRIER = 20.0", "BARRIER = 1.0", "test_flat_regions_keep_their_colours_up_to_the_lines"),
        ("colours spread to one side only",
         "running(False) + running(True) - x", "running(False)",
         "test_turned_and_mirrored_drawings_come_out_turned_and_mirrored"),
        ("lines are black whatever they were", "+ ink * line", "- ink", "test_lines_have_their_own_colours"),
    ),
    *of("ops/normalise.py", "ops/test_normalise.py",
        ("layer norm's gradient without the mean",
         "off_centre = 0 if centred else _mean(scaled)", "off_centre = 0", "test_values_and_gradients_equal_flax"),
    ),
    *of("ops/rand_augment.py", CLASSES,
        ("autocontrast to half",
         "(unit - low) / jnp.maximum(high - low", "(unit - low) / jnp.maximum(2 * (high - low)", COLOURS),
        ("equalize by the highest level's share", "channel.size - highest", "channel.size", COLOURS),
        ("solarize below the threshold", "unit >= 1 - strength", "unit < 1 - strength", COLOURS),
        ("posterize to a bit less", "jnp.round(8 - 4 * strength)", "jnp.round(7 - 4 * strength)", COLOURS),
        ("saturation about white", "blend(grey[..., None])", "blend(1.0)", COLOURS),
        ("contrast about grey", "blend(grey.mean())", "blend(0.5)", COLOURS),
        ("brightness about the mean", "blend(0.0)", "blend(unit.mean())", COLOURS),
        ("sharpness of another filter", "total = 4.0 * unit", "total = 0.0 * unit", COLOURS),
        ("rotation by twice the angle", "* jnp.pi / 6", "* jnp.pi / 3", "test_geometry_is_pils"),
        ("shear of the other axis", '0.3 * pick("shear_y")', '0.3 * pick("shear_x")', "test_geometry_is_pils"),
        ("translation the other way", "offset = 0.9 *", "offset = -0.9 *", "test_geometry_is_pils"),
        ("targets are mixed by other shares than images",
         "images, targets * share + swap(targets) * (1 - share)",
         "images, targets * (1 - share) + swap(targets) * share",
         "test_mixup_and_cutmix_mix_neighbours_by_the_share_in_the_targets"),
    ),
    *of("ops/random.py", "ops/test_random.py",
        ("16 bits draw the other outcome",
         "[:number] < threshold)", "[:number] >= threshold)",
         "test_sixteen_bits_hold_their_probability_and_the_examples_their_keys"),
    ),
    # Networks.
    *of("nets/layers.py", "nets/test_layers.py",
        ("batch norm's momentum", "*, momentum=0.1", "*, momentum=0.01",
         "test_batch_norms_running_statistics_are_torchs"),
        ("batch norm's running variance over n",
         "(self.var, unbiased,", "(self.var, var,", "test_batch_norms_running_statistics_are_torchs"),
        ("batch norm of each device's part",
         "mean = across_devices(y.mean(axes))", "mean = y.mean(axes)",
         "test_batch_norm_is_of_the_batches_of_all_devices"),
        ("instance norm's running variance over n", "* (pixels / max(pixels - 1, 1)), self", ", self",
         "systems/test_stargan.py::test_files_give_torchs_outputs_statistics_and_gradients_and_are_written_back"),
        ("dropout without its scale", "x * (1 / (1 - rate))", "x", "test_dropout_keeps_the_mean"),
        ("dropout drops what it should keep",
         "random.bernoulli16(keys, 1 - rate", "random.bernoulli16(keys, rate", "test_dropout_keeps_the_mean"),
    ),
    *of("nets/unet.py", "nets/test_unet.py",
        ("dropout in one stage of three",
         "range(stages - 3, stages)", "range(stages - 1, stages)",
         "test_training_drops_half_in_the_three_innermost_stages_on_the_way_up"),
    ),
    *of("nets/vit.py", "nets/test_vit.py",
        ("stochastic depth without its scale",
         "x / (1 - drop_path).astype(x.dtype)", "x", "test_a_branch_that_stochastic_depth_keeps_is_scaled"),
        ("rollout in the other order",
         "(a @ total, None)", "(total @ a, None)", "test_rollout_is_the_product_of_layers_with_their_residuals"),
        ("rollout without residuals",
         "attention.mean(2) + jnp.eye(attention.shape[-1])", "attention.mean(2)",
         "test_rollout_is_the_product_of_layers_with_their_residuals"),
        ("fixed positions of another temperature", "10_000.0", "1_000.0", "test_fixed_positions_are_big_visions"),
        ("rates of stochastic depth are all that of the last block",
         "drop_path * index / max(depth - 1, 1)", "drop_path + 0.0 * index",
         "test_rates_of_stochastic_depth_grow_to_that_of_the_last_block"),
    ),
    *of("nets/nerf.py", "systems/test_nerf.py",
        ("the position enters again a layer later",
         "SKIP_AFTER = 4", "SKIP_AFTER = 5", "test_jaxnerf_weights_compute_what_jaxnerf_computes"),
        ("the occupancy grid forgets nothing",
         ".multiply(self.decay)", ".multiply(1.0)", "test_the_occupancy_grid_forgets_what_is_gone"),
    ),
    *of("nets/scft.py", "nets/test_scft.py",
        ("stop-gradient attention is scaled",
         "return x * x.shape[-1] ** 0.5, y", "return x, y", "test_stop_gradient_attention_is_the_released_code"),
        ("stop-gradient attention carries pixels evenly",
         "self._attend(*lax.stop_gradient((query, key)), *moved)",
         "attention.attend_evenly(places(query), places(key), places(*moved)).reshape(*query.shape[:3], -1)",
         "test_carried_pixels_stay_colours_under_stop_gradient_attention"),
        ("ties weigh less, the more there are",
         "query * (more / depth) ** 0.5", "query", "test_several_references_are_all_attended_to"),
    ),
    *of("nets/scft.py", "systems/test_scft.py",
        ("a region belongs to the cell beside",
         "seen = sampling.reshape", "seen = cell + sampling.reshape",
         "test_without_a_warp_the_positives_are_the_diagonal"),
    ),
    *of("nets/features.py", "nets/test_features.py",
        ("images are normalised by other means",
         "2 * 0.485 - 1", "2 * 0.456 - 1", "test_every_activation_is_the_references[alexnet]"),
    ),
    # Metrics.
    *of("metrics/image.py", "metrics/test_metrics.py",
        ("PSNR of the mean absolute error",
         "(_unit(image) - _unit(truth)) ** 2", "abs(_unit(image) - _unit(truth))",
         "test_psnr_is_that_of_its_definition"),
        ("PSNR of images in [-1, 1]", ", -1, 1) + 1) / 2", ", -1, 1) + 1)", "test_psnr_is_that_of_its_definition"),
        ("SSIM of another window",
         "sigma=1.5", "sigma=1.2", "test_ssim_is_scikit_images"),
        ("what images were extended by counts",
         "if size is None:\n        return", "if True:\n        return",
         "test_what_images_were_extended_by_does_not_count"),
    ),
    *of("metrics/distribution.py", "metrics/test_metrics.py",
        ("precision and recall are exchanged where they are computed",
         "precision=_covered(real, generated, neighbours, rows),\n        recall=_covered(generated, real,",
         "precision=_covered(generated, real, neighbours, rows),\n        recall=_covered(real, generated,",
         "test_precision_is_of_the_generated_and_recall_of_the_real"),
        ("a covariance over n",
         "self._scatter / (self.count - 1)", "self._scatter / self.count",
         "test_moments_of_parts_are_those_of_the_whole"),
        ("Frechet distance without the means",
         "total = difference @ difference + ", "total = ", "test_frechet_distance_is_pytorch_fids"),
        ("KID is biased",
         "(k.sum() - np.trace(k)) / (m * (m - 1))", "k.mean()", "test_kid_and_precision_recall_are_torch_fidelitys"),
        ("the Inception Score of one part",
         "* self.splits // self._images", "* 1 // self._images",
         "test_inception_score_is_torch_fidelitys_in_one_pass"),
        ("a reservoir of what came first",
         "if place < self._size:", "if False:", "test_a_reservoir_is_a_uniform_sample"),
    ),
    *of("metrics/extract.py", "metrics/test_metrics.py",
        ("precision and recall are exchanged where they are asked for",
         "precision_recall(reference.sample, generated.sample)",
         "precision_recall(generated.sample, reference.sample)",
         "test_precision_is_of_the_generated_and_recall_of_the_real"),
        ("a cache without fingerprint",
         '"images": fingerprint, "kept"', '"images": "", "kept"',
         "engine/test_comparison.py::test_statistics_are_used_again_only_for_the_same_images"),
    ),
    *of("metrics/masked.py", "metrics/test_metrics.py",
        ("masked SSIM of windows as wide as ever",
         "share = _blurred(mask.astype(jnp.float32))", "share = _blurred(1.0 + 0 * mask)",
         "test_masked_pixels_do_not_count"),
    ),
    *of("metrics/accuracy.py", "metrics/test_metrics.py",
        ("equal logits count as found", "(logits >= mine)", "(logits > mine)", "test_points_and_classes"),
        ("key points within a fifth", "alpha=0.1", "alpha=0.2", "test_points_and_classes"),
    ),
    *of("metrics/retrieval.py", "metrics/test_retrieval.py",
        ("equals count as found",
         "above = (similarity > best)", "above = 0 * (similarity > best)", "test_recall_is_sklearns_top_k_accuracy"),
    ),
    *of("metrics/segmentation.py", "metrics/test_segmentation.py",
        ("pixels that are void count",
         "((found | truth) & counts)", "(found | truth)", "test_it_is_sklearns_jaccard_score"),
    ),
    *of("metrics/perceptual.py", "metrics/test_metrics.py",
        ("path lengths over the step",
         "synthesise(at(t + epsilon))) / epsilon**2", "synthesise(at(t + epsilon))) / epsilon",
         "test_path_length_is_the_distance_over_the_step"),
    ),
    *of("metrics/resizing.py", "metrics/test_metrics.py",
        ("PIL's bicubic without antialiasing",
         "width = max(scale, 1.0)", "width = 1.0", "test_resizing_is_the_references"),
    ),
    # Data.
    *of("data/images.py", "data/test_images.py",
        ("crops are squashed",
         "ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS)",
         "Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)",
         "test_the_middle_is_cut_in_the_shape_that_is_asked_for"),
        ("16 bits are cut to their lower half",
         "(grey / 257).round()", "grey", "test_exif_orientation_alpha_grey_and_16_bit"),
        ("transparency lies over black",
         "(255, 255, 255, 255)", "(0, 0, 0, 255)", "test_exif_orientation_alpha_grey_and_16_bit"),
        ("files for metrics are turned",
         '"RGB")), upright=False)', '"RGB")))', "test_metrics_and_posed_views_have_pixels_as_they_are_stored"),
        ("two folders of the same names have one fingerprint",
         "digest.update(hashlib.sha256(path.read_bytes()).digest())", "digest.update(path.name.encode())",
         "engine/test_comparison.py::test_statistics_are_used_again_only_for_the_same_images"),
    ),
    *of("data/source.py", "data/test_source.py",
        ("every epoch has one order",
         "shuffle(len(self), seed, epoch)", "shuffle(len(self), seed)",
         "test_an_epoch_is_one_shuffle_and_the_next_another"),
        ("the fingerprint is of the names of arrays alone",
         ".encode() + value.tobytes())", ".encode())", "test_the_fingerprint_tells_sources_apart"),
    ),
    *of("data/pipeline.py", "data/test_pipeline.py",
        ("a run that goes on begins at the first example",
         "first = seen + number", "first = number", "test_batches_repeat_by_seed_resume_and_divide_over_processes"),
        ("every process reads the whole batch",
         "range(first + process, first + batch_size, processes)", "range(first, first + batch_size, processes)",
         "test_batches_repeat_by_seed_resume_and_divide_over_processes"),
        ("evaluation leaves the last batch out",
         "for start in range(0, count, batch_size):", "for start in range(0, count - batch_size, batch_size):",
         "test_evaluation_sees_each_example_once"),
    ),
    *of("data/digits.py", "data/test_source.py",
        ("digits: held-out scans are trained on",
         "order[bounds[which] : bounds[which + 1]]", "order[: bounds[which + 1]]",
         "test_digits_are_split_without_overlap_and_named"),
    ),
    *of("data/image_folder.py", "data/test_image_folder.py",
        ("folders: held-out files are trained on",
         'found["train"] = set(names).difference(*found.values())', 'found["train"] = set(names)',
         "test_splits_are_disjoint_and_whole_and_of_any_shape"),
    ),
    *of("data/pairs.py", "data/test_pairs.py",
        ("pairs: validation is all of train",
         "return {name: paths for name, paths in pairs.items() if name in chosen}", "return pairs",
         "test_without_a_third_split_validation_is_a_part_of_train"),
        ("pairs: A is always the source",
         'if self._settings.direction == "AtoB"', "if True", "test_every_layout_gives_the_same_pairs"),
    ),
    *of("data/openpose.py", "data/test_openpose.py",
        ("limbs have the colour of their first joint", "thick), COLOURS[other])", "thick), COLOURS[one])",
         "test_limbs_are_ellipses_in_the_colour_of_their_second_joint"),
        ("points that are not sure are drawn", "SURE = 0.05", "SURE = 0.0",
         "test_limbs_are_ellipses_in_the_colour_of_their_second_joint")),
    *of("data/tryon_folder.py", "data/test_tryon_folder.py",
        ("dark parts of a mask are garment", "np.where(mask > 127, 255, 0)", "np.where(mask > 127, 0, 255)",
         "test_both_layouts_are_read"),
        ("points stay in the file's pixels", "[width / wide, height / tall, 1]", "[1, 1, 1]",
         "test_both_layouts_are_read"),
        ("people of val are trained on", 'image_folder.divide(pairs, ["val"], str(path))[split]', "set(pairs)",
         "test_some_of_train_are_held_out"),
        ("a mask of another size is taken", 'of = "cloth" if', 'of = name if',
         "test_what_is_wrong_with_a_person_is_named_or_they_are_left_out")),
    *of("data/mannequin_pictures.py", "data/test_mannequin_pictures.py",
        ("the torso's panel is turned around", "np.arcsin(inside) / np.float32(wrap)",
         "-np.arcsin(inside) / np.float32(wrap)", "test_the_worn_panel_is_the_flat_one_moved_smoothly")),
    *of("data/mannequins.py", "data/test_mannequins.py",
        ("unpaired people come with their own garment", '"cloth": other["cloth"], ', "",
         "test_unpaired_people_come_with_the_garment_of_another_and_the_truth")),
    *of("data/glyphs.py", "data/test_emoji.py",
        ("emoji: variants of a drawing in two splits",
         "hashlib.sha256(base_glyph(codepoints).encode())", "hashlib.sha256(codepoints.encode())",
         "test_no_base_glyph_is_in_two_splits"),
    ),
    *of("data/tfds.py", "data/test_tfds.py",
        ("TFDS: validation is a part of the training examples",
         '"val": "train[95%:]", "test": held_out[0]}', '"val": "train[:5%]", "test": held_out[0]}',
         "test_splits_are_disjoint_whatever_a_set_has"),
        ("TFDS: what is tested on is trained on where there is one split",
         '"val": "train[85%:90%]"', '"val": "train[80%:90%]"', "test_splits_are_disjoint_whatever_a_set_has"),
    ),
    *of("data/scene.py", "data/test_scene.py",
        ("scenes: held-out views are trained on",
         'if (i in held) != (split == "train")]', 'if i in held or split == "train"]',
         "test_transforms_holds_every_eighth_out_and_fits_cameras_into_the_unit_cube"),
    ),
    *of("data/llff.py", "data/test_scene.py",
        ("LLFF: axes are taken for ours",
         "np.stack([matrix[:, :, 1], -matrix[:, :, 0],", "np.stack([matrix[:, :, 0], matrix[:, :, 1],",
         "test_llff_axes_focal_length_and_recentring"),
    ),
    *of("data/cameras.py", "data/test_scene.py",
        ("an angle is taken for half of it",
         "0.5 * side / np.tan(0.5 * number(", "0.5 * side / np.tan(number(",
         "test_nerf_synthetic_is_read_as_it_was_written"),
    ),
    *of("data/balanced.py", "data/test_combinations.py",
        ("classes come as often as they are",
         "for value in np.unique(values)]", "for value in np.unique(values)[:1]]",
         "test_balanced_classes_come_equally_often"),
    ),
    *of("data/mixed.py", "data/test_combinations.py",
        ("parts are mixed by size",
         "*(weights[name] for name in sources)]", "*(len(sources[name]) for name in sources)]",
         "test_mixed_parts_have_their_weights"),
    ),
    # The engine.
    *of("engine/loop.py", "engine/test_loop.py",
        ("SIGTERM saves nothing",
         "if self._saved != self._number:\n                        self._save()", "self._saved = self._number",
         "test_a_signal_saves_the_step_that_it_came_at[SIGTERM]"),
        ("validation on the training split",
         'sets = {"val": (experiment.data, "val")}', 'sets = {"val": (experiment.data, "train")}',
         "engine/test_evaluation.py::test_figures_of_a_set_can_be_asked_for"),
        ("weights that are asked for are not loaded",
         "states.place_state(experiment, parallel, weights)", "states.place_state(experiment, parallel)",
         "engine/test_weights.py::test_a_frozen_network_of_another_run_is_kept_when_that_run_is_gone"),
        ("losses that are not finite go on",
         "if not np.isfinite(values).all():", "if False:", "test_a_loss_that_is_not_finite_stops_the_run_by_name"),
    ),
    *of("engine/inference.py", "engine/test_evaluation.py",
        ("figures and samples of the raw weights",
         "(*states.averaged(state), batch, keys_seed)", '(state["params"], state["rest"], batch, keys_seed)',
         AVERAGES),
        ("what fills a batch up counts",
         "kept = min(size, total - number * size)", "kept = size",
         "test_figures_of_a_set_stand_beside_means_of_examples"),
        ("some examples are the first ones",
         "np.linspace(0, len(source) - 1, count).astype(int)", "np.arange(count)",
         "test_some_examples_are_spread_over_their_set"),
    ),
    *of("engine/use.py", "engine/test_use.py",
        ("tools of the raw weights",
         "weights = states.averaged(self.state)", 'weights = self.state["params"], self.state["rest"]',
         "test_averaged_weights_are_used_for_figures_samples_and_tools"),
        ("raw weights are written in published formats",
         "*states.averaged(self.state), copy=True)", 'self.state["params"], self.state["rest"], copy=True)',
         "engine/test_export.py::test_what_is_written_is_what_is_used"),
        ("the last checkpoint is opened whatever is asked for",
         "manager.chosen(checkpoint)", 'manager.chosen("last")',
         "test_the_best_checkpoint_is_that_of_the_best_figure"),
    ),
    *of("engine/evaluation.py", "engine/test_evaluation.py",
        ("figures are of the last checkpoint",
         "model = use.load(workdir, checkpoint)\n    settings, source",
         'model = use.load(workdir, "last")\n    settings, source',
         "engine/test_use.py::test_the_best_checkpoint_is_that_of_the_best_figure"),
        ("figures of another split",
         "settings, source = _held_out(workdir, model.experiment, split)",
         'settings, source = _held_out(workdir, model.experiment, "test")',
         "test_names_of_files_hold_the_split_or_the_set"),
        ("truths of other settings are taken from the cache",
         'f"{fingerprint} {made}"', 'f"{fingerprint}"', "test_truths_of_other_settings_are_kept_apart"),
    ),
    *of("engine/checkpoints.py", "engine/test_loop.py",
        ("the best is the last",
         'first = [] if which == "last" else', "first = [] if True else",
         "test_the_best_checkpoint_is_kept_beside_the_last"),
        ('best_mode "min" takes the largest',
         'sign = 1 if self._experiment.train.best_mode == "min" else -1', "sign = -1",
         "test_the_best_checkpoint_is_kept_beside_the_last"),
        ('best_mode "min" keeps the largest',
         'reverse=train.best_mode == "min"', "reverse=False", "test_the_best_checkpoint_is_kept_beside_the_last"),
        ("flipped bytes are not found",
         "if _sum(file) != digest:", "if False:",
         "engine/test_checkpoints.py::test_a_damaged_checkpoint_is_named_and_the_whole_one_before_taken"),
        ("examples are counted by the newest batch size",
         'seen + (until - begun) * change["was"]', 'seen + (until - begun) * change["is"]',
         "test_what_may_change_is_said_and_recorded_with_its_step"),
        ("weights that are not finite are saved",
         "_check_finite(step, kept)\n        items", "items",
         "engine/test_checkpoints.py::test_what_is_not_finite_is_not_written"),
    ),
    *of("engine/report.py", "engine/test_evaluation.py",
        ("the oldest of equal figures counts",
         'for found in evaluations if found["of"] == of', 'for found in evaluations[::-1] if found["of"] == of',
         "test_the_newest_of_equal_figures_counts"),
        ("curves take what was logged first",
         "for _, step, value in points}", "for _, step, value in points[::-1]}",
         "engine/test_events.py::test_curves_of_a_resumed_run_take_what_it_logged_last"),
    ),
    *of("engine/optimizers.py", "engine/test_step.py",
        ("an exponential schedule to a hundredth", "0.1 ** (step / last)", "0.01 ** (step / last)", "test_schedules"),
        ("an exponential schedule that is none",
         'settings.schedule == "exponential"', 'settings.schedule == "exponentially"', "test_schedules"),
        ("no warm-up", "jnp.minimum(step / warmup, 1)", "1", "test_schedules"),
        ("gradients are clipped to twice the norm",
         "1.0, largest / norm)", "1.0, 2 * largest / norm)", "test_clipping_bounds_the_update"),
        ("biases decay",
         'NOT_DECAYED = ("bias", "scale")', 'NOT_DECAYED = ("scale",)',
         "test_optimizers_move_as_optax_does_and_spare_biases_and_norms"),
        ("weight decay is not decoupled from the rate",
         "step - rate * settings.weight_decay * p", "step - settings.weight_decay * p",
         "test_optimizers_move_as_optax_does_and_spare_biases_and_norms"),
        ("rates of lazy players are not corrected",
         "return 1 / (1 + moves)", "return 1.0",
         "test_a_lazy_regulariser_corrects_rate_and_betas_and_weighs_its_loss"),
    ),
    *of("engine/step.py", "engine/test_step.py",
        ("what moves in a turn has the gradients of whose turn it is", "states.pick(grads, mover.modules))",
         "states.pick(grads, player.modules))", "test_those_that_move_in_a_turn_move_together_by_its_loss_at_rates_of_their_own"),
        ("averages by the half-life in steps",
         "0.5 ** (batch_size / jnp.maximum(", "0.5 ** (1 / jnp.maximum(",
         "test_averages_are_taken_after_all_turns_by_half_life_with_a_ramp"),
        ("averages are the raw weights",
         "old + (1 - decay) * (new - old)", "new + 0 * (decay * old)",
         "test_averages_are_taken_after_all_turns_by_half_life_with_a_ramp"),
        ("a lazy loss counts once",
         "* (settings.every if player.lazy else 1)", "* 1",
         "test_a_lazy_regulariser_corrects_rate_and_betas_and_weighs_its_loss"),
        ("frozen networks keep no running statistics",
         'rest = {**rest, **{name: begun["rest"][name] for name in frozen if name in rest}}', "rest = {**rest}",
         "test_a_frozen_network_keeps_parameters_and_running_state_and_has_no_optimizer"),
        ("devices draw alike",
         "lax.dynamic_slice_in_dim(keys, lax.axis_index(self._axis) * local, local)", "keys[:local]",
         "test_every_device_draws_for_its_own_examples"),
        ("the sum of accumulated gradients",
         "lambda x: x / count, (grads, terms)", "lambda x: x, (grads, terms)",
         "test_accumulation_equals_the_whole_batch"),
    ),
    *of("engine/weights.py", "engine/test_weights.py",
        ("raw weights of another run are begun with",
         '("params", "rest", "ema", "ema_rest")', '("params", "rest")',
         "test_a_trained_network_starts_from_another_run"),
    ),
    *of("engine/packed.py", "engine/test_zoo.py",
        ("entries of the zoo hold raw weights",
         "params, rest = states.averaged(model.state)", 'params, rest = model.state["params"], model.state["rest"]',
         "test_an_entry_holds_rounded_averages_of_what_is_used"),
    ),
    *of("ops/regions.py", "ops/test_regions.py",
        ("gaps in lines stay open",
         "> (gap + 1) / 2", "> 0.5", "test_lines_close_regions_gaps_of_some_pixels_included"),
    ),
    *of("engine/fitting.py", "engine/test_fitting.py",
        ("points lie beside their picture",
         "(np.asarray(points) + self.offset[::-1])", "(np.asarray(points) + self.offset)",
         "test_points_go_along_with_their_picture"),
        ("results are cut out of another place",
         "tuple(slice(o, o + n) for o, n in zip(self.offset, self.size))",
         "tuple(slice(o + 1, o + n + 1) for o, n in zip(self.offset, self.size))",
         "test_a_net_that_changes_nothing_gives_every_picture_back_bit_for_bit"),
        ("tiles are added, not blended",
         "[whole / weights for whole in total]", "[whole for whole in total]",
         "test_a_net_that_changes_nothing_gives_every_picture_back_bit_for_bit"),
        ("lines of a photograph are finer the larger it is",
         "XDOG_SIGMA * float(whole.scale)", "XDOG_SIGMA", "test_lines_of_a_photograph_are_the_same_small_and_large"),
        ("grey photographs are taken for line drawings",
         "LEAST_PAPER, MOST_COLOUR = 0.6, 0.02", "LEAST_PAPER, MOST_COLOUR = 0.0, 0.02",
         "test_a_photograph_is_made_into_lines_and_line_art_is_left"),
        ("coloured drawings are taken for line drawings",
         "LEAST_PAPER, MOST_COLOUR = 0.6, 0.02", "LEAST_PAPER, MOST_COLOUR = 0.6, 1.0",
         "test_a_photograph_is_made_into_lines_and_line_art_is_left"),
    ),
    *of("engine/tools.py", "engine/test_tools.py",
        ("a turn is left out", "done, together = 0, 1", "done, together = 1, 1",
         "test_a_tool_that_takes_turns_ends_where_its_sum_says"),
    ),
    # Values.
    *of("values/pictures.py", "values/test_values.py",
        ("luma for systems is the mean of the channels",
         "[[0.299], [0.587], [0.114]]", "[[0.333], [0.333], [0.334]]",
         "test_images_come_from_paths_arrays_and_pil_with_transparency_over_white"),
        ("pictures are cut to 8 bits, not rounded",
         "return np.uint8(np.clip(np.round((np.asarray(array[0], np.float32) + 1) * 127.5), 0, 255))",
         "return np.uint8(np.clip((np.asarray(array[0], np.float32) + 1) * 127.5, 0, 255))",
         "test_images_come_from_paths_arrays_and_pil_with_transparency_over_white"),
        ("masks are black inside",
         "grey >= (1 if grey.max() <= 1 else 128)", "grey < (1 if grey.max() <= 1 else 128)",
         "test_masks_are_white_inside"),
    ),
    *of("values/clips.py", "values/test_values.py",
        ("clips of another rate",
         "round(1000 / self.rate)", "round(100 / self.rate)", "test_clips_are_written_and_read_again"),
    ),
    *of("values/numbers.py", "values/test_values.py",
        ("the largest number is refused",
         "not self.low <= found <= self.high", "not self.low <= found < self.high", "test_numbers_choices_and_seeds"),
    ),
    *of("values/words.py", "values/test_values.py",
        ("the least likely class comes first",
         "np.argsort(-array", "np.argsort(array", "test_words_labels_attributes_and_scores"),
    ),
    *of("values/cameras.py", "values/test_cameras.py",
        ("elevation below the horizon",
         "np.cos(tilt) * level + np.sin(tilt) * up", "np.cos(tilt) * level - np.sin(tilt) * up",
         "test_an_orbit_looks_at_the_middle_from_where_it_was_asked"),
    ),
    # Weights of others.
    *of("pretrained/named.py", "engine/test_weights.py",
        ("what a file lacks keeps its start",
         "if not allowed(name, source):", "if False:", "test_every_tensor_is_accounted_for"),
        ("what a network lacks is left out", "if refused:", "if False:", "test_every_tensor_is_accounted_for"),
    ),
    *of("systems/lines.py", "systems/test_lines.py",
        ("lines: pictures that are made smaller have their old width",
         "jnp.where(whole, weight * scale, weight)", "weight",
         "test_the_width_that_is_told_is_that_of_the_lines_to_learn"),
        ("lines: the network is not told the width",
         "return nets.lines(self.network(image, weight))", "return nets.lines(self.network(image, 0 * weight + 2))",
         "test_lines_are_found_where_there_are_none_and_as_wide_as_asked"),
        ("lines: one hand for all pictures of a size", "jax.random.fold_in(jax.random.key(number), mark)",
         "jax.random.key(number)", "test_other_pictures_are_drawn_otherwise"),
    ),
    *of("ops/hand.py", "ops/test_hand.py",
        ("hands: lines go on past what is no end", "& here & ~goes_on", "& here",
         "test_lines_go_on_past_their_ends_in_their_direction_only"),
        ("hands: gaps do not depend on the amount", " + 1.5 * (1 - amount)", "",
         "test_lines_break_off_more_often_the_unsteadier_the_hand"),
    ),
    *of("pretrained/nerf.py", "systems/test_nerf.py",
        ("jaxnerf: waves in the order of the reference",
         "order = lambda rows: rows if legacy else", "order = lambda rows: rows if True else",
         "test_jaxnerf_weights_compute_what_jaxnerf_computes"),
        ("jaxnerf: the position comes before what is hidden",
         "np.concatenate([order(k[w:]), k[:w]])", "np.concatenate([order(k[:-w]), k[-w:]])",
         "test_jaxnerf_weights_compute_what_jaxnerf_computes"),
    ),
    *of("pretrained/torch_layers.py", "systems/test_pix2pix_parity.py",
        ("pix2pix's files: shifts and running means are exchanged",
         'bias="bias", mean="running_mean"', 'bias="running_mean", mean="bias"',
         "test_outputs_and_gradients_equal_the_reference_implementation"),
    ),
    *of("pretrained/torch_file.py", "pretrained/test_torch_file.py",
        ("strides of the fastest axis first",
         "math.prod(value.shape[i + 1 :])", "math.prod(value.shape[:i])",
         "test_what_is_written_is_read"),
        ("storages are read from their start",
         "values[self.offset :], shape", "values, shape", "test_a_tensor_is_what_lies_in_its_storage_or_refused"),
        ("views may reach beyond their storage",
         ">= values.size:", "> values.size:", "test_a_tensor_is_what_lies_in_its_storage_or_refused"),
    ),
    *of("pretrained/vit.py", "pretrained/test_vit.py",
        ("big_vision's files are taken for the original's",
         "names = BIG_VISION if", "names = ORIGINAL if", "test_big_visions_names_are_read"),
        ("the original's queries and keys are exchanged",
         'for n in ("query", "key", "value")], heads', 'for n in ("key", "query", "value")], heads',
         "nets/test_vit.py::test_the_original_release_fits_with_its_heads_split"),
        ("patches of timm's files are turned",
         "lambda w: w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0])",
         "lambda w: w.transpose(3, 2, 1, 0).reshape(-1, w.shape[0])",
         "nets/test_vit.py::test_weights_of_other_releases_give_their_logits_and_gradients"),
    ),
    *of("pretrained/features.py", "metrics/test_metrics.py",
        ("batch norms are folded in without their shift",
         "lambda b, m, s, v: b - m * factor(s, v)", "lambda b, m, s, v: b",
         "nets/test_features.py::test_every_activation_is_the_references[inception-2015]"),
    ),
]
# fmt: on


def chosen(words):
    """[(number, fault)] of numbers and words; all of none."""
    found = list(enumerate(FAULTS))
    if not words:
        return found
    wanted = lambda number, fault: any(
        word == str(number) if word.isdigit() else word.lower() in f"{fault.what} {fault.file}".lower()
        for word in words
    )
    return [pair for pair in found if wanted(*pair)]


# Most tests import the same for seconds: one process has done so, and each run of tests is a fork of it.
SERVER = """
import contextlib, importlib.util, json, os, signal, sys
import flax.nnx, grain, hypothesis, jax, matplotlib.figure, optax, orbax.checkpoint, PIL.Image, pytest, sklearn.metrics

print(*(importlib.util.find_spec(name).origin for name in ("tests", "vision_gen")), flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setsid()
        seconds, output, arguments = json.loads(line)
        signal.alarm(seconds)
        with open(output, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os._exit(pytest.main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # What it has started and left.
"""


class Copy:
    """A copy of the tree, in which one fault at a time is planted."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder).resolve()
        self._tree, self._said = self._folder / "tree", self._folder / "said"
        shutil.copytree(ROOT, self._tree, ignore=LEFT_OUT)
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._tree),
            "PYTHONDONTWRITEBYTECODE": "1",  # Python tells a changed source by its length and the second.
            "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
        }
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=self._tree, env=environment, **pipes)
        where = self._server.stdout.readline()
        if where.count(f"{self._tree}/") != 2:
            raise RuntimeError(f"another tree would be tested: {where}")

    def harmless(self, tests):
        """Those of some tests that pass where nothing is wrong."""
        self._test(tests, "-rA")
        ends = re.findall(r"^(PASSED|FAILED|ERROR) (.+?)(?: - .*)?$", self._said.read_text(), re.M)
        of = lambda test: {end for end, name in ends if name == test or name.startswith(f"{test}[")}
        return {test for test in tests if of(test) == {"PASSED"}}

    def noticed(self, fault):
        """Does a test fail with a fault? None where it cannot be planted, or tests do not come to an end."""
        path = self._tree / "vision_gen" / fault.file
        text = path.read_text()
        if text.count(fault.old) != 1:
            return None
        path.write_text(text.replace(fault.old, fault.new))
        try:
            return {0: False, 1: True}.get(self._test(fault.tests, "-x"))
        finally:
            path.write_text(text)

    def _test(self, tests, *options):
        """Exit status of pytest."""
        # Slow tests too, where a fault names one.
        arguments = ["-q", "-p", "no:cacheprovider", "-m", "", "--tb=no", *options, *tests]
        print(json.dumps([LONGEST * len(tests), str(self._said), arguments]), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def close(self):
        self._server.stdin.close()
        self._server.wait()


def run(faults, jobs):
    """Plants faults, [(number, fault)], and prints what became of each; the numbers of those that nobody noticed."""
    with contextlib.ExitStack() as stack:
        copies = queue.SimpleQueue()
        for _ in range(jobs):
            copy = Copy(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants")))
            stack.callback(copy.close)
            copies.put(copy)
        harmless = copy.harmless(sorted({test for _, fault in faults for test in fault.tests}))

        def one(pair):
            number, fault = pair
            copy, begun = copies.get(), time.monotonic()
            try:
                noticed = copy.noticed(fault) if harmless >= set(fault.tests) else None
            finally:
                copies.put(copy)
            word = {True: "noticed", False: "SURVIVED", None: "REFUSED"}[noticed]
            print(f"{word:<8} {number:4} {fault.what} ({fault.file}), {time.monotonic() - begun:.0f} s", flush=True)
            return noticed

        with concurrent.futures.ThreadPoolExecutor(jobs) as executor:
            found = list(executor.map(one, faults))
    return [number for (number, _), noticed in zip(faults, found) if not noticed]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "faults", nargs="*", help="numbers, or words of what is wrong or of a file; all of them by default"
    )
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--jobs", type=int, default=1, help="how many are planted at a time")
    given = parser.parse_args()
    faults = chosen(given.faults)
    if not faults:
        parser.error(f"no fault is called {' or '.join(given.faults)}; --list shows them")
    if given.list:
        print("\n".join(f"{number:4} {fault.what} ({fault.file})" for number, fault in faults))
        return 0
    left = run(faults, given.jobs)
    print(
        f"{len(faults)} faults, {len(faults) - len(left)} noticed"
        + (f"; left: {' '.join(map(str, left))}" if left else "")
    )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
