#!/usr/bin/env python3
"""Authorization code flow with PKCE, written without our code: prints the token answer as JSON.

    code_flow.py --issuer URL --client-id ID [--client-secret SECRET] [--scope WORDS]

Signs in with browser.py as $INTEROP_ACCOUNT. Standard library only.
"""

import argparse
import base64
import hashlib
import http.server
import json
import secrets
import sys
import threading
import urllib.parse
import urllib.request

import browser


class Callback(http.server.BaseHTTPRequestHandler):
    """Keeps the query of the one request that comes back."""

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        self.server.answer = dict(urllib.parse.parse_qsl(parts.query))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_: object) -> None:
        """Says nothing: the line would hold the code."""


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret")
    parser.add_argument("--scope", default="openid profile email groups offline_access")
    args = parser.parse_args()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{args.issuer}/.well-known/openid-configuration", timeout=20) as reply:
        metadata = json.load(reply)
    listener = http.server.HTTPServer(("127.0.0.1", 0), Callback)
    threading.Thread(target=listener.handle_request, daemon=True).start()
    redirect = f"http://127.0.0.1:{listener.server_port}/callback"
    verifier, state = url64(secrets.token_bytes(32)), url64(secrets.token_bytes(16))
    asking = {
        "response_type": "code",
        "client_id": args.client_id,
        "redirect_uri": redirect,
        "scope": args.scope,
        "state": state,
        "code_challenge": url64(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    page = browser.visit(f"{metadata['authorization_endpoint']}?{urllib.parse.urlencode(asking)}")
    answer = getattr(listener, "answer", {})
    if answer.get("state") != state or "code" not in answer:
        print(f"no code came back, the browser ended at {page}", file=sys.stderr)
        return 1
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect,
        "client_id": args.client_id,
        "code_verifier": verifier,
    }
    headers = {}
    if args.client_secret:
        # RFC 6749 section 2.3.1: both are form-encoded first.
        pair = ":".join(urllib.parse.quote_plus(part) for part in (args.client_id, args.client_secret))
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    body = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(metadata["token_endpoint"], data=body, headers=headers)
    with opener.open(request, timeout=20) as reply:
        print(reply.read().decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
