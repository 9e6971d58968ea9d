#!/usr/bin/env python3
"""A terminal's screen as an SVG: `tmux capture-pane -e -p | packaging/pictures/terminal.py > packaging/pictures/watch.svg`."""
import html
import re
import sys

COLOURS = {"31": "#ff8f85", "32": "#6fd694", "33": "#f0bf5a"}
WIDTH, HEIGHT, LEFT, TOP = 7.8, 18, 16, 30


def spans(line):
    """(text, colour, bold, dim) of each piece"""
    colour, bold, dim, at = "#e6eaf0", False, False, 0
    for code in re.finditer(r"\x1b\[([\d;]*)m", line):
        if code.start() > at:
            yield line[at:code.start()], colour, bold, dim
        at = code.end()
        for part in (code[1] or "0").split(";"):
            if part in ("0", ""):
                colour, bold, dim = "#e6eaf0", False, False
            elif part == "1":
                bold = True
            elif part == "2":
                dim = True
            elif part == "22":
                bold = dim = False
            elif part == "39":
                colour = "#e6eaf0"
            else:
                colour = COLOURS.get(part, colour)
    if at < len(line):
        yield line[at:], colour, bold, dim


def main():
    lines = [line.rstrip("\n") for line in sys.stdin]
    while lines and not re.sub(r"\x1b\[[\d;]*m", "", lines[-1]).strip():
        lines.pop()
    columns = max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines)
    width, height = LEFT * 2 + columns * WIDTH, TOP + 12 + len(lines) * HEIGHT
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
          'font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace" font-size="13">')
    print(f'<rect width="100%" height="100%" rx="8" fill="#12161c"/>')
    for row, line in enumerate(lines):
        column = 0
        for text, colour, bold, dim in spans(line):
            if text.strip():
                style = f' font-weight="700"' if bold else ""
                style += ' opacity="0.65"' if dim else ""
                print(f'<text x="{LEFT + column * WIDTH:.1f}" y="{TOP + row * HEIGHT}" textLength="{len(text) * WIDTH:.1f}" '
                      f'xml:space="preserve" fill="{colour}"{style}>{html.escape(text)}</text>')
            column += len(text)
    print("</svg>")


if __name__ == "__main__":
    main()
