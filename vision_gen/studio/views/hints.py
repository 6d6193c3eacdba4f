"""Colour by hints: strokes and dots on a grey picture, with colours that the network suggests and those of the
picture.
"""

from bokeh import events
import numpy as np
import panel as pn
import PIL.Image
from skimage import color

from vision_gen.ops import gamut
from vision_gen.studio import style
from vision_gen.studio.parts import button, styled, text
from vision_gen.studio.views import painting

SYSTEMS, TOOL, TITLE = ("hints.Hints",), "colorize", "Paint with hints"
SWATCHES = 7
# Colours of one distribution that are nearer than this in ab are one suggestion.
APART = 25
# Colours of a picture that are nearer than this in Lab are one, of as many as a picture is first made of.
ALIKE, MANY = 10, 48


class Strokes(painting.Strokes):
    """Hints lie on the picture without its colours."""

    def under(self, picture):
        return np.asarray(PIL.Image.fromarray(picture).convert("L").convert("RGB"))


class Swatches:
    """Colours to choose from.

    Args:
      title: what they are.
      chosen: function of a colour, "#c83200".

    Attributes:
      view: what the page shows.
      colours: those that are shown.
    """

    def __init__(self, title, chosen):
        self.colours, self._chosen, self._row = [], chosen, pn.Row(margin=0, height=36)
        self.view = pn.Row(text(f'<p class="soft small">{title}</p>', width=112, margin=(8, 0)), self._row, margin=0)

    def show(self, colours):
        """Shows colours."""
        if colours == self.colours:
            return
        self.colours = colours
        self._row.objects = [self._button(colour) for colour in colours]

    def _button(self, colour):
        made = button(" ", lambda _: self._chosen(colour), width=34, height=26, description=colour)
        own = ":host(.solid) .bk-btn.bk-btn.bk-btn"
        fill = f"{own}, {own}:hover {{ background: {colour}; }}"
        return styled(made, fill)


class View(painting.Painting):
    """Hints with palettes."""

    drawn = "hints"
    says = (
        "Draw strokes or click dots in the colours that places shall have. Only hue and saturation count. With reach "
        "above 0 only what lies around the hints changes."
    )

    def entry(self, name, kind, base):
        return Strokes(kind, name, self.visit, base) if name == self.drawn else super().entry(name, kind, base)

    def above(self):
        self.suggested = None
        choose = lambda colour: setattr(self.canvas.tint, "value", colour)
        self.palette = Swatches("In the picture", choose)
        self.last = Swatches("For the last hint", self.recolour)
        self.here = text("", style.OUTPUT, width=painting.SIDE, height=28, margin=0)
        self.entries["image"].changed.insert(0, self._changed_picture)
        self.canvas.figure.on_event(events.MouseMove, lambda event: self.hover(self.canvas.place(event)))
        return [self.palette.view, self.last.view, self.here]

    def _changed_picture(self):
        self.suggested = None
        image = self.entries["image"]
        self.palette.show(palette(image.value) if image.given() else [])

    def show(self, found):
        super().show(found)
        self.look("suggest", self._made, self._looked)

    def _made(self, fitted, shares, given):
        return fitted, shares[0], given["image"]

    def _looked(self, found):
        self.suggested, strokes = found, self.canvas.strokes
        self.last.show(self.suggestions(strokes[-1]["points"][0]) if strokes else [])

    def suggestions(self, place):
        """The likeliest colours of a place (x, y), as text, the likeliest first."""
        if self.suggested is None:
            return []
        fitted, shares, picture = self.suggested
        x, y = place
        height, width = picture.shape[:2]
        if not (0 <= x < width and 0 <= y < height):
            return []
        canvas = fitted.parts[0]["image"].shape[1]
        at = np.asarray(fitted.place("image", place, 1)) * shares.shape[0] / canvas
        column, row = (min(int(n), most - 1) for n, most in zip(at, shares.shape[1::-1]))
        lightness = color.rgb2lab(picture[int(y), int(x)][None, None])[0, 0, 0]
        return likeliest(shares[row, column], float(lightness))

    def hover(self, place):
        """Shows what colours are likely at a place."""
        found = self.suggestions(place) if place else []
        box = "display:inline-block;width:26px;height:18px;border-radius:5px;margin-right:5px;background:"
        shown = "".join(f'<span style="{box}{colour}"></span>' for colour in found)
        line = f'<span style="width:112px">Likely here</span>{shown}' if found else ""
        self.here.object = f'<p class="soft small" style="display:flex;align-items:center">{line}</p>'

    def recolour(self, colour):
        """Gives the last hint a colour, and those that follow."""
        strokes = self.canvas.strokes
        self.canvas.tint.value = colour
        if strokes:
            self.canvas.set([*strokes[:-1], strokes[-1] | {"colour": colour}])


def likeliest(shares, lightness, most=SWATCHES):
    """The likeliest colours of a distribution [529] over `gamut.grid`, at a lightness of 0 to 100, as text."""
    grid, chosen = gamut.grid(), []
    for number in np.argsort(-shares, kind="stable"):
        if shares[number] < shares.max() / 20 or len(chosen) == most:
            break
        if all(np.hypot(*(grid[number] - ab)) > APART for ab in chosen):
            chosen.append(grid[number])
    shown = np.clip(lightness, 30, 85)  # Of black and white nobody sees the hue.
    return [_text(color.lab2rgb(np.float64([[[shown, *ab]]]))[0, 0]) for ab in chosen]


def palette(picture, most=SWATCHES):
    """The colours of a picture [height, width, 3] uint8 that are there most, as text."""
    few = PIL.Image.fromarray(picture)
    few.thumbnail((256, 256))
    few = few.quantize(MANY)
    colours = np.reshape(few.getpalette(), (-1, 3)) / 255
    lab, found = color.rgb2lab(colours), {}
    for count, number in sorted(few.getcolors(), reverse=True):
        like = (other for other in found if np.linalg.norm(lab[other] - lab[number]) < ALIKE)
        place = next(like, number)
        found[place] = found.get(place, 0) + count
    return [_text(colours[number]) for number in sorted(found, key=found.get, reverse=True)[:most]]


def _text(rgb):
    return "#%02x%02x%02x" % tuple(np.round(np.clip(rgb, 0, 1) * 255).astype(int))
