"""Writes what was measured: JSON, a text, and pictures. The text between two marks of the document is replaced."""

import json

import goals
from bed import ROOT

BEGIN, END = "<!-- measured: from here -->", "<!-- measured: to here -->"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "images"


def where(about):
    """What has to be the same for figures to be of one run."""
    return [about[name] for name in ("commit", "cpu", "cores", "memory_gib", "kernel")]


def machine(group):
    """One paragraph for rows that were measured in one place."""
    about, programs = group[0], {}
    for one in group:
        programs.update(one["versions"])
    versions = ", ".join(f"{name} {version}" for name, version in sorted(programs.items(), key=str))
    return (f"Measured {about['at']} at commit {about['commit']} on {about['cpu']}, {about['cores']} cores, "
            f"{about['memory_gib']} GiB, Linux {about['kernel']}; {versions}. Everything, the generator included, "
            "shares these cores and speaks over loopback.")


def section(row, result, folder):
    """The text of one row, with its pictures."""
    parts = [f"## {row.TITLE}", row.markdown(result["result"])]
    parts += [f"![{name}]({folder}/bench-{name}.svg)" for name in row.plots(result["result"])]
    return "\n\n".join(parts)


def text(rows, results, folder):
    """All that was measured. Rows that were measured elsewhere, or at another commit, say so."""
    parts, groups = [], {}
    for name in rows:
        if name in results:
            groups.setdefault(str(where(results[name]["machine"])), []).append(name)
    for at, names in enumerate(groups.values()):
        parts.append(machine([results[name]["machine"] for name in names]))
        if at == 0:
            parts.append(goals.markdown(results))
        parts += [section(rows[name], results[name], folder) for name in names]
    return "\n\n".join(parts) + "\n"


def write_pictures(rows, results, folder):
    """One file for each plot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, row in rows.items():
        if name in results:
            for picture, svg in row.plots(results[name]["result"]).items():
                (folder / f"bench-{picture}.svg").write_text(svg)


def save(rows, results, short):
    """Writes a short run beside its JSON, a full one into the document."""
    folder = ROOT / "target" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{'short' if short else 'full'}.json").write_text(json.dumps(results, indent=1) + "\n")
    if short:
        (folder / "short.md").write_text(text(rows, results, "."))
        write_pictures(rows, results, folder)
        return folder / "short.md"
    head, _, rest = DOCUMENT.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    DOCUMENT.write_text(f"{head}{BEGIN}\n\n{text(rows, results, 'images')}\n{END}{tail}")
    write_pictures(rows, results, PICTURES)
    return DOCUMENT


def earlier(short):
    """What was measured before; rows that are not measured again stay."""
    path = ROOT / "target" / "bench" / f"{'short' if short else 'full'}.json"
    return json.loads(path.read_text()) if path.exists() else {}
