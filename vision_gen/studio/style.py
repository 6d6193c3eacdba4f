"""How the studio looks: dark text on light, one accent, everything in the shadow roots of Panel's parts too."""

ACCENT = "#2f4fa8"
# Widgets and panes live in shadow roots: each is given these rules.
SHEET = """
:host {
  --ink: #1d2330; --soft: #5a6475; --line: #d9dde5; --paper: #ffffff; --ground: #f4f5f8; --accent: #2f4fa8;
  --wash: #e9eefb;
  font-family: "Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif;
  font-size: 14px; line-height: 1.45; color: var(--ink);
}
h1 { font-size: 22px; font-weight: 650; letter-spacing: -0.01em; margin: 0 0 4px; }
h2 { font-size: 13px; font-weight: 650; margin: 0; }
h3 { font-size: 16px; font-weight: 650; letter-spacing: -0.005em; margin: 0 0 2px; }
p { margin: 0; }
a { color: var(--accent); }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px;
}
.soft { color: var(--soft); }
.small { font-size: 12.5px; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 12px; }
label { font-size: 13px; font-weight: 600; color: var(--ink); }
.bk-input { border: 1px solid var(--line); border-radius: 7px; color: var(--ink); background: var(--paper);
  font-size: 13.5px; }
.bk-input:focus { border-color: var(--accent); box-shadow: none; outline: 2px solid var(--accent);
  outline-offset: 1px; }
:host(.elsewhere) input[type=file] { color: transparent; }
:host(.elsewhere) input[type=file]::file-selector-button { color: var(--ink); }
:host(.solid) .bk-btn.bk-btn.bk-btn { border: 1px solid var(--line); border-radius: 7px; background: var(--paper);
  color: var(--ink);
  font-size: 13.5px; font-weight: 550; padding: 5px 12px; box-shadow: none; transition: none; text-decoration: none; }
:host(.solid) .bk-btn.bk-btn.bk-btn:hover { background: var(--wash); border-color: var(--accent); }
:host(.solid) .bk-btn.bk-btn.bk-btn:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
:host(.solid) .bk-btn.bk-btn.bk-btn:disabled { color: #8b93a3; background: #f4f5f8; border-color: var(--line);
  opacity: 1; }
:host(.solid) .bk-btn.bk-btn.bk-btn-primary { background: var(--accent); border-color: var(--accent);
  color: #ffffff; }
:host(.solid) .bk-btn.bk-btn.bk-btn-primary:hover { background: #26428f; }
:host(.solid) .bk-btn.bk-btn.bk-btn-primary:disabled { background: #7f90bf; border-color: #7f90bf; color: #ffffff; }
:host(.solid) .bk-btn.bk-btn.bk-active.bk-active { background: var(--wash); border-color: var(--accent);
  color: var(--accent);
  box-shadow: none; }
.bk-slider-title { font-size: 13px; font-weight: 600; margin-bottom: 4px; }
.bk-btn-group { gap: 6px; }
.noUi-target.noUi-target { background: #e3e6ed; border: none; border-radius: 4px; height: 6px; box-shadow: none; }
.noUi-target .noUi-connects .noUi-connect.noUi-connect { background: var(--accent); border: none; }
.noUi-target .noUi-handle.noUi-handle { border-radius: 50%; border: 2px solid var(--accent);
  background: var(--paper); box-shadow: none;
  width: 16px; height: 16px; top: -6px; }
.noUi-target .noUi-handle:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""

# Buttons that look like tabs.
TABS = """
:host { border-bottom: 1px solid var(--line); width: 100%; }
.bk-btn-group { gap: 0; flex-wrap: wrap; }
:host(.solid) .bk-btn.bk-btn.bk-btn { flex: none; border: none; border-radius: 0; border-bottom: 2px solid transparent;
  background: none; color: var(--soft); padding: 8px 14px; }
:host(.solid) .bk-btn.bk-btn.bk-btn:hover { color: var(--ink); background: none; border-color: var(--line); }
:host(.solid) .bk-btn.bk-btn.bk-active.bk-active { color: var(--accent); background: none;
  border-color: var(--accent); }
"""

PAGE = """
body { background: #f4f5f8; margin: 0; }
"""

CARD = """
:host { background: #ffffff; border: 1px solid #d9dde5; border-radius: 12px; padding: 18px 20px; }
"""

BAR = """
:host { background: #ffffff; border-bottom: 1px solid #d9dde5; padding: 10px 28px; }
"""

TOP = """
.bar { display: flex; align-items: baseline; gap: 10px; }
.bar a { text-decoration: none; font-weight: 650; font-size: 16px; color: var(--ink); letter-spacing: -0.01em; }
.bar .where { color: var(--soft); }
"""

HOME = """
.group { margin: 26px 0 12px; font-size: 13px; font-weight: 650; color: var(--soft); text-transform: none; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(258px, 1fr)); gap: 16px; }
.card { display: flex; flex-direction: column; background: var(--paper); border: 1px solid var(--line);
  border-radius: 12px;
  overflow: hidden; text-decoration: none; color: var(--ink); transition: border-color .12s, box-shadow .12s; }
.card:hover, .card:focus-visible { border-color: var(--accent); box-shadow: 0 2px 14px rgba(29, 35, 48, .10); }
.card .look { height: 132px; background: #eceef3 top center / cover no-repeat; border-bottom: 1px solid var(--line); }
.card .bare { display: flex; align-items: center; justify-content: center; color: var(--soft); font-size: 12.5px; }
.card .text { padding: 12px 14px 14px; }
.card b { font-weight: 650; font-size: 15px; }
.card .of { font-size: 12.5px; color: var(--soft); margin-top: 2px; overflow-wrap: anywhere; }
"""

OUTPUT = """
figure { margin: 0; }
figure img { display: block; border: 1px solid var(--line); border-radius: 6px; max-width: 100%; height: auto;
  background: repeating-conic-gradient(#eceef3 0 25%, #ffffff 0 50%) 0 0 / 16px 16px; }
figure img.tiny { image-rendering: pixelated; }
figcaption { font-size: 12.5px; color: var(--soft); margin-top: 6px; }
.number { font-size: 30px; font-weight: 650; letter-spacing: -0.02em; }
table { border-collapse: collapse; width: 100%; min-width: 300px; font-size: 13.5px; }
td, th { padding: 4px 10px 4px 0; text-align: left; vertical-align: middle; font-weight: 400; }
th { font-weight: 600; color: var(--soft); font-size: 12.5px; }
td.figure { text-align: right; font-variant-numeric: tabular-nums; width: 64px; padding-right: 0; }
td.bar { width: 50%; }
td.bar i { display: block; height: 10px; border-radius: 5px; background: var(--accent); min-width: 2px; }
tr.other i { background: #b9c4e2; }
.divide { border-top: 1px solid var(--line); padding-top: 12px; }
.empty { border: 1.5px dashed var(--line); border-radius: 10px; padding: 46px 24px; text-align: center;
  color: var(--soft); }
"""

SAID = """
.said { border-radius: 9px; padding: 10px 14px; font-size: 13.5px; overflow-wrap: anywhere; white-space: pre-line; }
.said.wrong { background: #fdecea; color: #7d1a12; border: 1px solid #efb8b2; }
.said.note { background: var(--wash); color: #24397a; border: 1px solid #c5d1f2; }
"""
