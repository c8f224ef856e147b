"""A minute at 70 % of what it can do: memory at the beginning and at the end."""

import latency
import machine

SECONDS, CONNECTIONS = 60, 64


def measure(field, figures):
    rate = int(0.7 * figures["throughput"]["sluice"]["32"]["per_second"])
    port, pid, _ = field.start_sluice()
    seen = {}
    for name, http1 in [("http/1.1", True), ("http/2", False)]:
        latency.h2load(port, rate, CONNECTIONS, 5, field.others, field.folder, http1)
        before = machine.resident_kib(pid)
        times, failed = latency.h2load(port, rate, CONNECTIONS, SECONDS, field.others, field.folder, http1)
        after = machine.resident_kib(pid)
        seen[name] = {"requests": len(times), "failed": failed, "rss_kib_before": before, "rss_kib_after": after}
    return {"soak": seen, "soak_rate": rate}
