#!/usr/bin/env python3
"""A hostile neighbour on the same host: everything another user can do to a callback server.

    neighbour.py PORT

Holds more connections than the server takes, some silent, some in the middle of a head; on others
asks without pause, with guessed states, foreign hosts, forged errors and forms. Prints `attacking`
when all of that runs, ends when its standard input does, and then prints as JSON how often it got
which status. Standard library only.
"""

import collections
import http.client
import json
import socket
import sys
import threading
import time

SILENT, HALF, ASKING = 150, 150, 6
PORT = int(sys.argv[1])
seen: collections.Counter = collections.Counter()
over = threading.Event()

ATTACKS = [
    ("GET", "/callback?code=guessed&state=guessed", {}, None),
    ("GET", "/callback?error=access_denied", {}, None),
    ("GET", "/callback?error=access_denied&error_description=%1b%5b2J&state=guessed", {}, None),
    ("GET", "/callback?code=a&state=b&state=c", {}, None),
    ("GET", "/callback", {"Host": "evil.test"}, None),
    ("POST", "/callback", {"Content-Type": "application/x-www-form-urlencoded"}, "code=a&state=b"),
    ("GET", "/", {}, None),
    ("GET", "/callback?" + "a" * 20000, {}, None),
]


def hold(first: bytes) -> None:
    """Keeps a connection that says only this, again and again."""
    while not over.is_set():
        try:
            with socket.create_connection(("127.0.0.1", PORT), timeout=5) as tcp:
                tcp.sendall(first)
                tcp.settimeout(0.5)
                while not over.is_set():
                    try:
                        if not tcp.recv(4096):
                            break
                    except TimeoutError:
                        pass
        except OSError:
            time.sleep(0.05)


def ask(start: int) -> None:
    turn = start
    while not over.is_set():
        method, target, headers, body = ATTACKS[turn % len(ATTACKS)]
        turn += 1
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request(method, target, body, headers)
            seen[connection.getresponse().status] += 1
            connection.close()
        except (OSError, http.client.HTTPException):
            seen["cut"] += 1
            # A neighbour has no more than half a core of a test machine.
            time.sleep(0.01)


def main() -> int:
    work = [(hold, (b"",))] * SILENT
    work += [(hold, (b"GET /callback?code=x HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",))] * HALF
    work += [(ask, (n,)) for n in range(ASKING)]
    threads = [threading.Thread(target=what, args=args, daemon=True) for what, args in work]
    for thread in threads:
        thread.start()
    while sum(seen.values()) < 50:
        time.sleep(0.02)
    print("attacking", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join(timeout=10)
    print(json.dumps(seen), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
