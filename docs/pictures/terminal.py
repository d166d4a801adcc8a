#!/usr/bin/env python3
"""Draws what a program writes to a terminal as an SVG, light or dark as the reader prefers.

    PATH=$PWD/target/release:$PATH TMPDIR=/tmp script -qec 'everfold demo' /dev/null \
        | docs/pictures/terminal.py 'everfold demo' > docs/pictures/demo.svg

Standard input is the program's output with its colours, the first argument the title. Further ones,
as 40-52, are lines to leave out; a ⋮ stands for them.
"""
import re
import sys
from html import escape

SIZE, WIDTH, HEIGHT, PAD, HEAD = 13, 7.83, 18, 18, 34
COLOURS = {31: "red", 32: "green", 33: "yellow", 34: "blue", 35: "purple", 36: "cyan"}
LIGHT = {"back": "#ffffff", "edge": "#d0d7de", "text": "#1f2328", "dim": "#6e7781", "red": "#cf222e", "green": "#1a7f37",
         "yellow": "#9a6700", "blue": "#0969da", "purple": "#8250df", "cyan": "#0b7285"}
DARK = {"back": "#0d1117", "edge": "#30363d", "text": "#e6edf3", "dim": "#8b949e", "red": "#ff7b72", "green": "#3fb950",
        "yellow": "#d29922", "blue": "#58a6ff", "purple": "#bc8cff", "cyan": "#56d4dd"}
FONT = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'


def palette(colours):
    rules = [f"rect {{ fill: {colours['back']}; stroke: {colours['edge']} }}", f"path {{ stroke: {colours['edge']} }}"]
    rules.append(f"text {{ fill: {colours['text']} }}")
    rules += [f".{name} {{ fill: {colours[name]} }}" for name in ["dim", *COLOURS.values()]]
    return " ".join(rules)


STYLE = f"""
text {{ font-family: {FONT}; font-size: {SIZE}px; white-space: pre }} .b {{ font-weight: 700 }}
{palette(LIGHT)}
@media (prefers-color-scheme: dark) {{ {palette(DARK)} }}
"""


def spans(line):
    """Yields (column, text, classes) for each piece of one look."""
    bold, colour, column = False, "", 0
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if not code:
            # A piece ends where a reader's eye needs the column again.
            for part in re.finditer(r"\S+(?: \S+)*", piece):
                look = " ".join(filter(None, ["b" if bold else "", colour]))
                yield column + part.start(), part.group(), look
            column += len(piece)
            continue
        for number in (int(n or 0) for n in code.group(1).split(";")):
            if number == 0:
                bold, colour = False, ""
            elif number == 1:
                bold = True
            elif number == 2:
                colour = "dim"
            elif number == 22:
                bold, colour = False, "" if colour == "dim" else colour
            elif number == 39:
                colour = ""
            elif number in COLOURS:
                colour = COLOURS[number]


def main():
    title, left_out = sys.argv[1], sys.argv[2:]
    lines = sys.stdin.read().replace("\r", "").rstrip("\n").split("\n")
    for first, last in reversed([map(int, part.split("-")) for part in left_out]):
        indent = len(lines[first - 1]) - len(lines[first - 1].lstrip())
        lines[first - 1 : last] = [" " * max(indent, 6) + "\x1b[2m⋮\x1b[0m"]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = round(max(map(len, plain)) * WIDTH + 2 * PAD)
    height = len(lines) * HEIGHT + HEAD + 2 * PAD
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        f'<path d="M0 {HEAD}.5H{width}"/>',
        f'<text class="dim" x="{width / 2:.0f}" y="22" text-anchor="middle">{escape(title)}</text>',
    ]
    for number, line in enumerate(lines):
        y = HEAD + PAD + number * HEIGHT + SIZE
        for column, text, look in spans(line):
            kind = f' class="{look}"' if look else ""
            length = f' textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"' if len(text) > 1 else ""
            out.append(f'<text{kind} x="{PAD + column * WIDTH:.1f}" y="{y}"{length}>{escape(text)}</text>')
    print("\n".join(out + ["</svg>"]))


if __name__ == "__main__":
    main()
