"""As many requests as one core of proxy can carry: what each costs it."""

import json
import pathlib
import statistics
import subprocess

import machine

CONNECTIONS = [32, 128]
HERE = pathlib.Path(__file__).resolve().parent


def wrk(port, connections, seconds, cores):
    told = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "users.lua", f"http://127.0.0.1:{port}/"],
        check=True, capture_output=True, text=True, preexec_fn=machine.pinned(cores),
    )
    return json.loads(told.stdout.strip().splitlines()[-1])


def one(field, start, connections, seconds):
    """CPU microseconds a request, requests a second, errors."""
    port, pid, stop = start()
    try:
        wrk(port, connections, 1, field.others)
        before = machine.cpu_seconds(pid)
        load = wrk(port, connections, seconds, field.others)
        spent = machine.cpu_seconds(pid) - before
    finally:
        stop()
    return {
        "cpu_us": spent * 1e6 / load["requests"],
        "per_second": load["requests"] * 1e6 / load["micros"],
        "errors": load["errors"],
    }


def measure(field, quick):
    rounds, seconds = (3, 3) if quick else (9, 5)
    seen = {}
    for connections in CONNECTIONS:
        for _ in range(rounds):
            for name, start in field.contestants().items():
                seen.setdefault((name, connections), []).append(one(field, start, connections, seconds))
    figures = {}
    for (name, connections), runs in seen.items():
        figures.setdefault(name, {})[str(connections)] = {
            "cpu_us": round(statistics.median(run["cpu_us"] for run in runs), 2),
            "cpu_us_low": round(min(run["cpu_us"] for run in runs), 2),
            "cpu_us_high": round(max(run["cpu_us"] for run in runs), 2),
            "per_second": round(statistics.median(run["per_second"] for run in runs)),
            "errors": sum(run["errors"] for run in runs),
        }
    ratios = {}
    for connections in map(str, CONNECTIONS):
        best = min(figures[peer][connections]["cpu_us"] for peer in ("nginx", "haproxy"))
        ratios[connections] = round(figures["sluice"][connections]["cpu_us"] / best, 3)
    return {"throughput": figures, "rounds": rounds, "cpu_ratio_to_best_peer": ratios}
