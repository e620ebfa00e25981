#!/usr/bin/env python3
"""A browser for tests: `BROWSER=.../browser.py talosctl-oidc login …`.

Opens the URL it is given, fills in every form it meets the way a person would (login, consent,
device confirmation), follows redirects and fetches the page where that ends, which for a login is
the loopback callback. Plain HTTP with cookies, standard library only.

    INTEROP_ACCOUNT  who signs in (default alice)
    INTEROP_DENY     when set, takes the cancel link instead of signing in
    INTEROP_LOG      file to which each step is appended
    INTEROP_ADDRESS  when set, and the last page does not load, the last line is `0 <address>`, as
                     the address bar shows it, and the exit code is 0

The last line on standard output is `<status> <path of the final page>`. Exit code 0 when that
status is below 400.
"""

import http.cookiejar
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

STEPS_MAX = 12


class Page(HTMLParser):
    """Forms with their hidden and text inputs, and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append({"action": named.get("action", ""), "method": named.get("method", "get").lower(), "inputs": {}})
        elif tag == "input" and "name" in named:
            if self.forms:
                self.forms[-1]["inputs"][named["name"]] = named.get("value", "")
        elif tag == "a" and "href" in named:
            self.links.append(named["href"])


class Redirects(urllib.request.HTTPRedirectHandler):
    """Remembers where the last redirect leads."""

    address = ""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        self.address = newurl
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def log(line: str) -> None:
    print(line, file=sys.stderr)
    if path := os.environ.get("INTEROP_LOG"):
        with open(path, "a", encoding="utf-8") as out:
            print(line, file=out)


def without_query(url: str) -> str:
    """The URL as far as it may be logged: codes and states stay out."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def visit(url: str) -> tuple[int, str]:
    """Status and path of the page where the visit ends; status 0 when it does not end."""
    account = os.environ.get("INTEROP_ACCOUNT", "alice")
    deny = "INTEROP_DENY" in os.environ
    redirects = Redirects()
    opener = urllib.request.build_opener(
        redirects,
        # Loopback only: a proxy from the environment would see everything.
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    form: bytes | None = None
    for _ in range(STEPS_MAX):
        request = urllib.request.Request(url, data=form, headers={"Accept": "text/html"})
        try:
            reply = opener.open(request, timeout=20)
        except urllib.error.HTTPError as refused:
            reply = refused
        except urllib.error.URLError:
            if "INTEROP_ADDRESS" in os.environ:
                return 0, redirects.address or url
            raise
        here = reply.geturl()
        html = reply.read().decode("utf-8", "replace")
        log(f"{'POST' if form is not None else 'GET'} {without_query(url)} -> {reply.status} {without_query(here)}")
        page = Page(html)
        posts = [f for f in page.forms if f["method"] == "post"]
        cancel = [link for link in page.links if link.endswith("/abort")]
        if deny and cancel:
            url, form = urllib.parse.urljoin(here, cancel[0]), None
            continue
        if reply.status >= 400 or not posts:
            return reply.status, urllib.parse.urlsplit(here).path
        inputs = dict(posts[0]["inputs"])
        if "login" in inputs:
            inputs["login"], inputs["password"] = account, "any"
        url = urllib.parse.urljoin(here, posts[0]["action"])
        form = urllib.parse.urlencode(inputs).encode()
    return 0, "too many steps"


def main() -> int:
    if len(sys.argv) < 2:
        print("usage: browser.py URL", file=sys.stderr)
        return 2
    status, path = visit(sys.argv[1])
    print(f"{status} {path}")
    shown = status == 0 and "INTEROP_ADDRESS" in os.environ and "://" in path
    return 0 if shown or 0 < status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
