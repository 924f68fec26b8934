"""Plain pictures, readable on light and on dark paper."""

from html import escape

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; } .title { font-weight: 600; font-size: 15px; }
.axis { stroke: #8c959f; stroke-width: 1; fill: none; } .other { fill: #8c959f; } .mine { fill: #0969da; }
.line0 { stroke: #0969da; } .line1 { stroke: #bf8700; } .line2 { stroke: #1a7f37; } .line3 { stroke: #8250df; }
.dot0 { fill: #0969da; } .dot1 { fill: #bf8700; } .dot2 { fill: #1a7f37; } .dot3 { fill: #8250df; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .mine { fill: #58a6ff; } .other { fill: #6e7681; }
.line0 { stroke: #58a6ff; } .line1 { stroke: #d29922; } .line2 { stroke: #3fb950; } .line3 { stroke: #bc8cff; }
.dot0 { fill: #58a6ff; } .dot1 { fill: #d29922; } .dot2 { fill: #3fb950; } .dot3 { fill: #bc8cff; } }
</style>"""
WIDTH = 760


def picture(height, title, parts):
    """A whole file."""
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-label="{escape(title, quote=True)}">')
    return "\n".join([head, STYLE, f'<text class="title" x="10" y="24">{escape(title)}</text>', *parts, "</svg>\n"])


def shown(value):
    """A number short enough for a picture."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bars(title, values, mine):
    """Lying bars; those whose name begins with `mine` stand out."""
    left, row = 270, 26
    longest = max([*values.values(), 1e-9])
    parts = []
    for at, (name, value) in enumerate(values.items()):
        y = 44 + at * row
        width = max((WIDTH - left - 90) * value / longest, 1)
        kind = "mine" if name.startswith(mine) else "other"
        parts += [f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
                  f'<rect class="{kind}" x="{left}" y="{y}" width="{width:.1f}" height="18" rx="3"/>',
                  f'<text x="{left + width + 8:.1f}" y="{y + 14}">{shown(value)}</text>']
    return picture(56 + row * len(values), title, parts)


def lines(title, across, series):
    """A line for each of `series`, over the places `across`, all the same distance apart; both axes begin at zero."""
    left, top, bottom = 80, 48, 300
    height = bottom + 40 + 22 * ((len(series) + 1) // 2)
    most = max([value for values in series.values() for value in values if value is not None] + [1e-9])
    step = (WIDTH - left - 40) / max(len(across) - 1, 1)

    def at(i, value):
        return f"{left + i * step:.1f},{bottom - (bottom - top) * value / most:.1f}"

    parts = [f'<path class="axis" d="M{left},{top} V{bottom} H{WIDTH - 30}"/>']
    for share in (0.5, 1):
        y = bottom - (bottom - top) * share
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{shown(most * share)}</text>')
    for i, name in enumerate(across):
        parts.append(f'<text x="{left + i * step:.1f}" y="{bottom + 20}" text-anchor="middle">{escape(str(name))}</text>')
    for n, (name, values) in enumerate(series.items()):
        points = [at(i, value) for i, value in enumerate(values) if value is not None]
        parts.append(f'<polyline class="line{n % 4}" fill="none" stroke-width="2.5" points="{" ".join(points)}"/>')
        for point in points:
            x, y = point.split(",")
            parts.append(f'<circle class="dot{n % 4}" cx="{x}" cy="{y}" r="3.5"/>')
        x, y = left + n % 2 * 320, bottom + 36 + n // 2 * 22
        parts += [f'<rect class="dot{n % 4}" x="{x}" y="{y}" width="12" height="12"/>',
                  f'<text x="{x + 18}" y="{y + 11}">{escape(name)}</text>']
    return picture(height, title, parts)
