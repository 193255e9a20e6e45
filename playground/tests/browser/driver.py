"""A browser without a window, by the WebDriver protocol: Chromium and chromedriver, nothing from PyPI."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PROGRAMS = {"browser": ["chromium", "chromium-browser", "google-chrome"], "driver": ["chromedriver"]}


def find(what):
    """The path of the browser or of its driver; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS[what])), None)


class Driver:
    """The program that starts browsers."""

    def __init__(self):
        self.process = subprocess.Popen([find("driver"), "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "started successfully on port" in line:
                self.address = f"http://127.0.0.1:{line.rstrip('.' + chr(10)).split()[-1]}"
                return
        raise RuntimeError("chromedriver does not start")

    def call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def end(self):
        self.process.terminate()
        self.process.wait()


class Browser:
    """One window, perhaps with several tabs."""

    def __init__(self, driver, width, height, dark=False):
        self.driver = driver
        self.profile = tempfile.mkdtemp(prefix="playground-")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self.profile}"]
        arguments += [f"--window-size={width},{height}"] + (["--force-dark-mode"] if dark else [])
        chrome = {"binary": find("browser"), "args": arguments}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        session = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = f"/session/{session['sessionId']}"

    def call(self, method, path, body=None):
        return self.driver.call(method, self.path + path, body)

    def go(self, address):
        self.call("POST", "/url", {"url": address})

    def phone(self, width, height):
        """The viewport of a telephone, which no window is as narrow as."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        self.devtools("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def devtools(self, command, parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        """What a script returns; it may wait."""
        code = f"return (async () => {{ {script} }})()"
        return self.call("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def find(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return found[ELEMENT]

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click")

    def type(self, selector, text):
        element = self.find(selector)
        self.call("POST", f"/element/{element}/clear")
        self.call("POST", f"/element/{element}/value", {"text": text})

    def upload(self, selector, path):
        self.call("POST", f"/element/{self.find(selector)}/value", {"text": str(path)})

    def keys(self, *keys):
        """Presses keys one after the other, wherever the focus is."""
        strokes = [stroke for key in keys for stroke in ({"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def drag(self, selector, points, kind="mouse"):
        """A stroke through points, each a share of the element's width and height."""
        box = self.run("const b = document.querySelector('%s'); b.scrollIntoView({ block: 'center' });"
                       "const r = b.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]" % selector)
        places = [(round(box[0] + x * box[2]), round(box[1] + y * box[3])) for x, y in points]
        move = lambda place: {"type": "pointerMove", "duration": 50, "x": place[0], "y": place[1]}
        steps = [move(places[0]), {"type": "pointerDown", "button": 0}]
        steps += [move(place) for place in places[1:]] + [{"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": steps}
        self.call("POST", "/actions", {"actions": [pointer]})

    def until(self, script, what, seconds=90):
        """Waits until a script returns something true, and returns that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what}; the page says: {self.status()}")

    def status(self):
        return self.run("return document.getElementById('status')?.textContent")

    def screenshot(self, path):
        """Of the whole page, not of the window alone."""
        size = self.run("const d = document.documentElement; return [d.clientWidth, d.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        picture = self.devtools("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(picture["data"]))

    def complaints(self):
        """What the browser's console says is wrong."""
        lines = self.call("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] == "SEVERE"]

    def new_tab(self):
        handle = self.call("POST", "/window/new", {"type": "tab"})["handle"]
        self.to_tab(handle)
        return handle

    def tab(self):
        return self.call("GET", "/window")

    def to_tab(self, handle):
        self.call("POST", "/window", {"handle": handle})

    def end(self):
        self.call("DELETE", "")
        shutil.rmtree(self.profile, ignore_errors=True)
