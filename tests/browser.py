"""A headless Chromium, driven over the two pipes of its DevTools protocol; needs no package."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from select import select

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
FLAGS = (
    *("--headless=new", "--disable-gpu", "--no-sandbox", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
# Chromium reads from 3 and writes to 4; the pipes may have any numbers, these two included.
START = """
import os, sys
kept = [os.dup2(int(number), place) for number, place in zip(sys.argv[1:3], (1001, 1002))]
os.dup2(kept[0], 3)
os.dup2(kept[1], 4)
os.closerange(5, 1003)
os.execv(sys.argv[3], sys.argv[3:])
"""
LIMIT = 60  # seconds that turn a hang into a failure


def find_chromium():
    """Return the program, None where there is none. ``PURESID_CHROMIUM`` names one."""
    named = os.environ.get("PURESID_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser. `problems` and `requests` are what it said and asked for so far."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="puresid-browser-")
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()

        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", START, str(commands), str(answers)),
                *(program, f"--user-data-dir={self.folder}", *FLAGS),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
        )
        os.close(commands)
        os.close(answers)
        self.number = 0
        self.session = None
        self.rest = b""
        self.events = deque()
        self.problems = []
        self.requests = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        """End the browser and remove its folder."""
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **parameters):
        """Send a command and return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _read(self):
        while b"\0" not in self.rest:
            ready, _, _ = select([self.answers], [], [], LIMIT)
            assert ready, f"no answer from the browser within {LIMIT} s"
            piece = os.read(self.answers, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        method, said = event["method"], event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(said["exceptionDetails"].get("exception", {}).get("description"))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.problems.append(str([part.get("value") for part in said["args"]]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.problems.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def open(self, path, ready="document.readyState === 'complete'"):
        """Open a file and wait until an expression is true."""
        self.problems.clear()
        self.requests.clear()
        self.evaluate("document.documentElement.dataset.left = 'true'")
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait(f"!document.documentElement.dataset.left && ({ready})")

    def evaluate(self, expression):
        """Return the value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression):
        """Wait until an expression is true."""
        end = time.monotonic() + LIMIT
        while not self.evaluate(f"(() => {{ try {{ return !!({expression}); }} catch {{}} }})()"):
            assert time.monotonic() < end, f"not within {LIMIT} s: {expression}"
            time.sleep(0.02)

    def press(self, key):
        """Press a key such as Enter or ArrowDown."""
        codes = {"Enter": 13, "End": 35, "Home": 36, "Tab": 9}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text):
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """Click with the mouse on the first element of a selector, after scrolling to it."""
        place = self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); "
            "one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect(); "
            "return {x: box.x + Math.min(box.width / 2, 40), y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def screen(self, width, scheme="light", height=900):
        """Set the width of the window and the colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self):
        """Return a PNG of the whole page, in base64."""
        return self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
