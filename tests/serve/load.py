#!/usr/bin/env python3
"""How a running server bears load, in figures for tools/serve/README.md. Needs nothing but Python.

    dalle1 serve --connections 1200 & tests/serve/load.py http://127.0.0.1:8080 throughput
    throughput   8 requests of 64 candidates at once against one of 512, in turns
    first        time to the first partial picture of 8 candidates, alone and behind 512
    slow         /health beside 1,000 sockets that send a byte a second
    many         10,000 small requests in a row: the memory of the process (--pid) at every thousandth
"""
import argparse
import http.client
import json
import socket
import statistics
import threading
import time
from urllib.parse import urlsplit

PROMPT = "a red circle above a blue square"


def post(url, fields, reads=None):
    """Sends a request; calls reads(response) or returns the document."""
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=3600)
    connection.request("POST", "/v1/images/generations", json.dumps(fields), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{response.status}: {response.read(500)}")
    result = reads(response) if reads else json.loads(response.read())
    connection.close()
    return result


def drawing(candidates, seed, **more):
    return {"prompt": PROMPT, "candidates": candidates, "n": 1, "seed": seed, **more}


def seconds_of(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def together(jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def throughput(url, options):
    ratios = []
    for turn in range(options.turns):
        one = seconds_of(lambda: post(url, drawing(512, turn)))
        eight = seconds_of(
            lambda: together([lambda seed=seed: post(url, drawing(64, 100 * turn + seed)) for seed in range(8)])
        )
        ratios.append(one / eight)
        print(f"one request of 512: {one:.1f} s; eight of 64 at once: {eight:.1f} s; ratio {one / eight:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}")


def first_partial(url, seed):
    """Seconds until the first partial picture."""
    begin = time.monotonic()

    def reads(response):
        for line in response:
            if line.startswith(b"event: image_generation.partial_image"):
                return time.monotonic() - begin
        raise SystemExit("no partial picture came")

    return post(url, drawing(8, seed, stream=True, partial_images=4), reads)


def first(url, options):
    alone = [first_partial(url, seed) for seed in range(options.turns)]
    behind = []
    for seed in range(options.turns):
        large = threading.Thread(target=lambda: post(url, drawing(512, 1000 + seed)))
        large.start()
        time.sleep(5 + 3 * seed)
        behind.append(first_partial(url, seed))
        large.join()
    print(f"first partial picture: alone {statistics.median(alone):.2f} s, behind 512 candidates "
          f"{statistics.median(behind):.2f} s (median; worst {max(behind):.2f})")


def slow(url, options):
    sockets = []
    for _ in range(options.sockets):
        sockets.append(socket.create_connection((url.hostname, url.port)))
        sockets[-1].setblocking(False)
    latencies = []
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for second in range(options.seconds):
        for each in sockets:
            try:
                each.send(head[second % len(head) : second % len(head) + 1])
            except OSError:
                pass  # the server has closed it
        for _ in range(20):
            latencies.append(seconds_of(lambda: health(url)))
            time.sleep(0.03)
    latencies.sort()
    print(f"/health beside {options.sockets} slow sockets: median {1000 * statistics.median(latencies):.1f} ms, "
          f"99% {1000 * latencies[int(0.99 * len(latencies))]:.1f} ms, worst {1000 * latencies[-1]:.1f} ms")


def health(url):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def many(url, options):
    for number in range(options.requests + 1):
        if number % 1000 == 0:
            print(f"{number} requests: {resident(options.pid):.1f} MB", flush=True)
        post(url, drawing(1, number))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", type=urlsplit)
    parser.add_argument("measure", choices=["throughput", "first", "slow", "many"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--pid", type=int)
    options = parser.parse_args()
    globals()[options.measure](options.url, options)


main()
