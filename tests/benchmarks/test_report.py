"""Pages of results: one of everything, blocks that quote figures, and what is committed of both."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import blocks, names, plots, records, report
from tests.conftest import ROOT
from vision_gen.errors import InputError

CPU = "AMD EPYC, family 26 model 2"
ENVIRONMENT = {"processor": CPU, "cores": 2, "versions": {"jax": "0.10.2", "torch": "2.13.0+cpu"}, "date": "2026-11-25"}


def result(benchmark, name, settings, figures, nature=records.MEASURED, **more):
    step = dict(config="scft_demo", system="scft.SCFT", device=CPU, platform="cpu", dtype="float32", batch=8)
    settings = step | settings
    figures = {k: v if isinstance(v, dict) else records.figure(v, "1") for k, v in figures.items()}
    return dict(benchmark=benchmark, name=name, nature=nature, settings=settings, figures=figures, source=1,
                environment=ENVIRONMENT, **more)  # fmt: skip


def compiled(target, *, batch, rate, share, flops, note="fits; bound by memory", **settings):
    figures = {"model flops": flops, "memory: needed": 7e9, "memory: of the chip": 80e9,
               "roofline: utilisation at most": share, "roofline: step at least": 0.02,
               "memory traffic, from the HLO": 7e10,
               "roofline: throughput a chip at most": records.figure(rate, "images/s")}  # fmt: skip
    return result("compile_only", "", dict(target=target, batch=batch, devices=8, fsdp=1) | settings, figures,
                  records.COMPILE_TIME, note=note)  # fmt: skip


def test_committed_pages_are_what_the_command_writes(tmp_path):
    for name in report.PAGES:
        page = tmp_path / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(blocks.MARKED.sub(r"\1\3", (ROOT / name).read_text()))
        assert page.read_text() != (ROOT / name).read_text()
    report.documents(tmp_path)
    for name in (*report.PAGES, "docs/performance/full.html"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), f"{name}: python -m benchmarks.report --docs"
    shown = set(re.findall(r"\(performance/(\w+\.png)\)", (ROOT / "docs" / "performance.md").read_text()))
    for folder in (ROOT, tmp_path):
        assert {path.name for path in (folder / "docs" / "performance").glob("*.png")} == shown


def test_blocks_that_are_not_there_are_named():
    assert blocks.fill("a\n<!-- figures: peers -->\nold\n<!-- end -->\nb", [], "X.md") == (
        "a\n<!-- figures: peers -->\n\n\n\n<!-- end -->\nb"
    )
    with pytest.raises(InputError, match="X.md: figures are machines, .*, not 'torch'"):
        blocks.fill("<!-- figures: torch -->\n<!-- end -->", [], "X.md")
    with pytest.raises(InputError, match="X.md: every <!-- figures: NAME --> needs an <!-- end -->"):
        blocks.fill("<!-- figures: peers -->\nold\n<!-- figures: gpu -->\n<!-- end -->", [], "X.md")


def test_subjects_say_the_model_and_not_how_it_was_run():
    named = lambda config, system: names.subject(result("", "", dict(config=config, system=system), {}))
    assert named("vit_imagenet model.size=B model.unroll=12 train.batch_size=4", "classifier.Classifier") == "ViT-B/16"
    assert named("vit_imagenet (paper)", "classifier.Classifier") == "ViT-L/16"
    assert named("scft_openmoji dtype=bfloat16 data.size=256", "scft.SCFT") == "SCFT, 256 px"
    assert named("x model.width=3", "new.System") == "System, model.width 3"


def test_styles_are_told_apart_from_jit_by_their_ranges_only():
    def step(style, *rates):
        figures = {"throughput": records.spread(rates, "images/s"), "compile": 12.0}
        return result("throughput", "", dict(style=style, devices=2), figures)

    text = blocks.styles([step("jit", 90, 100, 110), step("shard_map", 50, 60, 80), step("pmap", 85, 90, 95)])
    assert text.startswith("On as many devices shard_map makes 0.60 and pmap makes 0.90 times the throughput of jit.")
    assert "apart from jit's: shard_map on 2. A program takes 12 s" in text.replace("\n", " ")


def test_bounds_are_the_best_of_what_fits_a_chip():
    results = [
        compiled("gpu:h100:8", batch=8, rate=100, share=0.2, flops=1e12),
        compiled("gpu:h100:8", batch=512, rate=300, share=0.6, flops=64e12),
        compiled("gpu:h100:8", batch=1024, rate=400, share=0.8, flops=128e12, note="does NOT fit; bound by memory"),
        compiled("tpu:v5e:4x4", batch=8, rate=50, share=0.1, flops=1.01e12),
        compiled("tpu:v5e:4x4", batch=8, rate=900, share=1, flops=3e12, config="scft_demo data.size=256"),
    ]
    found = plots.best_bounds(results)
    rates = {m: {c: r["figures"]["roofline: throughput a chip at most"]["value"] for c, r in of.items()}
             for m, of in found.items()}  # fmt: skip
    assert rates == {"SCFT": {"NVIDIA H100": 300, "TPU v5e": 50}, "SCFT, 256 px": {"TPU v5e": 900}}
    text = blocks.bounds(results).replace("\n", " ")
    assert text.startswith("1 of these 3 programs")
    assert "SCFT on TPU v5e most: 0.10 of the peak, with a batch of 1 a chip." in text
    published = compiled("tpu:v6e:2x4", batch=8, rate=70, share=0.3, flops=5e12, config="scft_openmoji (paper)")
    assert plots.best_bounds([*results, published]) == found


def test_papers_are_given_more_chips_until_they_fit():
    paper = dict(config="vit_imagenet (paper)", system="classifier.Classifier", batch=4096, rate=1, share=1, flops=1e12)
    text = blocks.paper([
        compiled("gpu:h100:16", devices=16, size=224, **paper),
        compiled("gpu:h100:8", devices=8, fsdp=8, size=(224, 448), **paper | {"config": "vit_imagenet model.size=L"}),
        compiled("gpu:h100:1", devices=1, size=224, note="does NOT fit; bound by memory", **paper),
        compiled("gpu:h100:4", devices=4, **paper | {"batch": 9, "config": "vit_imagenet model.size=L"}),
        result("compile_only", "", {k: paper[k] for k in ("config", "system", "batch")} | dict(
            devices=1, fsdp=1, target="tpu:v5e:1x1"), {}, records.COMPILE_TIME,
            note="does not fit: Used 20.00G of 15.75G hbm"),
    ])  # fmt: skip
    of = "| ViT-L/16 | `vit_imagenet` |"
    assert text.splitlines()[2:] == [
        f"{of} 224 px | 4,096 | float32 | 1 x NVIDIA H100 | 7.0 | 80 | no |",
        f"{of} 224 x 448 px | 4,096 | float32 | 8 x NVIDIA H100, parameters in 8 shares | 7.0 | 80 | yes |",
        f"{of}  | 4,096 | float32 | 1 x TPU v5e | over 21 | 16 | no |",
    ]  # fmt: skip


def test_a_step_that_ran_stands_beside_the_bound_of_the_same_step():
    measured = {"throughput": records.figure(1000, "images/s"), "step": 0.05, "model flops a step": 1e13,
                "matmul ceiling of a chip": 5e14, "copy bandwidth of a chip": 3.5e12, "compile": 50,
                "peak memory of a device": 7.07e9, "utilisation of the measured matmul ceiling": 0.4}  # fmt: skip
    ran = dict(device="NVIDIA H200", platform="gpu", devices=1, style="jit", batch=64)
    alike = dict(batch=64, rate=4000, share=0.6, devices=1)
    text = blocks.bound_beside_measured([
        result("throughput", "", ran, measured),
        compiled("gpu:h200:1", flops=1.001e13, **alike),
        compiled("gpu:h200:1", flops=2e13, **alike),  # Another model.
        compiled("gpu:h100:1", flops=1e13, **alike),  # Another chip.
    ])  # fmt: skip
    assert text.splitlines()[2:] == [
        "| SCFT, batch 64 | float32 | 50.0 | 20.0 | 20.0 | 20.0 | 7.1 | 7.0 |", "",
        "On one NVIDIA H200 a real step takes 2.5 times as long as its bound. "
        "The memory needed was right to 1.0 percent.",
        "Compiling took 50 s.",
    ]  # fmt: skip


def test_the_page_of_everything_says_what_was_measured_and_what_was_not(tmp_path):
    record = records.Record("throughput", tmp_path / "a.json")
    slow = {"step": records.spread([2.0, 2.1], "s", better="lower"), "throughput": records.spread([3, 4], "images/s")}
    for style in ("jit", "pmap"):
        settings = result("", "", dict(style=style, devices=1), {})["settings"] | {"device": records.processor()}
        record.add(f"run <{style}>", slow, nature=records.MEASURED, settings=settings)
    record = records.Record("compile_only", tmp_path / "b.json")
    record.add("program", {"memory: needed": records.figure(7, "bytes")}, nature=records.COMPILE_TIME, settings={})
    page = tmp_path / "new" / "page.html"
    command = [sys.executable, "-m", "benchmarks.report", f"{tmp_path}/a.json", f"{tmp_path}/b.json", f"--html={page}"]
    run = lambda *more: subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True)
    assert run().returncode == 0
    text = page.read_text()
    parts = re.split(r"<h3 id=", text.partition("<h2>")[2])
    assert [("Measured" in p, "Compile-time" in p) for p in parts[1:4]] == [(True, False)] * 2 + [(False, True)]
    assert "run &lt;jit&gt;" in parts[1] and "<td>2.05</td><td>2</td><td>2.1</td><td>s</td>" in parts[1]
    assert set(re.findall(r"href=#(\w+)", text)) <= set(re.findall(r"id=(\w+)", text))
    assert text.count('src="data:image/png') == 1  # The styles; nothing else can be drawn.
    fast = json.loads((tmp_path / "a.json").read_text())
    fast["results"][0]["figures"]["step"] |= {"value": 1.0, "low": 0.9, "high": 1.1}
    (tmp_path / "fast.json").write_text(json.dumps(fast))
    again = run(f"--baseline={tmp_path}/fast.json")
    assert again.returncode == 1 and "WORSE  run <jit>: step 1 to 2.05" in again.stdout
    assert run(f"--baseline={tmp_path}/a.json").returncode == 0
    mixed = run("--docs")
    assert mixed.returncode == 2 and "--docs reads benchmarks/results alone; leave out files" in mixed.stderr
