"""The machine the figures come from: its cores, its clock ticks, its programs, its ports."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """Something the measurement cannot do without is not there."""


def need(program, package):
    """Finds `program`, or installs Debian's `package`."""
    if shutil.which(program):
        return
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run([*root, "apt-get", "update", "-qq"], **quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    subprocess.run([*root, "env", "DEBIAN_FRONTEND=noninteractive", *install], **quiet)
    if not shutil.which(program):
        raise Trouble(f"{program} is not there and {package} did not bring it")


def target(repository):
    """Cargo's build folder."""
    told = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=repository, check=True, capture_output=True, text=True,
    )
    return pathlib.Path(json.loads(told.stdout)["target_directory"])


def cores():
    """The core of the proxy under test, and the cores of everything else."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Trouble("read one core; two are needed, one of them for the proxy alone")
    return {allowed[0]}, set(allowed[1:])


def pinned(cores_of_it):
    """What a child runs before its program, to stay on `cores_of_it`."""
    return lambda: os.sched_setaffinity(0, cores_of_it)


def free_port():
    """A port of the loopback address that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(what, holds, seconds=30):
    """Waits until `holds`, which is asked every 50 ms."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.05)
    raise Trouble(f"{what}: not within {seconds} s")


def tree(pid):
    """`pid` and its children, and theirs."""
    found, new = [], [pid]
    while new:
        found += new
        children = []
        for parent in new:
            for told in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
                children += [int(child) for child in told.read_text().split()]
        new = children
    return found


def cpu_seconds(pid):
    """User and system time of a process and its children so far."""
    def one(process):
        try:
            stat = pathlib.Path(f"/proc/{process}/stat").read_text()
        except FileNotFoundError:
            return 0
        fields = stat.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    return sum(one(process) for process in tree(pid)) / TICKS


def resident_kib(pid):
    """Memory a process and its children hold, KiB."""
    def one(process):
        for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0
    return sum(one(process) for process in tree(pid))


def describe():
    """What the figures depend on."""
    model = next(
        (line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
        "unknown",
    )
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    return {"cpu": model, "cores": os.cpu_count(), "load_before": float(load)}
