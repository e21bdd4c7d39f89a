"""HTML by hand: one file, one style sheet for dark and light, no script, nothing from elsewhere.

What is not made here is escaped here; functions named for an element return HTML, all others take plain text.
"""

from collections.abc import Mapping, Sequence
from html import escape

MOST_CHOICES = 24
STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #22252a; --faint: #666b73; --rule: #d9d9d3; --wash: #f3f3ee;
  --background: #0072b2; --analysis: #c14e00; --free: #77777d; --good: #00735a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e4e4e0; --faint: #9a9ea6; --rule: #3a3d42;
  --wash: #1f2226; --background: #56b4e9; --analysis: #e8853d; --free: #a0a0a6; --good: #3cc2a0; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.5rem 1.1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.55rem; font-weight: 600; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 2.6rem 0 .4rem; padding-top: .7rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; font-weight: 600; margin: 1.4rem 0 .3rem; }
p { max-width: 46rem; margin: .4rem 0; } .note { color: var(--faint); font-size: .9rem; }
nav { font-size: .9rem; margin: .8rem 0; } nav a { margin-right: .9rem; white-space: nowrap; }
a { color: var(--background); text-underline-offset: .15em; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; white-space: nowrap; vertical-align: baseline; }
th { font-weight: 500; color: var(--faint); border-bottom: 1px solid var(--rule); vertical-align: bottom;
  white-space: pre; }
td.text, th.text { text-align: left; } td.text:last-child { white-space: normal; overflow-wrap: anywhere; }
tbody tr:nth-child(even) { background: var(--wash); }
.figures { display: grid; gap: .9rem 1.4rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.figures.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
figure { margin: 0; } figure svg { display: block; width: 100%; height: auto; }
svg image { image-rendering: pixelated; }
figcaption { font-size: .85rem; color: var(--faint); }
pre { overflow-x: auto; background: var(--wash); padding: .8rem; font-size: .8rem; line-height: 1.4; }
.key { font-size: .85rem; color: var(--faint); } .key span { margin-right: 1.1rem; white-space: nowrap; }
.key i { display: inline-block; width: 1.5rem; border-top: 2px solid; vertical-align: middle; margin-right: .35rem; }
.state { font-weight: 600; } .bad { color: var(--bad); } .good { color: var(--good); }
.bar { height: .35rem; max-width: 30rem; background: var(--rule); margin: .7rem 0; }
.bar div { height: 100%; background: var(--background); }
.choice > input { position: absolute; opacity: 0; }
.choice > label { display: inline-block; padding: .1rem .5rem; margin: 0 .2rem .3rem 0; border: 1px solid var(--rule);
  border-radius: .3rem; font-size: .85rem; color: var(--faint); cursor: pointer; font-variant-numeric: tabular-nums; }
.choice > input:checked + label { color: var(--paper); background: var(--background); border-color: transparent; }
.choice > input:focus-visible + label { outline: 2px solid var(--analysis); }
.choice > div { display: none; }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--background); font-size: .9rem; }
""" + "\n".join(f".choice > input:nth-of-type({n}):checked ~ div:nth-of-type({n}) {{ display: block; }}"
                for n in range(1, MOST_CHOICES + 1)) + "\n"


def document(title: str, body: str, refresh_seconds: int = 0) -> str:
    """A whole page; with `refresh_seconds` it asks for itself again."""
    again = f'<meta http-equiv="refresh" content="{refresh_seconds}">\n' if refresh_seconds else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{again}<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def contents(titles: Mapping[str, str]) -> str:
    """Links to the sections of this page, by name."""
    links = " ".join(f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title in titles.items())
    return f"<nav>{links}</nav>"


def verbatim(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def section(name: str, title: str, *parts: str) -> str:
    """A heading that can be linked to as #name, and what stands under it."""
    inside = "\n".join(filter(None, parts))
    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n{inside}\n</section>'


def heading(title: str, state: str, reason: str = "") -> str:
    """The name of a page and, under it, how things stand; what needs somebody stands out."""
    mood = {"STALLED": " bad", "stopped": " bad", "complete": " good"}.get(state, "")
    told = f": {reason}" if reason else ""
    return f'<h1>{escape(title)}</h1>\n<p><span class="state{mood}">{escape(state)}</span>{escape(told)}</p>'


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Numbers to the right, the first `text_columns` to the left; a wide table scrolls by itself, and where all is text
    its last column, of sentences, is broken into lines."""
    def line(cells: Sequence[str], tag: str) -> str:
        texts = (' class="text"' if i < text_columns else "" for i in range(len(cells)))
        return "<tr>" + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>"
                                for kind, cell in zip(texts, cells, strict=True)) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="table">\n<table>\n'
            f"<thead>{line(header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>")


def figures(pictures: Sequence[str], wide: bool = False) -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="figures{" wide" if wide else ""}">\n' + "\n".join(pictures) + "\n</div>" if pictures else ""


def choice(name: str, parts: Mapping[str, str]) -> str:
    """HTML `parts` of which one is seen, the last at first: buttons by their names, through which arrow keys go.

    Raises ValueError where there are too many for the style sheet.
    """
    if len(parts) > MOST_CHOICES:
        raise ValueError(f"expected at most {MOST_CHOICES} to choose from, got {len(parts)}")
    buttons = [f'<input type="radio" name="{escape(name)}" id="{escape(name)}{n}"'
               f'{" checked" if n == len(parts) - 1 else ""}><label for="{escape(name)}{n}">{escape(title)}</label>'
               for n, title in enumerate(parts)]
    shown = (f"<div>{part}</div>" for part in parts.values())
    return f'<div class="choice">{"".join(buttons)}{"".join(shown)}</div>'


def folded(title: str, part: str) -> str:
    """HTML that is seen when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>\n{part}\n</details>" if part else ""


def figure(svg: str, caption: str = "") -> str:
    """`svg` is HTML and carries its own alternative text."""
    return f"<figure>{svg}" + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "") + "</figure>"


def key(**lines: str) -> str:
    """What lines mean: a colour of the style sheet by name -> its meaning; `_dashed` in a name says how it is drawn."""
    items = []
    for name, meaning in lines.items():
        colour, _, line = name.partition("_")
        items.append(f'<span><i style="border-color: var(--{colour}); border-top-style: {line or "solid"}"></i>'
                     f"{escape(meaning)}</span>")
    return f'<p class="key">{"".join(items)}</p>'
