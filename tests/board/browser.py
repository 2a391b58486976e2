"""A WebDriver client for chromedriver, in a few lines of the standard library."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request


class Browser:
    """A headless Chromium with a fresh profile and no network of its own."""

    def __init__(self, profile):
        driver, chromium = shutil.which('chromedriver'), shutil.which('chromium')
        if not driver or not chromium:
            raise FileNotFoundError('chromium and chromedriver (apt install chromium-driver)')
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [driver, f'--port={port}'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.base = f'http://127.0.0.1:{port}'
        options = {
            'binary': chromium,
            'args': [
                '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
                '--disable-dev-shm-usage', '--hide-scrollbars', f'--user-data-dir={profile}',
                '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
            ],
        }  # fmt: skip
        wanted = {
            'browserName': 'chrome',
            'goog:chromeOptions': options,
            'goog:loggingPrefs': {'browser': 'ALL'},
        }
        for _ in range(50):
            try:
                answer = self._send('POST', '/session', {'capabilities': {'alwaysMatch': wanted}})
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        else:
            self.process.kill()
            raise TimeoutError('chromedriver did not answer')
        self.base += f'/session/{answer["sessionId"]}'

    def _send(self, method, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            self.base + path, body, {'Content-Type': 'application/json'}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from None

    def open(self, path, width, height=900, part=''):
        """Load a file anew in a window of ``width`` CSS pixels, at the ``part`` behind ``#``."""
        # Emulation, because a headless window is never narrower than 500 pixels.
        size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._devtools('Emulation.setDeviceMetricsOverride', size)
        if part:  # else only the part changes, and nothing is loaded
            self._send('POST', '/url', {'url': 'about:blank'})
        self._send('POST', '/url', {'url': path.as_uri() + (f'#{part}' if part else '')})

    def prefer(self, scheme):
        """Pages are told that the system is ``'light'`` or ``'dark'``."""
        wanted = dict(name='prefers-color-scheme', value=scheme)
        self._devtools('Emulation.setEmulatedMedia', dict(features=[wanted]))

    def _devtools(self, command, params):
        data = {'cmd': command, 'params': params}
        return self._send('POST', '/goog/cdp/execute', data)

    def run(self, script, *args):
        """Value of a script's ``return``."""
        return self._send('POST', '/execute/sync', {'script': script, 'args': list(args)})

    def console(self):
        """Console messages since the last call, warnings and errors only."""
        found = self._send('POST', '/se/log', {'type': 'browser'})
        return [x['message'] for x in found if x['level'] in ('SEVERE', 'WARNING')]

    def screenshot(self, path, full=False):
        """Save a PNG of the window, or of the whole page."""
        params = {'format': 'png', 'captureBeyondViewport': full}
        if full:
            size = self.run(
                'return [document.documentElement.clientWidth,'
                ' document.documentElement.scrollHeight]'
            )
            params['clip'] = dict(x=0, y=0, width=size[0], height=min(size[1], 6000), scale=1)
        path.write_bytes(base64.b64decode(self._devtools('Page.captureScreenshot', params)['data']))

    def close(self):
        """End the browser and its driver."""
        try:
            self._send('DELETE', '')
        finally:
            self.process.terminate()
            self.process.wait(10)


def main():
    """``python -m tests.board.browser PAGE PNG [WIDTH HEIGHT [dark]]``: the top of a page."""
    import pathlib
    import sys
    import tempfile

    page, out = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    width, height = (int(arg) for arg in sys.argv[3:5] or (1280, 900))
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.prefer('dark' if sys.argv[5:] == ['dark'] else 'light')
            browser.open(page, width, height)
            browser.screenshot(out)
        finally:
            browser.close()


if __name__ == '__main__':
    main()
