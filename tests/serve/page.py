#!/usr/bin/env python3
"""The page in Chromium, used as people use it: page.py URL [KEY]. Prints "ok", or ends with what went wrong."""
import sys

from browser import Browser

url, key = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
SHIFT = 8


def text(browser, name):
    return browser.run(f'document.getElementById("{name}").textContent')


def settled(browser, verb='best'):
    browser.wait(f'document.getElementById("status").textContent.includes("{verb}") && '
                 'document.getElementById("stop").hidden')


def scores(browser):
    return browser.run('[...document.querySelectorAll("button.tile .tag")].map((tag) => Number(tag.textContent))')


def ready(browser):
    browser.open(url + '/')
    if key:
        browser.wait('document.getElementById("key-dialog").open')
        browser.type(key)
        browser.key('Enter')
    browser.wait('document.getElementById("time").textContent !== ""')


def set_candidates(browser, power):
    browser.run(f'''(() => {{ const slider = document.getElementById("candidates"); slider.value = {power};
                 slider.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()''')


def draw_by_keyboard(browser):
    assert browser.run('document.activeElement.id') == 'prompt', 'the prompt has the focus'
    set_candidates(browser, 4)
    assert text(browser, 'candidates-out') == '16' and 's' in text(browser, 'time')
    browser.type('a red cat')
    browser.key('Enter')
    settled(browser)
    found = scores(browser)
    assert len(found) == 8 and found == sorted(found, reverse=True), found
    assert any(request.endswith('/v1/images/generations') for request in browser.requests)


def look_closer(browser):
    browser.run('document.querySelector("button.tile").focus()')
    browser.key('ArrowRight')
    browser.key('Enter')
    browser.wait('document.getElementById("viewer").open')
    assert '2 of 8' in text(browser, 'viewer-facts') and 'a red cat' in text(browser, 'viewer-prompt')
    browser.key('ArrowLeft')
    assert '1 of 8' in text(browser, 'viewer-facts')
    name = browser.run('document.getElementById("viewer-download").download')
    assert name.startswith('a-red-cat-') and name.endswith('.png'), name
    browser.key('Escape')
    browser.wait('!document.getElementById("viewer").open')


def change_a_part(browser):
    browser.run('document.querySelector("button.tile").click(); document.getElementById("viewer-edit").click()')
    browser.wait('document.activeElement.id === "canvas"')
    assert text(browser, 'draw') == 'Vary'
    for _ in range(2):
        browser.key('ArrowDown', modifiers=SHIFT)
    browser.wait('document.getElementById("draw").textContent === "Redraw"')
    browser.run('document.getElementById("draw").click()')
    browser.wait('!document.getElementById("stop").hidden')
    settled(browser)
    assert any(request.endswith('/v1/images/edits') for request in browser.requests)


def more_like_this(browser):
    browser.run('document.querySelector("button.tile").click(); document.getElementById("viewer-vary").click()')
    browser.wait('!document.getElementById("stop").hidden')
    settled(browser)
    assert any(request.endswith('/v1/images/variations') for request in browser.requests)


def stop(browser):
    browser.run('document.getElementById("given-remove").click()')
    set_candidates(browser, 9)
    browser.run('document.getElementById("draw").click()')
    browser.wait('document.getElementById("status").textContent.includes("Drawing")')
    browser.run('document.getElementById("stop").click()')
    settled(browser, 'Stopped')


def history(browser):
    browser.open(url + '/')
    browser.wait('document.querySelectorAll(".run").length === 3')
    browser.run('document.querySelectorAll(".run-open")[2].click()')
    assert len(scores(browser)) == 8
    browser.run('document.getElementById("forget").click()')
    browser.wait('document.getElementById("earlier").hidden')


def fits(browser):
    shades = []
    for width, dark in ((360, False), (360, True), (2560, False), (2560, True)):
        browser.resize(width, 900)
        browser.send('Emulation.setEmulatedMedia',
                     features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        browser.wait(f'innerWidth === {width} && document.documentElement.scrollWidth <= innerWidth', 5)
        shades.append(browser.run('getComputedStyle(document.documentElement).backgroundColor'))
    assert shades[0] != shades[1] and shades[0] == shades[2], shades


with Browser() as chromium:
    ready(chromium)
    steps = [draw_by_keyboard] if key else [draw_by_keyboard, look_closer, fits, change_a_part, more_like_this, stop,
                                            history, fits]
    for step in steps:
        step(chromium)
    said = [line for line in chromium.console if not (key and '401' in line)]
    assert not said, said
    strangers = [request for request in chromium.requests
                 if not request.startswith((url + '/', 'blob:' + url, 'data:'))]
    assert not strangers, strangers
print('ok')
