"""Chromium without a window, driven through its debugging pipe: no packages beyond Python's own are needed."""
import base64
import json
import os
import subprocess
import tempfile
import time


class Browser:
    def __init__(self, width=1280, height=900, dark=False):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        from_us, self.to_browser = os.pipe()
        self.from_browser, to_us = os.pipe()

        def take_pipes():  # the browser reads 3 and writes 4
            a, b = os.dup(from_us), os.dup(to_us)
            os.dup2(a, 3)
            os.dup2(b, 4)

        # No name resolves but that of this machine: what a page would ask for cannot come from elsewhere.
        self.process = subprocess.Popen(
            ['chromium', '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
             '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--remote-debugging-pipe',
             f'--user-data-dir={self.profile.name}', 'about:blank'],
            preexec_fn=take_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(from_us)
        os.close(to_us)
        self.buffer, self.number, self.console, self.requests, self.session = b'', 0, [], [], None
        target = self.send('Target.createTarget', url='about:blank')['targetId']
        self.session = self.send('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.send(domain + '.enable')
        self.send('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session = None
        self.send('Browser.close')
        self.process.wait(10)
        self.profile.cleanup()

    def resize(self, width, height):
        self.send('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                  mobile=False)

    def _message(self):
        while b'\0' not in self.buffer:
            more = os.read(self.from_browser, 1 << 20)
            if not more:
                raise RuntimeError('the browser ended')
            self.buffer += more
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def send(self, method, **parameters):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._message()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer['result']
            self._note(answer)

    def _note(self, event):
        kind, details = event.get('method'), event.get('params', {})
        if kind == 'Runtime.exceptionThrown':
            self.console.append(details['exceptionDetails'].get('exception', {}).get('description', 'an exception'))
        elif kind == 'Runtime.consoleAPICalled':
            self.console.append(' '.join(str(a.get('value')) for a in details['args']))
        elif kind == 'Log.entryAdded':
            self.console.append(details['entry']['text'])
        elif kind == 'Network.requestWillBeSent':
            self.requests.append(details['request']['url'])

    def open(self, url):
        self.send('Page.navigate', url=url)
        self.wait('document.readyState === "complete"')

    def run(self, script):
        answer = self.send('Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(answer['exceptionDetails'])
        return answer['result'].get('value')

    def wait(self, condition, seconds=60):
        end = time.time() + seconds
        while not self.run(condition):
            if time.time() > end:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def key(self, name, text='', modifiers=0):
        code = {'Enter': 13, 'Tab': 9, 'Escape': 27, 'ArrowLeft': 37, 'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40,
                ' ': 32}.get(name, 0)
        common = {'key': name, 'windowsVirtualKeyCode': code, 'modifiers': modifiers}
        self.send('Input.dispatchKeyEvent', type='keyDown', text={'Enter': '\r', ' ': ' '}.get(name, text), **common)
        self.send('Input.dispatchKeyEvent', type='keyUp', **common)

    def type(self, text):
        self.send('Input.insertText', text=text)

    def screenshot(self, path):
        picture = self.send('Page.captureScreenshot', format='png')['data']
        with open(path, 'wb') as file:
            file.write(base64.b64decode(picture))
