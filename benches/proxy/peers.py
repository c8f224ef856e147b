"""The field: two backends, and every proxy in front of them, one at a time."""

import json
import os
import pathlib
import signal
import subprocess
import urllib.error
import urllib.request

import machine

HERE = pathlib.Path(__file__).resolve().parent
# The cookie that names a user; every proxy splits by it.
COOKIE = "user"


class Running:
    """A process on its cores, stopped at the end."""

    def __init__(self, command, cores, folder, name, env=None):
        self.log = open(folder / f"{name}.log", "ab")
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=machine.pinned(cores), env={**os.environ, **(env or {})},
        )
        self.pid = self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def answers(port, path="/"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return 200 <= answer.status < 300
    except (urllib.error.URLError, OSError):
        return False


class Field:
    """Sluice's controller runs the backends; its proxy, nginx and HAProxy stand in front."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.own, self.others = machine.cores()
        self.running = []

    def __enter__(self):
        try:
            self.release()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        versions = self.versions()
        for process in reversed(self.running):
            process.stop()
        # With proxies of their own, versions go on without their controller, as they should.
        for pid in versions:
            os.kill(pid, signal.SIGTERM)

    def versions(self):
        """The processes of stable and canary, from `ready on 127.0.0.1:4711 (pid 12)`."""
        try:
            ready = [track["process"] for track in self.view()["tracks"]]
        except (machine.Trouble, ValueError):
            return []
        return [int(told.rpartition("(pid ")[2].rstrip(")")) for told in ready if "(pid " in told]

    def sluice(self, *args):
        """A command of Sluice; what it printed."""
        env = {**os.environ, "SLUICE_URL": f"http://127.0.0.1:{self.api}", "SLUICE_STATE": str(self.state)}
        told = subprocess.run([self.program, *args], env=env, capture_output=True, text=True)
        if told.returncode not in (0, 5):
            raise machine.Trouble(f"sluice {' '.join(args)}: {told.stderr}{told.stdout}")
        return told.stdout

    def release(self):
        """v1 is stable, v2 stays in its first stage at 10 %."""
        self.api, self.front = machine.free_port(), machine.free_port()
        self.state, self.plan = self.folder / "state", self.folder / "sluice.yaml"
        self.plan.write_text(f"""
service: shop
listen: 127.0.0.1:{self.front}
run: {{ command: ["{HERE}/backend", "{{version}}", "{{port}}", "{self.folder}"] }}
health: /health
sticky: {{ cookie: {COOKIE} }}
stages:
  - {{ name: some, traffic: 10%, for: 30d, gates: {{ error_rate: below 1%, p99: below 300ms }} }}
  - {{ name: all, traffic: 100%, gates: {{ error_rate: below 1% }} }}
""")
        up = ["up", "--no-proxy", "--listen", f"127.0.0.1:{self.api}", "--state", self.state]
        self.running.append(Running([self.program, *up], self.others, self.folder, "controller"))
        machine.until("the controller answers", lambda: answers(self.api, "/healthz"))
        proxy = [
            "proxy", "--controller", f"http://127.0.0.1:{self.api}", "--token-file", self.state / "token",
            "--state", self.folder / "proxy", "--proxy-threads", "1", "--name", "bench",
        ]
        self.own_proxy = Running([self.program, *proxy], self.own, self.folder, "proxy")
        self.running.append(self.own_proxy)
        self.sluice("start", str(self.plan), "--version", "v1", "--wait", "--timeout", "60s")
        self.sluice("start", str(self.plan), "--version", "v2")
        machine.until("v2 is in its first stage", lambda: self.view()["state"] == "running")
        machine.until("the proxy serves", lambda: answers(self.front))
        self.stable, self.canary = (self.backend(track) for track in ("stable", "canary"))

    def view(self):
        return json.loads(self.sluice("status", "shop-2", "--output", "json"))

    def backend(self, name):
        """The port of a track's backend, from `ready on 127.0.0.1:4711 (pid 12)`."""
        track = next(it for it in self.view()["tracks"] if it["track"] == name)
        return int(track["process"].split()[2].rpartition(":")[2])

    def contestants(self):
        """Each proxy's name and how it is started; the port it answers on, its process."""
        return {"sluice": self.start_sluice, "nginx": self.start_nginx, "haproxy": self.start_haproxy}

    def start_sluice(self):
        return self.front, self.own_proxy.pid, lambda: None

    def start_nginx(self):
        return self.start_peer("nginx", "nginx.conf", lambda conf: ["nginx", "-p", self.folder, "-e", self.folder / "nginx.err", "-c", conf])

    def start_haproxy(self):
        return self.start_peer("haproxy", "haproxy.cfg", lambda conf: ["haproxy", "-db", "-f", conf])

    def start_peer(self, name, template, command):
        port = machine.free_port()
        text = (HERE / template).read_text()
        for word, value in [
            ("@PORT@", port), ("@STABLE@", self.stable), ("@CANARY@", self.canary), ("@FOLDER@", self.folder),
        ]:
            text = text.replace(word, str(value))
        conf = self.folder / template
        conf.write_text(text)
        peer = Running(command(conf), self.own, self.folder, name)
        try:
            machine.until(f"{name} answers", lambda: answers(port))
        except machine.Trouble:
            peer.stop()
            raise
        return port, peer.pid, peer.stop
