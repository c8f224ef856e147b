"""A load that notes when each request was sent and what answered it."""

import subprocess
import time

CONNECTIONS = 32


def now():
    """Microseconds since 1970, as h2load notes them."""
    return time.time_ns() // 1000


class Load:
    """h2load at a rate, from entering to leaving."""

    def __init__(self, port, rate, folder):
        self.log = folder / "requests.tsv"
        self.log.unlink(missing_ok=True)
        self.command = [
            "h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"--rps={rate / CONNECTIONS}", "-D600",
            f"--log-file={self.log}", f"http://127.0.0.1:{port}/",
        ]
        self.lost = 0

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        # Stopped in the middle, h2load leaves a log whose last line may be cut.
        self.process.terminate()
        self.process.communicate()

    def wait(self, seconds):
        time.sleep(seconds)

    def requests(self):
        """When each was sent, and the status that came; -1 where none did."""
        text = self.log.read_text()
        whole = text[: text.rfind("\n") + 1]
        return [(int(sent), int(status)) for sent, status, _ in (line.split("\t") for line in whole.splitlines())]
