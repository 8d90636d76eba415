"""The page of `blind_pairs.py`: one file with pictures, style and script inside."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence

from PIL import Image

from lgt.report.page import page, picture_url

_STYLE = """
body { max-width: none; margin: .5rem auto; }
h1 { font-size: 1.2rem; margin: 0; } p { margin: .3rem 0; }
#three { display: flex; gap: .5rem; }
#three figure { margin: 0; flex: 1; min-width: 0; }
#three img { width: 100%; height: 74vh; object-fit: contain; display: block;
  border: 3px solid transparent; }
#three.near img { object-fit: none; }
#photo { cursor: zoom-in; }
#three button { all: unset; cursor: pointer; display: block; width: 100%; }
#three button:focus-visible img, .chosen img { border-color: var(--accent); }
figcaption { text-align: center; }
#bar button { font: inherit; padding: .4rem 1rem; margin: .5rem .5rem .5rem 0; }
#bar .chosen { outline: 3px solid var(--accent); }
"""

_BODY = """
<p>Which of the two would you rather hang as a painting of this photo in this style? Click on it, or
press &larr; or &rarr;; &darr; for no difference, Backspace to go back, Z (or a click on the photo)
to see the middle of all three at full size. Your choices stay in this browser; download them at the
end (or whenever you stop).</p>
<p><b id="where" aria-live="polite"></b></p>
<div id="three">
<figure><img id="photo" alt="photo"><figcaption>photo</figcaption></figure>
<figure><button id="left"><img alt="left"></button><figcaption>left</figcaption></figure>
<figure><button id="right"><img alt="right"></button><figcaption>right</figcaption></figure>
</div>
<div id="bar"><button id="back">Back</button><button id="none">No difference</button>
<button id="save">Download choices</button></div>
"""

_SCRIPT = """
const at = id => document.getElementById(id), last = PAIRS.length;
const store = 'blind-' + NAME;
let choices = {}, here = 0;
try { choices = JSON.parse(localStorage.getItem(store)) || {}; } catch (e) {}
while (here < last && choices[here + 1]) here++;
function show() {
  const done = Object.keys(choices).length;
  at('three').hidden = at('none').hidden = here >= last;
  at('three').style.display = here >= last ? 'none' : '';
  at('back').disabled = here === 0;
  if (here >= last) {
    at('where').textContent =
      done + ' of ' + last + ' pairs chosen. Download your choices. Thank you!';
    return;
  }
  const pair = PAIRS[here];
  at('where').textContent = 'Pair ' + (here + 1) + ' of ' + last + ', style: ' + pair[0];
  at('photo').src = PICTURES[pair[1]];
  at('left').firstChild.src = PICTURES[pair[2]];
  at('right').firstChild.src = PICTURES[pair[3]];
  for (const side of ['left', 'right', 'none'])
    at(side).classList.toggle('chosen', choices[here + 1] === side);
}
function choose(side) {
  if (here >= last) return;
  choices[here + 1] = side;
  try { localStorage.setItem(store, JSON.stringify(choices)); } catch (e) {}
  here++;
  show();
}
function back() { if (here > 0) { here--; show(); } }
function zoom() { at('three').classList.toggle('near'); }
function save() {
  const text = JSON.stringify({set: NAME, choices: choices}, null, 1);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  link.download = 'choices_' + NAME + '.json';
  link.click();
}
for (const side of ['left', 'right', 'none']) at(side).onclick = () => choose(side);
at('back').onclick = back;
at('photo').onclick = zoom;
at('save').onclick = save;
const keys = {ArrowLeft: () => choose('left'), ArrowRight: () => choose('right'),
  ArrowDown: () => choose('none'), Backspace: back, z: zoom};
addEventListener('keydown', event => {
  if (!keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (!event.repeat) keys[event.key]();
});
show();
"""


def blind_page(name: str, pairs: Iterable[tuple[str, Sequence[Image.Image]]]) -> str:
    """Return the page; nothing in it tells which method made a picture.

    Args:
        name: Of the set of pairs; choices carry it.
        pairs: The style, and photo, left and right picture of each pair.
    """
    pictures: dict[str, int] = {}
    rows: list[list[str | int]] = []
    for style, three in pairs:
        urls = [picture_url(picture) for picture in three]
        rows.append([style, *(pictures.setdefault(url, len(pictures)) for url in urls)])
    values = {"NAME": name, "PAIRS": rows, "PICTURES": list(pictures)}
    # "<" would let a name of a style end the script.
    lines = [f"const {k} = {json.dumps(v)};".replace("<", "\\u003c") for k, v in values.items()]
    return page(
        "Which would you hang?",
        [_BODY, f"<noscript>{html.escape('This page needs JavaScript.')}</noscript>"],
        style=_STYLE,
        script="\n".join([*lines, _SCRIPT]),
    )
