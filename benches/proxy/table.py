"""The figures as Markdown."""


def rows(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for line in lines:
        yield "| " + " | ".join(str(cell) for cell in line) + " |"


def throughput(figures):
    yield f"CPU a request on one core, closed loop, 1 KiB, median of {figures['rounds']} interleaved rounds (lowest to highest):"
    yield ""
    for connections, ratio in figures["cpu_ratio_to_best_peer"].items():
        lines = [
            (name, f"{it['cpu_us']} µs ({it['cpu_us_low']} to {it['cpu_us_high']})", it["per_second"], it["errors"])
            for name, by in figures["throughput"].items()
            for it in [by[connections]]
        ]
        yield from rows([f"{connections} connections", "CPU a request", "requests/s", "errors"], lines)
        yield ""
        yield f"Sluice to the better of the two: **{ratio}**"
        yield ""


def latency(figures):
    yield f"Latency at {figures['latency_rate']} requests/s, {figures['latency_connections']} connections, microseconds:"
    yield ""
    lines = [
        (name, it["p50_us"], it["p99_us"], it["added_p50_us"], it["added_p99_us"], it["failed"])
        for name, it in figures["latency"].items()
    ]
    yield from rows(["", "p50", "p99", "added p50", "added p99", "failed"], lines)
    yield ""


def soak(figures):
    yield f"A minute at {figures['soak_rate']} requests/s (70 %), memory of the proxy:"
    yield ""
    lines = [
        (name, it["requests"], it["failed"], f"{it['rss_kib_before']} KiB", f"{it['rss_kib_after']} KiB")
        for name, it in figures["soak"].items()
    ]
    yield from rows(["", "requests", "failed", "before", "after"], lines)
    yield ""


def render(figures):
    it = figures["machine"]
    lines = [f"{it['cpu']}, {it['cores']} cores, load {it['load_before']} before.", ""]
    lines += [*throughput(figures), *latency(figures)]
    if "soak" in figures:
        lines += soak(figures)
    return "\n".join(lines).rstrip()
