"""The playground as a program that is watched from outside."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request


class Server:
    """Builds the program and starts it."""

    def __init__(self, root):
        subprocess.run(["cargo", "build", "--locked", "--quiet", "-p", "playground"], cwd=root, check=True)
        target = os.environ.get("CARGO_TARGET_DIR", root / "target")
        self.program = f"{target}/debug/playground"
        self.started = time.monotonic()
        self.process = subprocess.Popen([self.program, "--port", "0"], cwd=root, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]

    def again(self, run, out):
        """Does a saved run without the page."""
        subprocess.run([self.program, "--again", str(run), "--out", str(out)], check=True, capture_output=True)

    def ask(self, path, body=None):
        """Status and JSON of an answer."""
        try:
            with urllib.request.urlopen(self.address + path, body, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def memory(self):
        """Resident, in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

    def is_alive(self):
        return self.process.poll() is None and self.ask("api/offers")[0] == 200

    def end(self):
        self.process.terminate()
        self.process.wait()
