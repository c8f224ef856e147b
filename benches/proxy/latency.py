"""What a proxy adds to the time of a request at a rate all of them can carry."""

import statistics
import subprocess

import machine

RATE, CONNECTIONS = 4000, 32


def h2load(port, rate, connections, seconds, cores, folder, http1=True):
    """Response times in microseconds, and how many requests failed."""
    log = folder / "h2load.tsv"
    log.unlink(missing_ok=True)
    told = subprocess.run(
        [
            "h2load", *(["--h1"] if http1 else []), "-t1", f"-c{connections}", f"--rps={rate / connections}",
            f"-D{seconds}", "--warm-up-time=1", f"--log-file={log}", "-H", "cookie: user=u1",
            f"http://127.0.0.1:{port}/",
        ],
        check=True, capture_output=True, text=True, preexec_fn=machine.pinned(cores),
    )
    counted = next(line for line in told.stdout.splitlines() if line.startswith("requests:"))
    # requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout
    numbers = {part.split()[1]: int(part.split()[0]) for part in counted.partition(":")[2].split(",")}
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return times, numbers["failed"] + numbers["errored"] + numbers["timeout"]


def quantile(times, share):
    return times[min(len(times) - 1, int(share * len(times)))]


def measure(field, quick):
    rounds, seconds = (2, 3) if quick else (7, 8)
    direct = {"direct": lambda: (field.stable, None, lambda: None)}
    seen = {}
    for _ in range(rounds):
        for name, start in (direct | field.contestants()).items():
            port, _, stop = start()
            try:
                times, failed = h2load(port, RATE, CONNECTIONS, seconds, field.others, field.folder)
            finally:
                stop()
            seen.setdefault(name, []).append((quantile(times, 0.5), quantile(times, 0.99), failed))
    figures = {
        name: {
            "p50_us": statistics.median(run[0] for run in runs),
            "p99_us": statistics.median(run[1] for run in runs),
            "failed": sum(run[2] for run in runs),
        }
        for name, runs in seen.items()
    }
    for it in figures.values():
        it["added_p50_us"] = it["p50_us"] - figures["direct"]["p50_us"]
        it["added_p99_us"] = it["p99_us"] - figures["direct"]["p99_us"]
    return {"latency": figures, "latency_rate": RATE, "latency_connections": CONNECTIONS}
