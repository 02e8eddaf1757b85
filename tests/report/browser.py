"""Debian's Chromium without a display or a network, spoken to through a pipe (the DevTools protocol)."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
import pytest

PROGRAM = "chromium"
PATIENCE_S = 120


def required_browser():
    """Skip where there is no browser to test in; CI has one, and fails instead."""
    if shutil.which(PROGRAM) is None:
        (pytest.fail if os.environ.get("BROWSER_REQUIRED") else pytest.skip)(f"there is no {PROGRAM}")


class Browser:
    """One window, with everything that it complained of and asked for."""

    def __init__(self, folder):
        commands, here = os.pipe()
        there, answers = os.pipe()
        options = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--mute-audio"]
        options += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-component-update"]
        options += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
        # an empty network namespace: a request could not leave even if a page made one
        isolated = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        # DevTools reads from 3 and writes to 4
        plugged = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *isolated, PROGRAM, *options]
        with (folder / "chromium.log").open("wb") as log:
            self.process = subprocess.Popen(plugged, pass_fds=(commands, answers), stderr=log)
        os.close(commands)
        os.close(answers)
        self.commands, self.answers = here, there
        self.rest, self.count, self.session = b"", 0, None
        self.complaints, self.requests = [], []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.commands)
        os.close(self.answers)

    def call(self, method, **parameters):
        """Send one command and wait for its answer."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser says nothing"
            piece = os.read(self.answers, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(parameters["entry"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "warning", "assert"}:
            self.complaints.append(parameters["args"])

    def open(self, path, *, width=1400, height=1000, dark=False):
        """Open a page and wait until its view is drawn; returns the seconds that took."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        started = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.querySelector('#viewer')?.dataset.ready === 'yes'")
        return time.monotonic() - started

    def run(self, expression):
        """Evaluate JavaScript; the value must have a JSON form."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition):
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never: {condition}; {self.complaints}"
            time.sleep(0.1)

    def pixels(self):
        """Picture of the 3-D view, as it would be saved."""
        from PIL import Image

        text = self.run("document.querySelector('#viewer canvas').toDataURL('image/png')")
        with Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def screenshot(self, path, *, whole=False):
        """Save a picture of the window, or of the whole page."""
        made = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(made["data"]))
