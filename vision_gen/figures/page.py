"""A page that holds everything in itself: figures, curves and pictures."""

import base64
import html
import io
import pathlib

from PIL import Image

LARGE = 800  # Pixels that narrower pictures are shown near to, by whole pixels.
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 100rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child, td:last-child { text-align: left } td { font-variant-numeric: tabular-nums }
img { max-width: 100% } img[width] { image-rendering: pixelated }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; color: #555 }
dd { margin: 0; overflow-wrap: anywhere } .curves { display: flex; flex-wrap: wrap; gap: 1rem }
"""


def write(path, title, header, rows, pictures=None, curves=None, facts=None, beside=None):
    """Writes an HTML page that needs no other file.

    Args:
      path: where to.
      title: its heading.
      header, rows: of the table of figures; floats are rounded, None is left blank.
      pictures: {name: (path of an image, what it shows)}.
      curves: {title: {name: line}}; a line is (steps, values), or a number: a level to compare with.
      facts: {name: value}, where the figures come from.
      beside: (header, rows) of a second table, of other evaluations.
    """
    parts = [table(header, rows)]
    if beside:
        parts += ["<h2>Evaluations beside each other</h2>", table(*beside)]
    if curves:
        parts.append("<h2>While training</h2><div class=curves>")
        parts += [image(_plot(name, lines), "png", name) for name, lines in curves.items()]
        parts.append("</div>")
    for name, (file, legend) in (pictures or {}).items():
        file = pathlib.Path(file)
        parts.append(f"<h2>{html.escape(name)}</h2><p>{html.escape(legend)}</p>")
        with Image.open(file) as opened:
            larger = LARGE // opened.width * opened.width
        parts.append(image(file.read_bytes(), file.suffix[1:], name, larger))
    if facts:
        parts += ["<h2>Made with</h2>", definitions(facts)]
    page(path, title, parts)


def page(path, title, parts):
    """Writes a page of HTML parts under a heading."""
    head = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>",
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
    ]
    # Names of files may be of another encoding.
    pathlib.Path(path).write_text("\n".join(head + parts) + "\n", "utf-8", "backslashreplace")


def table(header, rows):
    """HTML of a table; floats are rounded, None is left blank."""
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(_text(v))}</{tag}>" for v in row)
    body = (f"<tr>{cells('td', row)}</tr>" for row in rows)
    return "\n".join(["<table>", f"<tr>{cells('th', header)}</tr>", *body, "</table>"])


def definitions(facts):
    """HTML of {name: value}."""
    items = (f"<dt>{html.escape(k)}<dd>{html.escape(_text(v))}" for k, v in facts.items())
    return "\n".join(["<dl>", *items, "</dl>"])


def image(data, kind, name, width=0):
    """HTML of an image's bytes, held in the page; shown `width` pixels wide, if that is not 0."""
    encoded = base64.b64encode(data).decode()
    wide = f'width="{width}" ' if width else ""
    return f'<img {wide}alt="{html.escape(name)}" src="data:image/{kind};base64,{encoded}">'


def png(figure):
    """PNG bytes of a matplotlib figure."""
    file = io.BytesIO()
    figure.savefig(file)
    return file.getvalue()


def _text(value):
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plot(title, lines):
    """PNG bytes of a small plot."""
    from matplotlib.figure import Figure  # Takes most of a second to import.

    figure = Figure(figsize=(4.2, 2.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    for number, (name, line) in enumerate(lines.items()):
        look = dict(label=name or title, color=f"C{number % 10}", linewidth=1.3)
        if isinstance(line, float):
            axes.axhline(line, linestyle="--", **look)
        else:
            axes.plot(*line, marker="." if len(line[0]) < 30 else None, **look)
    axes.set(title=title, xlabel="step")
    axes.title.set_size(10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)
    return png(figure)
