"""Who is asked to roll back: each brings a canary to 50 %, and takes it away again."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

import machine
import peers

EVERYWHERE = os.sched_getaffinity(0)
BACKEND = peers.HERE / "backend"


def program():
    repository = peers.HERE.parents[1]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--package", "cli"], cwd=repository, check=True)
    return machine.target(repository) / "release" / "sluice"


class Sluice:
    """The controller with its embedded proxy, asked over its API."""

    name, settle = "sluice", 0.3

    def __init__(self, folder):
        self.folder, self.program = folder, program()

    def __enter__(self):
        self.api, self.port = machine.free_port(), machine.free_port()
        state = self.folder / "sluice"
        up = [self.program, "up", "--listen", f"127.0.0.1:{self.api}", "--state", state]
        self.up = peers.Running(up, EVERYWHERE, self.folder, "up")
        machine.until("the controller answers", lambda: peers.answers(self.api, "/healthz"))
        self.token = (state / "token").read_text().strip()
        self.plan = f"""
service: shop
listen: 127.0.0.1:{self.port}
run: {{ command: ["{BACKEND}", "{{version}}", "{{port}}", "{self.folder}"] }}
health: {{ path: /health, every: 100ms }}
drain: 100ms
stages:
  - {{ name: half, traffic: 50%, for: 1h, gates: {{ error_rate: below 1% }} }}
  - {{ name: all, traffic: 100%, gates: {{ error_rate: below 1% }} }}
"""
        self.until(self.create("v1"), "promoted")
        self.last = None
        return self

    def __exit__(self, *_):
        self.up.stop()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=30)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        if answer.status >= 300:
            raise machine.Trouble(f"{method} {path}: {answer.status} {told}")
        return told

    def create(self, version):
        asked = {
            "plan_name": "sluice.yaml", "plan": self.plan, "version": version,
            "directory": str(self.folder), "again": True,
        }
        return self.ask("POST", "/api/rollouts", asked)["id"]

    def until(self, rollout, state):
        machine.until(f"{rollout} is {state}", lambda: self.ask("GET", f"/api/rollouts/{rollout}")["state"] == state)

    def canary(self):
        if self.last:
            self.until(self.last, "rolled back")
        self.last = self.create("v2")
        self.until(self.last, "running")

    def roll_back(self):
        self.ask("POST", f"/api/rollouts/{self.last}/rollback", {"why": "measured"})


class Pair:
    """Two versions that run by themselves."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.ports = [machine.free_port() for _ in range(2)]
        self.running = [
            peers.Running([BACKEND, version, port, self.folder], EVERYWHERE, self.folder, version)
            for version, port in zip(("v1", "v2"), self.ports)
        ]
        for port in self.ports:
            machine.until("a version answers", lambda: peers.answers(port, "/health"))
        self.port = machine.free_port()
        self.start()
        machine.until(f"{self.name} answers", lambda: peers.answers(self.port))
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.stop()

    def run(self, command):
        self.running.append(peers.Running(command, EVERYWHERE, self.folder, self.name))


class Nginx(Pair):
    """A configuration without the canary, and a reload."""

    name, settle = "nginx reload", 1.5

    def write(self, percent):
        split = f"{percent}% canary; * stable;" if percent else "* stable;"
        (self.folder / "front.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {self.folder}/front.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {self.folder}/front-body;
    proxy_temp_path {self.folder}/front-proxy;
    split_clients $request_id $track {{ {split} }}
    upstream stable {{ server 127.0.0.1:{self.ports[0]}; keepalive 256; }}
    upstream canary {{ server 127.0.0.1:{self.ports[1]}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location / {{ proxy_pass http://$track; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""")

    def start(self):
        self.write(50)
        conf = self.folder / "front.conf"
        self.run(["nginx", "-p", self.folder, "-e", self.folder / "front.err", "-c", conf])

    def reload(self, percent):
        self.write(percent)
        os.kill(self.running[-1].pid, signal.SIGHUP)

    def canary(self):
        self.reload(50)
        time.sleep(1)

    def roll_back(self):
        self.reload(0)


class Haproxy(Pair):
    """The canary's weight over the runtime socket."""

    name, settle = "haproxy socket", 0.3

    def start(self):
        self.socket = self.folder / "haproxy.sock"
        conf = self.folder / "front.cfg"
        conf.write_text(f"""
global
    nbthread 1
    maxconn 8192
    stats socket {self.socket} level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1h
    timeout server 1m
    http-reuse always
frontend in
    bind 127.0.0.1:{self.port}
    default_backend shop
backend shop
    balance roundrobin
    server stable 127.0.0.1:{self.ports[0]} weight 50
    server canary 127.0.0.1:{self.ports[1]} weight 50
""")
        self.run(["haproxy", "-db", "-f", conf])

    def weight(self, weight):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(f"set server shop/canary weight {weight}\n".encode())
            while connection.recv(4096):
                pass

    def canary(self):
        self.weight(50)

    def roll_back(self):
        self.weight(0)
