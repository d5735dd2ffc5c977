"""A real Chromium without a screen, driven through a pipe by its DevTools protocol; no network, and no library for it.

It is a Debian package: where it is missing, it is installed as root (`apt-get install chromium`), or tests skip.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ANSWER_S = 60
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--remote-debugging-pipe", "--hide-scrollbars", "--disable-extensions", "--disable-background-networking"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--disable-component-update"),
)


def chromium() -> str:
    """Return the browser's path; skip the test where there is none and it cannot be installed."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        words = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run([*words, "chromium"], env=environment, capture_output=True, text=True)
        if done.returncode:
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
            done = subprocess.run([*words, "chromium"], env=environment, capture_output=True, text=True)
        if found := next(filter(None, map(shutil.which, NAMES)), None):
            return found
        pytest.skip(f"there is no Chromium, and apt-get install chromium said: {done.stderr[-300:]}")
    pytest.skip("there is no Chromium, and only root can install Debian's package chromium")


class Page:
    """A page that is open; `errors` has what its console called one, `asked` the addresses that it asked for."""

    def __init__(self, to: int, back: int):
        self._to, self._back, self._number, self._rest = to, back, 0, b""
        self.errors: list[str] = []
        self.asked: list[str] = []
        self._session = ""
        (target,) = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"][:1]
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> dict:
        """Return what the browser answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (got := self._next()).get("id") != self._number:
            self._notice(got)
        assert "error" not in got, (method, got)
        return got["result"]

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            assert select.select([self._back], [], [], ANSWER_S)[0], "the browser does not answer"
            read = os.read(self._back, 1 << 20)
            assert read, "the browser has gone"
            self._rest += read
        head, _, self._rest = self._rest.partition(b"\0")
        return json.loads(head)

    def _notice(self, event: dict) -> None:
        method, of = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(of["request"]["url"][:100])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(of["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(of["args"]))
        elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.errors.append(of["entry"]["text"])

    def open(self, path: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of some width, for a reader who likes a colour scheme; wait until it is there."""
        self.look(width, height, scheme)
        self.ask("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + ANSWER_S
        while not self.run(f"document.readyState === 'complete' && location.href === {path.resolve().as_uri()!r}"):
            assert time.monotonic() < until, "the page does not load"
            time.sleep(0.02)

    def look(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """Change the window and the colour scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script: str) -> object:
        """Return the value of an expression in the page, of a promise what it becomes."""
        got = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def painted(self) -> None:
        """Wait until what was asked for is on the screen."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll to an element and return its middle, px of the window."""
        of = f"document.querySelector({selector!r})"
        box = f"(b => [b.x + b.width / 2, b.y + b.height / 2])({of}.getBoundingClientRect())"
        x, y = self.run(f"{of}.scrollIntoView({{block: 'center', behavior: 'instant'}}), {box}")
        return x, y

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """Do something with the mouse."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.painted()

    def drag(self, selector: str, dx: float, dy: float) -> None:
        """Drag from the middle of an element."""
        x, y = self.middle(selector)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseMoved", x + dx, y + dy, button="left", buttons=1)
        self.mouse("mouseReleased", x + dx, y + dy, button="left", clickCount=1)
        self.painted()

    def press(self, key: str) -> None:
        """Press a key."""
        more = {"text": key} if len(key) == 1 else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **more, **_code(key))
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, **_code(key))
        self.painted()

    def screenshot(self) -> str:
        """Return a picture of the whole page: PNG, base64."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]


def _code(key: str) -> dict[str, int]:
    codes = {"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, " ": 32}
    return {"windowsVirtualKeyCode": codes[key]} if key in codes else {}


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Give a page of a browser whose profile is in a folder."""
    path = chromium()
    theirs, to = os.pipe()
    back, ours = os.pipe()
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, ours)]  # not 3 or 4, which it is to have
    os.close(theirs)
    os.close(ours)
    words = [path, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    script = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]} {ends[0]}<&- {ends[1]}>&-'
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["bash", "-c", script, "bash", *words], pass_fds=ends, stdout=log, stderr=log)
    for fd in ends:
        os.close(fd)
    try:
        page = Page(to, back)
        yield page
        page._session = ""
        page.ask("Browser.close")
        process.wait(ANSWER_S)
    finally:
        for fd in (to, back):
            os.close(fd)
        if process.poll() is None:
            process.kill()
            process.wait()
