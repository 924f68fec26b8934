"""Numbers and tables as the document shows them."""


def number(value):
    """Three digits that matter, thousands parted."""
    if value >= 100:
        digits = max(len(str(int(value))) - 3, 0)
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    """The middle, and in brackets least and greatest."""
    return f"{number(values['median'])} ({number(values['min'])}–{number(values['max'])})"


def millis(micros):
    """Milliseconds, from microseconds."""
    return number(micros / 1000)


def latency(summary):
    """p50, p99 and p99.9 in milliseconds, or why there are none."""
    if summary is None:
        return "–"
    due = summary["done"] + summary["behind"] + summary["failed"]
    if due == 0 or summary["behind"] > 0.01 * due:
        return "cannot keep up"
    shown = " / ".join(millis(summary["latency_us"][name]) for name in ("p50", "p99", "p999"))
    return f"{shown}; {summary['failed']} failed" if summary["failed"] else shown


def cpu(summary):
    """Microseconds of processor time for a request, by process."""
    return " + ".join(f"{number(us)} {name}" for name, us in summary["cpu_us"].items())


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def ratios(first, others, closed):
    """How `first` compares with each of the others, in requests a second of the same run."""
    mine = closed[first]["per_second"]["median"]
    known = [name for name in others if name in closed and closed[name]["per_second"]["median"] > 0]
    parts = [f"{mine / closed[name]['per_second']['median']:.2f} × {name}" for name in known]
    return f"{first} in the same run: {', '.join(parts)}." if parts else ""


def comparison(closed, opened):
    """A line for each contestant: throughput, processor time, latency at a fixed rate."""
    rows = []
    for name, result in closed.items():
        failed = f"; {result['failed']} failed" if result["failed"] else ""
        rows.append([name, spread(result["per_second"]) + failed, cpu(result), latency(opened.get(name))])
    return table(["", "requests/s (least–most)", "CPU-µs per request", "p50 / p99 / p99.9 ms at the fixed rate"], rows)
