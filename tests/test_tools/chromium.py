"""A headless Chromium that tests drive over its DevTools protocol, with nothing but pipes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
FLAGS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-dev-shm-usage', '--hide-scrollbars', '--force-color-profile=srgb',
    '--window-size=1000,800', '--remote-debugging-pipe',
)  # fmt: skip
# Chromium reads commands from descriptor 3 and answers on 4
LAUNCH = 'import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])'  # fmt: skip  # noqa: E501
KEYS = {'Tab': 9, 'End': 35, 'Home': 36, 'ArrowLeft': 37, 'ArrowRight': 39}


def find_chromium() -> str | None:
    """The browser of this machine, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    """One browser with one page.

    Args:
        executable: The browser.
        profile: An empty folder for its files.
        timeout: Seconds to wait for any answer.
    """

    def __init__(self, executable: str, profile: Path, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._unread = b''
        self._session: str | None = None
        # numbers that cannot be 3 or 4 themselves
        commands, self._write = (os.dup(fd) if fd < 5 else fd for fd in os.pipe())
        self._read, answers = (os.dup(fd) if fd < 5 else fd for fd in os.pipe())
        self._process = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, str(commands), str(answers), executable, *FLAGS,
             f'--user-data-dir={profile}', 'about:blank'],
            pass_fds=(commands, answers), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Network', 'Runtime', 'Log'):
            self.call(f'{domain}.enable')

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(timeout=self.timeout)
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        message = dict(id=number, method=method, params=params)
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._receive()
            if answer.get('id') == number:
                assert 'error' not in answer, f'{method}: {answer["error"]}'
                return answer['result']
            self.events.append(answer)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.events.clear()
        self.call('Page.navigate', url=url)
        while not self.events_of('Page.loadEventFired'):
            self.events.append(self._receive())

    def events_of(self, method: str) -> list[dict[str, Any]]:
        """What the browser has told since the page was opened."""
        return [event['params'] for event in self.events if event.get('method') == method]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def press(self, key: str, times: int = 1) -> None:
        """Press a key as a user does."""
        for _ in range(times):
            for kind in ('rawKeyDown', 'keyUp'):
                self.call(
                    'Input.dispatchKeyEvent', type=kind, key=key, code=key,
                    windowsVirtualKeyCode=KEYS[key],
                )  # fmt: skip

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one point of the window and release it at another."""
        for kind, (x, y) in (
            ('mousePressed', start), ('mouseMoved', end), ('mouseReleased', end)
        ):  # fmt: skip
            self.call(
                'Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=1,
                clickCount=1,
            )  # fmt: skip

    def box(self, selector: str) -> dict[str, float]:
        """Place and size of the first match in the window, scrolled into view."""
        return self.evaluate(
            f'(() => {{ const e = document.querySelector({json.dumps(selector)});'
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            'return {x: r.x, y: r.y, width: r.width, height: r.height}; })()'
        )

    def picture(self, selector: str) -> np.ndarray:
        """What the window shows where the first match is, RGB (H, W, 3)."""
        box = self.box(selector)
        shot = self.call('Page.captureScreenshot', format='png')
        data = np.frombuffer(base64.b64decode(shot['data']), np.uint8)
        window = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        top, left = round(box['y']), round(box['x'])
        return window[top : top + round(box['height']), left : left + round(box['width'])]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + self.timeout
        while b'\0' not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            assert ready, f'Chromium did not answer within {self.timeout} seconds'
            received = os.read(self._read, 1 << 20)
            assert received, 'Chromium has ended'
            self._unread += received
        message, self._unread = self._unread.split(b'\0', 1)
        return json.loads(message)
