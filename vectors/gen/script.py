"""Makes the `script` cases: `python3 script.py`, or `python3 script.py --check` to compare.

What the machines must order is written here by hand, beside what happens to them.
"""

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cases import Area
from keys import b64

EPOCH = 1_800_000_000
ISSUER = "https://idp.example.com/realms/talos"
METADATA = ISSUER + "/.well-known/openid-configuration"
KEYS, TOKEN, DEVICE, AUTH = (ISSUER + path for path in ("/keys", "/token", "/device", "/auth"))
EXCHANGE = "https://oidc.example.com/exchange"

area = Area("script")


class Script:
    """The steps of one case; written when the `with` block ends."""

    def __init__(self, slug: str, comment: str, source: str, machine: str, settings: dict) -> None:
        self.slug, self.members = slug, {"comment": comment, "source": source}
        self.steps: list[dict] = []
        self.members[machine] = {"settings": settings, "steps": self.steps}

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            area.add(self.slug, self.members)

    def step(self, at: int, *expect: str, wall: int | None = None, **word: object) -> None:
        step: dict = {"at": at}
        if wall is not None:
            step["wall"] = wall
        if word:
            step["input"] = word
        self.steps.append(step | {"expect": list(expect)})

    def fetched(self, at: int, effect: int, *expect: str, **reply: object) -> None:
        self.step(at, *expect, fetched={"effect": effect, "reply": reply})


# ================================================================ the server


def jwks(*keys: tuple[str, int]) -> dict:
    """A key set; a key is named by kid and number."""

    def public(number: int) -> str:
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        return b64(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public(number)} for kid, number in keys]}


def made(header: dict, claims: dict, key: int = 1) -> str:
    """A token whose header has other members."""
    text = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{text}.{b64(Ed25519PrivateKey.from_private_bytes(bytes([key]) * 32).sign(text.encode()))}"


def signed(group: str = "readers", kid: str = "k1", key: int = 1, **changed: object) -> dict:
    claims = {"iss": ISSUER, "aud": "talosctl", "sub": "ana", "iat": EPOCH, "exp": EPOCH + 3600, "groups": [group]}
    return {"key": key, "kid": kid, "claims": claims | changed}


class Server(Script):
    def __init__(self, slug: str, comment: str, source: str, up: bool = True, **settings: object) -> None:
        super().__init__(slug, comment, source, "server", settings)
        self.step(0, f"fetch 1 {METADATA}")
        if up:
            self.provider(1, 20)

    def provider(self, effect: int, at: int, *expect: str, keys: tuple = (("k1", 1),)) -> None:
        """Answers discovery and key set; `expect` is what else comes of the keys."""
        self.fetched(at, effect, f"fetch {effect + 1} {KEYS}", json={"issuer": ISSUER, "jwks_uri": KEYS})
        self.fetched(at + 20, effect + 1, "note info", "save keys", *expect, json=jwks(*keys))

    def ask(self, at: int, number: int, token: object, *expect: str, wall: int | None = None, **more: object) -> None:
        self.step(at, *expect, wall=wall, request={"id": number, "token": token, **more})

    def signs(self, at: int, effect: int, *expect: str, how: str = "good") -> None:
        self.step(at, *expect, signed={"effect": effect, "signature": how})


def issued(number: int, role: str = "os:reader", sub: str = "ana") -> str:
    return f"respond {number}: 200 ok; audit auth_success {sub}; audit cert_issued {role} {sub}"


def refused(number: int, code: str = "token.bad_signature", public: str = "token.invalid") -> str:
    return f"respond {number}: 401 {public}; audit auth_failure {code}"


def down(number: int, retry: int) -> str:
    return f"respond {number}: 503 keys.unavailable retry {retry}; audit provider_unavailable keys.unavailable"


with Server("server-exchange", "a good token becomes a certificate with the roles of its group",
            "wire format of the original") as s:
    s.ask(100, 1, signed("admins"), "sign 3 of generation 0")
    s.signs(110, 3, issued(1, "os:admin"))

with Server("server-exchange-csr", "the client brings its own key", "RFC 2986", require_csr=True) as s:
    s.ask(100, 1, signed(), "sign 3 of generation 0", csr="csr/p256.csr")
    s.signs(110, 3, issued(1))
    s.ask(120, 2, signed(), "respond 2: 400 request.csr_required; audit request_refused request.csr_required")
    s.ask(130, 3, signed(), "respond 3: 400 csr.unsupported_key; audit request_refused csr.unsupported_key",
          csr="csr/p521.csr")

with Server("server-refusals", "each refusal with its status, code and event; no one costs a fetch",
            "oidc attack 52; oidc attack 88") as s:
    s.ask(100, 1, signed("guests"),
          "respond 1: 403 rbac.no_role; audit auth_success ana; audit access_denied rbac.no_role ana")
    s.ask(200, 2, signed(key=2), refused(2))
    s.ask(300, 3, signed(exp=EPOCH - 61), refused(3, "token.expired", "token.expired"))
    s.ask(400, 4, signed(aud="another"), refused(4, "token.audience_mismatch"))
    s.ask(500, 5, signed(iss=ISSUER + "/"), refused(5, "token.issuer_slash"))
    s.ask(600, 6, "a.b", refused(6, "token.not_three_parts"))

with Server("server-addresses-in-tokens", "an address in a token is never asked: no order but those of the provider",
            "oidc attack 48; oidc attack 78") as s:
    for n, name in enumerate(("jku", "x5u"), 1):
        header = {"alg": "EdDSA", "kid": "k1", name: "https://evil.example/keys"}
        s.ask(100 * n, n, made(header, signed()["claims"], key=2), refused(n))
    s.ask(300, 3, signed(groups=None, _claim_names={"groups": "src1"},
                         _claim_sources={"src1": {"endpoint": "http://169.254.169.254/"}}),
          "respond 3: 403 rbac.membership_unknown; audit auth_success ana; audit access_denied rbac.membership_unknown ana")

with Server("server-request-shapes", "a token of another type, twice, or in two places", "oidc attack 23; oidc attack 24") as s:
    shape = "respond {}: 400 request.invalid_json; audit request_refused request.invalid_json"
    for n, body in enumerate(['{"id_token":1}', '{"id_token":["a.b.c"]}', '{"id_token":{}}', '{"id_token":true}',
                              '{"id_token":"a.b.c","ID_TOKEN":"a.b.c"}', "id_token=a.b.c", "[]"], 1):
        s.step(100 + n, shape.format(n), request={"id": n, "body": body})
    for n, body in enumerate(["{}", '{"id_token":null}', '{"id_token":""}'], 8):
        s.step(100 + n, f"respond {n}: 400 request.token_missing; audit request_refused request.token_missing",
               request={"id": n, "body": body})
    s.ask(200, 11, signed(), "respond 11: 400 request.ambiguous_token; audit request_refused request.ambiguous_token",
          headers=[["authorization", "Bearer a.b.c"]])
    s.ask(205, 13, signed(), "respond 13: 400 request.ambiguous_token; audit request_refused request.ambiguous_token",
          headers=[["authorization", "Basic YTpi"], ["authorization", "bearer a.b.c"]])
    s.step(210, "respond 12: 405 request.method_not_allowed; audit request_refused request.method_not_allowed",
           request={"id": 12, "method": "GET"})
    s.step(220, shape.format(13), request={"id": 13, "body": '{"id_token":"a.b.c","id_token":"a.b.c"}'})

with Server("server-token-name", "what Go's decoder takes for the member: its name in any case, null for no member",
            "compat section 2.1") as s:
    s.step(100, refused(1, "token.not_three_parts"), request={"id": 1, "body": '{"ID_TOKEN":"a.b"}'})
    s.step(110, "respond 2: 400 request.token_missing; audit request_refused request.token_missing",
           request={"id": 2, "body": " null "})

with Server("server-first-requests", "who comes before the keys waits for the one fetch", "D9 of the original", up=False) as s:
    for n in (1, 2, 3):
        s.ask(n, n, signed(sub=f"u{n}"))
    s.provider(1, 20, *(f"sign {n} of generation 0" for n in (3, 4, 5)))
    for n in (3, 2, 1):
        s.signs(60 - n, n + 2, issued(n, sub=f"u{n}"))

with Server("server-rotation", "a new key counts after one fetch, without a restart", "oidc attack 107") as s:
    s.ask(60_000, 1, signed(kid="k2", key=2), f"fetch 3 {KEYS}")
    s.ask(60_005, 2, signed(kid="k2", key=2, sub="ben"))
    s.fetched(60_020, 3, "note info", "save keys", "sign 4 of generation 0", "sign 5 of generation 0",
              json=jwks(("k1", 1), ("k2", 2)))
    s.signs(60_030, 4, issued(1))
    s.signs(60_031, 5, issued(2, sub="ben"))
    s.ask(60_040, 3, signed(), "sign 6 of generation 0")
    s.signs(60_050, 6, issued(3))

with Server("server-key-removed", "the tokens of a key that is gone count no more", "oidc attack 108") as s:
    s.step(300_040, f"fetch 3 {KEYS}")
    s.fetched(300_060, 3, "note info", "save keys", json=jwks(("k2", 2)))
    s.ask(300_070, 1, signed(), f"fetch 4 {KEYS}")
    s.fetched(300_090, 4, "save keys", refused(1, "token.unknown_key"), json=jwks(("k2", 2)))

with Server("server-unknown-kids", "key identifiers made up by strangers cause one fetch an interval", "oidc attack 51") as s:
    s.ask(40_000, 1, signed(kid="made-up-1"), f"fetch 3 {KEYS}")
    s.fetched(40_020, 3, "save keys", refused(1, "token.unknown_key"), json=jwks(("k1", 1)))
    for n in range(2, 12):
        s.ask(40_000 + 1_000 * n, n, signed(kid=f"made-up-{n}"), refused(n, "token.unknown_key"))
    s.ask(70_021, 12, signed(kid="made-up-12"), f"fetch 4 {KEYS}")

with Server("server-outage-at-start", "without keys ever seen it is 503, and no bad login", "D10 of the original; oidc attack 109",
            up=False) as s:
    s.ask(5, 1, signed())
    s.fetched(20, 1, "note warn", down(1, 1), error="fetch.untrusted_certificate")
    s.ask(500, 2, signed(), down(2, 1))
    s.step(1_020, f"fetch 2 {METADATA}")
    s.fetched(1_040, 2, "note warn", error="fetch.wrong_name")
    s.step(3_040, f"fetch 3 {METADATA}")
    s.fetched(3_060, 3, "note warn", error="fetch.expired_certificate")
    s.step(7_060, f"fetch 4 {METADATA}")
    s.provider(4, 7_080)
    s.ask(7_200, 3, signed(), "sign 6 of generation 0")
    s.signs(7_210, 6, issued(3))

with Server("server-silent-provider", "who waits for a provider that says nothing is told after 11 seconds", "D10 of the original",
            up=False) as s:
    s.ask(5, 1, signed())
    s.step(11_004)
    s.step(11_005, down(1, 5))

with Server("server-outage-with-keys", "keys seen are believed up to their hard limit", "oidc attack 106",
            keys_hard_limit_secs=600) as s:
    s.step(300_040, f"fetch 3 {KEYS}")
    s.fetched(310_040, 3, "note warn", error="fetch.timeout")
    s.ask(320_000, 1, signed(), "sign 4 of generation 0", f"fetch 5 {METADATA}")
    s.signs(320_010, 4, issued(1))
    s.fetched(330_000, 5, "note warn", error="fetch.timeout")
    s.ask(600_039, 2, signed(), "sign 6 of generation 0", f"fetch 7 {KEYS}")
    s.signs(600_039, 6, issued(2))
    s.ask(601_041, 3, signed())
    s.fetched(601_050, 7, "note warn", down(3, 4), error="fetch.timeout")

for slug, number, reply in [
    ("redirect", 92, {"status": 302, "headers": [["location", "https://evil.example/keys"]]}),
    ("html", 93, {"text": "<html>down for maintenance</html>"}),
    ("empty", 93, {"text": ""}),
    ("cut", 93, {"text": '{"keys":['}),
    ("too-large", 94, {"error": "fetch.too_large"}),
    ("endless", 94, {"error": "fetch.timeout"}),
    ("null", 95, {"json": {"keys": None}}),
    ("no-usable-key", 96, {"json": {"keys": [None, 1, {}]}}),
    ("self-signed", 109, {"error": "fetch.untrusted_certificate"}),
]:
    with Server(f"server-keys-{slug}", "a bad answer for the key set leaves the old one", f"oidc attack {number}") as s:
        s.step(300_040, f"fetch 3 {KEYS}")
        s.fetched(300_060, 3, "note warn", **reply)
        s.ask(300_070, 1, signed(), "sign 4 of generation 0")
        s.signs(300_080, 4, issued(1))

with Server("server-private-key-published", "a provider that gives a private key away is told of loudly; the key is not used",
            "oidc attack 98", up=False) as s:
    leaked = jwks(("k1", 1), ("k2", 2))
    leaked["keys"][1]["d"] = b64(bytes([2]) * 32)
    s.fetched(20, 1, f"fetch 2 {KEYS}", json={"issuer": ISSUER, "jwks_uri": KEYS})
    s.fetched(40, 2, "note info", "note error", "save keys", json=leaked)
    s.ask(100, 1, signed(kid="k2", key=2), refused(1, "token.key_mismatch"))

with Server("server-other-provider", "who waits when the provider is changed is told to come again; its token then means nothing",
            "oidc attack 76", up=False) as s:
    other = "https://other.example.com"
    s.ask(5, 1, signed("admins"))
    s.step(10, down(1, 1), f"fetch 2 {other}/.well-known/openid-configuration",
           reload={"issuer": other, "generation": 1})
    s.fetched(20, 1, json={"issuer": ISSUER, "jwks_uri": KEYS})
    s.fetched(30, 2, f"fetch 3 {other}/keys", json={"issuer": other, "jwks_uri": other + "/keys"})
    s.fetched(40, 3, "note info", "save keys", json=jwks(("k1", 1)))
    s.ask(50, 2, signed("admins"), refused(2, "token.issuer_mismatch"))
    s.ask(60, 3, signed(iss=other), "sign 4 of generation 1")
    s.signs(70, 4, issued(3))

with Server("server-audit-failure", "a log that cannot be written shows in readiness until it can", "invariant 1") as s:
    ready = {"method": "GET", "path": "/readyz"}
    s.step(100, "respond 1: 200 ok", request={"id": 1, **ready})
    s.step(110, health="audit.not_writable")
    s.step(120, "respond 2: 503 ok", request={"id": 2, **ready})
    # The events ride in the answer: a runtime that cannot write them sends 503 in its place.
    s.ask(130, 3, signed(), "sign 3 of generation 0")
    s.signs(140, 3, issued(3))
    s.step(150, health=None)
    s.step(160, "respond 4: 200 ok", request={"id": 4, **ready})
    s.step(170, recorded=3)

with Server("server-signer", "a signer that fails, lies, says nothing or speaks too late", "invariant 3") as s:
    failed = "respond {}: 500 issue.failed; audit auth_success ana; audit cert_error {} ana"
    for n in range(1, 5):
        s.ask(100 + n, n, signed(), f"sign {n + 2} of generation 0")
    s.signs(200, 3, failed.format(1, "issue.signer_failed"), how="none")
    s.signs(210, 4, failed.format(2, "issue.bad_signature"), how="changed")
    s.signs(220, 99)
    s.step(10_103, failed.format(3, "issue.signer_failed"))
    s.signs(10_104, 5)
    s.signs(10_104, 6, issued(4))
    s.signs(10_105, 6)

with Server("server-rate-by-address", "the window slides, and Retry-After is exact", "compat section 6", rate_by_address=[2, 60]) as s:
    limited = "respond {}: 429 admit.rate_limited retry {}; audit request_refused admit.rate_limited"
    s.ask(1_000, 1, signed(), "sign 3 of generation 0")
    s.signs(1_000, 3, issued(1))
    s.ask(11_000, 2, "a.b", refused(2, "token.not_three_parts"))
    s.ask(12_000, 3, signed(), limited.format(3, 49))
    s.ask(12_000, 4, signed(), "sign 4 of generation 0", peer="192.0.2.2:50000")
    s.ask(61_000, 5, signed(), "sign 5 of generation 0")
    s.ask(61_001, 6, signed(), limited.format(6, 10))
    s.ask(61_002, 7, "a.b", refused(7, "token.not_three_parts"), peer="[2001:db8::1]:50000")
    s.ask(61_003, 8, "a.b", refused(8, "token.not_three_parts"), peer="[2001:db8::2]:50000")
    s.ask(61_004, 9, "a.b", limited.format(9, 60), peer="[2001:db8::3]:50000")

with Server("server-rate-by-subject", "one person's certificates are counted, whatever the address", "compat section 6",
            rate_by_subject=[1, 60]) as s:
    s.ask(1_000, 1, signed(), "sign 3 of generation 0")
    s.ask(2_000, 2, signed(), "respond 2: 429 admit.rate_limited retry 59; audit auth_success ana; "
          "audit request_refused admit.rate_limited ana", peer="192.0.2.9:1")
    s.ask(2_001, 3, signed(sub="ben"), "sign 4 of generation 0")

with Server("server-allowlist", "an address outside is refused before its token is looked at", "compat section 7",
            allowlist=["192.0.2.0/24"]) as s:
    s.ask(100, 1, "a.b", "respond 1: 403 admit.ip_not_allowed; audit request_refused admit.ip_not_allowed",
          peer="198.51.100.7:50000")
    s.ask(110, 2, "a.b", refused(2, "token.not_three_parts"))

with Server("server-body-faults", "limit, address and method come before a body that cannot be read", "compat section 2.1",
            allowlist=["192.0.2.0/24"], rate_by_address=[7, 60]) as s:
    def fault(at: int, number: int, kind: str, answer: str, code: str, **more: object) -> None:
        s.step(at, f"respond {number}: {answer} {code}; audit request_refused {code.split()[0]}",
               request={"id": number, "fault": kind, **more})

    for n, (kind, status, code) in enumerate([
            ("too_large", 413, "http.body_too_large"), ("chunk", 400, "http.chunk"), ("overhead", 431, "http.head_too_large"),
            ("late", 408, "http.timeout"), ("cut", 400, "http.incomplete")], 1):
        fault(1000 * n, n, kind, str(status), code)
    fault(6000, 6, "too_large", "405", "request.method_not_allowed", method="GET")
    fault(7000, 7, "too_large", "403", "admit.ip_not_allowed", peer="198.51.100.7:50000")
    fault(8000, 8, "chunk", "405", "request.method_not_allowed", method="PUT")
    s.step(9000, "respond 9: 429 admit.rate_limited retry 52; audit request_refused admit.rate_limited",
           request={"id": 9, "fault": "too_large"})
    s.step(9100, "respond 10: 200 ok", request={"id": 10, "fault": "too_large", "method": "GET", "path": "/healthz"})

with Server("server-clock-jumps", "times of tokens go by the wall clock, deadlines never", "RFC 7519 section 4.1.4") as s:
    s.ask(100, 1, signed(), refused(1, "token.expired", "token.expired"), wall=EPOCH + 3661)
    s.ask(200, 2, signed(), refused(2, "token.issued_in_future", "token.not_yet_valid"), wall=EPOCH - 100)
    s.ask(300, 3, signed(), "sign 3 of generation 0", wall=EPOCH + 60)
    s.signs(400, 3, issued(3))

with Server("server-token-again", "there is no one-use mode: the same token serves until it ends", "oidc attack 89") as s:
    for n in (1, 2):
        s.ask(100 * n, n, signed(), f"sign {n + 2} of generation 0")
        s.signs(100 * n + 10, n + 2, issued(n))

def kept(age: int, issuer: str = ISSUER, keys: object = None) -> str:
    """Keys as an earlier run has saved them."""
    return f"talosctl-oidc keys 1\n{issuer}\n{EPOCH - age}\n{json.dumps(keys or jwks(('k1', 1)))}"


with Server("server-kept-keys", "keys of an earlier run serve while the provider is down", "issue: provider faults", up=False) as s:
    s.ask(5, 1, signed())
    s.step(10, "sign 2 of generation 0", saved_keys=kept(3600))
    s.signs(20, 2, issued(1))
    s.fetched(30, 1, "note warn", error="fetch.connect")
    s.ask(40, 2, signed(), "sign 3 of generation 0")
    s.signs(50, 3, issued(2))

for slug, text in [
    ("format", "talosctl-oidc keys 2\n" + kept(0).split("\n", 1)[1]),
    ("issuer", kept(0, issuer=ISSUER + "/")),
    ("age", kept(24 * 3600 + 1)),
    ("future", kept(-1)),
    ("set", kept(0, keys={"keys": [{"kty": "oct", "k": "AAAA"}]})),
]:
    with Server(f"server-kept-keys-{slug}", "bytes that are not this provider's keys of the last day: told, not used",
                "issue: provider faults", up=False) as s:
        s.step(5, "note info", saved_keys=text)
        s.ask(10, 1, signed())
        s.fetched(20, 1, "note warn", down(1, 1), error="fetch.connect")

with Server("server-kept-keys-too-late", "keys that were fetched are not replaced by kept ones", "issue: provider faults") as s:
    s.step(50, "note info", saved_keys=kept(60, keys=jwks(("k2", 2))))
    s.ask(60, 1, signed(), "sign 3 of generation 0")

with Server("server-kept-keys-no-keys", "bytes that are no keys of an earlier run change nothing", "issue: provider faults", up=False) as s:
    s.step(5, "note info", saved_keys="{}")
    s.ask(10, 1, signed())

# ================================================================ the login


def octets(number: int) -> str:
    return b64(bytes([number]) * 32)


STATE, NONCE = octets(1), octets(2)
USUAL = {
    "issuer": ISSUER, "authorization_endpoint": AUTH, "token_endpoint": TOKEN,
    "device_authorization_endpoint": DEVICE, "jwks_uri": KEYS,
}


def id_token(**changed: object) -> dict:
    claims = {"iss": ISSUER, "aud": "talosctl", "sub": "ana", "iat": EPOCH, "exp": EPOCH + 3600}
    return {"key": 1, "kid": "k1", "claims": {n: v for n, v in (claims | changed).items() if v is not None}}


def tokens(**changed: object) -> dict:
    """An answer of the token endpoint to the login of the nonce."""
    usual = {"access_token": "access", "token_type": "Bearer", "expires_in": 60, "refresh_token": "refresh-1",
             "id_token": id_token(nonce=NONCE)}
    return {n: v for n, v in (usual | changed).items() if v is not None}


def entry(secs: int, refresh: str = "refresh-0") -> dict:
    """A cached login whose ID token ends in so many seconds."""
    return {"access_token": "", "refresh_token": refresh, "id_token": id_token(exp=EPOCH + secs),
            "expires_at": "2027-01-15T08:00:00Z", "issuer": ISSUER, "client_id": "talosctl"}


class Login(Script):
    def __init__(self, slug: str, comment: str, source: str, **settings: object) -> None:
        super().__init__(slug, comment, source, "login", settings)
        self.step(0, "read id token 1" if settings.get("given") else "load 1", start={"jitter": 0})

    def loaded(self, *expect: str, entry: dict | None = None, context: dict | None = None) -> None:
        self.step(10, *expect, loaded={"effect": 1, "entry": entry, "context": context})

    def browser(self, metadata: dict | None = None) -> None:
        """From nothing to an address on the terminal. The token request will be effect 4."""
        self.loaded("tell login needed", f"fetch 2 {METADATA}")
        self.fetched(20, 2, "listen 3 127.0.0.1:8900", json=metadata or USUAL)
        self.step(30, "tell open url", f"open browser {AUTH}", listening={"effect": 3, "port": 8900, "entropy": 1})

    def callback(self, at: int, query: str, *expect: str, request: int = 1, entropy: int = 40, **more: object) -> None:
        self.step(at, *expect, callback={"request": request, "target": "/callback" + query, "entropy": entropy, **more})

    def redeem(self) -> None:
        self.browser()
        self.callback(2_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code")

    def exchange(self, at: int, effect: int, *expect: str, write: str = "") -> None:
        """Seed, exchange, file; `effect` is the first, the seed's."""
        self.step(at, f"post {effect + 1} {EXCHANGE}", seeded={"effect": effect, "seed": 5})
        self.step(at + 100, f"write {effect + 2} oidc{write}",
                  exchanged={"effect": effect + 1, "certificate": {"secs": 300}})
        self.step(at + 110, *expect, written={"effect": effect + 2})


with Login("login-browser", "from nothing to a certificate; the browser hears of it when the file is written",
           "RFC 8252; OpenID Connect Core 1.0 section 3.1") as s:
    s.redeem()
    s.fetched(2_100, 4, "save 5 id refresh", json=tokens())
    s.step(2_110, "draw seed 6", saved={"effect": 5})
    s.exchange(2_120, 6, "answer 1: 200", "stop listening", "tell written", "save 9 id refresh server", write=" current")
    s.step(2_300, "finished written", saved={"effect": 9})

# ---------------------------------------------------------------- callbacks

WAITS = {
    "state-wrong": (111, f"?code=c&state={octets(3)}", {}, "400"),
    "state-missing": (111, "?code=c", {}, "400"),
    "state-twice": (111, f"?code=c&state={STATE}&state={STATE}", {}, "400"),
    "code-twice": (112, f"?code=c&code=d&state={STATE}", {}, "400"),
    "code-and-error": (112, f"?code=c&error=access_denied&state={STATE}", {}, "400"),
    "head": (117, f"?code=c&state={STATE}", {"method": "HEAD"}, "204"),
    "options": (117, f"?code=c&state={STATE}", {"method": "OPTIONS"}, "204"),
    "rebinding": (118, f"?code=c&state={STATE}", {"headers": [["host", "evil.test:8900"]]}, "400"),
}
for slug, (number, query, more, status) in WAITS.items():
    with Login(f"login-callback-{slug}", "not the answer that is awaited: the login goes on and ends well",
               f"oidc attack {number}") as s:
        s.browser()
        told = ("tell stray answer",) if slug in {"state-wrong", "state-missing"} else ()
        s.callback(1_000, query, f"answer 1: {status}", *told, **more)
        s.callback(2_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code", request=2)

with Login("login-callback-favicon", "another path is not the callback", "oidc attack 117") as s:
    s.browser()
    s.step(1_000, "answer 1: 404", callback={"request": 1, "target": "/favicon.ico", "entropy": 40})
    s.callback(2_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code", request=2)

with Login("login-callback-error-without-state", "any page can send an error: it is shown three times, and ends nothing",
           "oidc attack 115") as s:
    s.browser()
    for n in range(1, 6):
        shown = ("tell unproven error",) if n <= 3 else ()
        s.callback(1_000 * n, "?error=access_denied&error_description=%1B%5B2J", f"answer {n}: 400", *shown, request=n)
    s.callback(9_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code", request=6)

ENDS = {
    "denied": (114, f"?error=access_denied&error_description=%3Cscript%3E%1B%5B2J&state={STATE}", "login.access_denied"),
    "iss-other": (113, f"?code=c&iss=https%3A%2F%2Fevil.example&state={STATE}", "login.iss_mismatch"),
}
for slug, (number, query, code) in ENDS.items():
    with Login(f"login-callback-{slug}", "an answer to this login that ends it", f"oidc attack {number}; oidc attack 116") as s:
        s.browser()
        s.callback(1_000, query, "answer 1: 400", "stop listening", f"failed {code}")

with Login("login-callback-iss-missing", "the provider promised iss and left it out", "oidc attack 113; RFC 9207") as s:
    s.browser(USUAL | {"authorization_response_iss_parameter_supported": True})
    s.callback(1_000, f"?code=c&state={STATE}", "answer 1: 400", "stop listening", "failed login.iss_missing")

with Login("login-only-strangers", "only answers with another state came", "compat section 10") as s:
    s.browser()
    s.callback(1_000, f"?code=c&state={octets(3)}", "answer 1: 400", "tell stray answer")
    s.step(300_009)
    s.step(300_010, "stop listening", "failed login.state_mismatch")

with Login("login-nobody-comes", "five minutes, then it is over", "compat section 10") as s:
    s.browser()
    s.step(300_009)
    s.step(300_010, "stop listening", "failed login.timed_out")

with Login("login-interrupted", "Ctrl-C while waiting for the browser", "compat section 10") as s:
    s.browser()
    s.step(1_000, "stop listening", "failed login.interrupted", interrupt={})

with Login("login-no-offline-access", "asked again without offline_access in the same browser", "RFC 6749 section 4.1.2.1") as s:
    s.browser()
    s.callback(1_000, f"?error=invalid_scope&state={STATE}", "tell without offline access", f"answer 1: 303 {AUTH}")
    s.callback(2_000, f"?code=c&state={octets(40)}", f"post 4 {TOKEN} authorization_code", request=2)

for why in ("in_use", "denied", "other"):
    with Login(f"login-listen-{why.replace('_', '-')}", "nobody can listen on the port", "compat section 10") as s:
        s.loaded("tell login needed", f"fetch 2 {METADATA}")
        s.fetched(20, 2, "listen 3 127.0.0.1:8900", json=USUAL)
        s.step(30, "failed login.listen_failed", listen_failed={"effect": 3, "why": why})

with Login("login-browser-failed", "no browser starts: the address is on the terminal", "RFC 8252 section 7.3") as s:
    s.browser()
    s.step(40, "tell browser not started", browser_failed={})
    s.callback(2_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code")

# ---------------------------------------------------------------- the token endpoint

ANSWERS = {
    "redirect": (120, {"status": 307, "headers": [["location", "https://evil.example/token"]]}, "login.provider_answer"),
    "error-in-200": (120, {"json": {"error": "invalid_grant"}}, "login.provider_error"),
    "html": (120, {"text": "<html></html>"}, "login.provider_answer"),
    "nonce-other": (121, {"json": tokens(id_token=id_token(nonce=octets(9)))}, "token.nonce_mismatch"),
    "nonce-missing": (121, {"json": tokens(id_token=id_token())}, "token.nonce_mismatch"),
    "at-hash": (121, {"json": tokens(id_token=id_token(nonce=NONCE, at_hash=octets(9)))}, "token.at_hash_mismatch"),
    "mac": (121, {"json": tokens(token_type="mac")}, "login.provider_answer"),
    "no-id-token": (121, {"json": tokens(id_token=None)}, "login.no_id_token"),
    "audience": (121, {"json": tokens(id_token=id_token(nonce=NONCE, aud="another"))}, "token.audience_mismatch"),
    "unavailable": (120, {"status": 503, "headers": [["retry-after", "7"]], "text": ""}, "login.provider_unavailable"),
    "unreachable": (94, {"error": "fetch.timeout"}, "login.provider_unreachable"),
    "untrusted": (109, {"error": "fetch.untrusted_certificate"}, "login.provider_unreachable"),
}
for slug, (number, reply, code) in ANSWERS.items():
    with Login(f"login-token-{slug}", "an answer of the token endpoint that ends the login; nothing is sent again",
               f"oidc attack {number}") as s:
        s.redeem()
        s.fetched(2_100, 4, "answer 1: 400", "stop listening", f"failed {code}", **reply)

for slug, number, change, code in [
    ("issuer", 90, {"issuer": ISSUER + "/"}, "discovery.issuer_mismatch"),
    ("script", 126, {"authorization_endpoint": "javascript:alert(1)"}, "discovery.endpoint_invalid"),
    ("file", 126, {"authorization_endpoint": "file:///etc/passwd"}, "discovery.endpoint_invalid"),
    ("escape", 126, {"authorization_endpoint": AUTH + "\u001b[2J"}, "discovery.endpoint_invalid"),
]:
    with Login(f"login-metadata-{slug}", "metadata that is refused before anything is opened", f"oidc attack {number}") as s:
        s.loaded("tell login needed", f"fetch 2 {METADATA}")
        s.fetched(20, 2, f"failed {code}", json=USUAL | change)

with Login("login-pushed-requests-only", "a provider that takes authorization requests by the back channel alone", "RFC 9126 section 5") as s:
    s.loaded("tell login needed", f"fetch 2 {METADATA}")
    s.fetched(20, 2, "failed login.pushed_requests_only", json=USUAL | {"require_pushed_authorization_requests": True})

# ---------------------------------------------------------------- without a person

with Login("login-nobody-there", "no tokens and no person: nothing is asked", "issue: machines", nobody_there=True) as s:
    s.loaded("failed login.interaction_required")

with Login("login-still-fresh", "nothing to do", "compat section 10") as s:
    s.loaded("finished still fresh", entry=entry(3600) | {"server": "https://oidc.example.com"}, context={"secs": 300})

with Login("login-cached", "a cached token that is still good is exchanged at once", "compat section 11") as s:
    s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
    s.exchange(20, 2, "tell written", "save 5 id refresh server", write=" current")
    s.step(140, "finished written", saved={"effect": 5})

with Login("login-refresh", "a refresh happens under the lock and is stored before anything else", "RFC 6749 section 6",
           nobody_there=True) as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "tell refreshing", f"post 4 {TOKEN} refresh_token", locked={"effect": 3, "entry": entry(-1)})
    s.fetched(130, 4, "save 5 id refresh", json=tokens(id_token=id_token()))
    s.step(140, "release lock", "draw seed 6", saved={"effect": 5})
    s.exchange(150, 6, "tell written", "save 9 id refresh server")

with Login("login-refreshed-by-another", "what another process has refreshed meanwhile is used", "oidc attack 124") as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "release lock", "draw seed 4", locked={"effect": 3, "entry": entry(3600, "refresh-9")})

with Login("login-lock-busy", "a lock that is never given back ends the login", "oidc attack 124") as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "failed login.busy", lock_failed={"effect": 3, "busy": True})

for there in (True, False):
    with Login("login-invalid-grant" + ("" if there else "-nobody-there"),
               "a refresh token that is refused: a person logs in, or nobody does", "RFC 6749 section 5.2",
               nobody_there=not there) as s:
        s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
        s.fetched(20, 2, "lock 3", json=USUAL)
        s.step(30, "tell refreshing", f"post 4 {TOKEN} refresh_token", locked={"effect": 3, "entry": entry(-1)})
        asked = ("tell refresh refused", "tell login needed", "listen 5 127.0.0.1:8900")
        s.fetched(130, 4, "forget tokens", "release lock", *(asked if there else ("failed login.provider_error",)),
                  status=400, json={"error": "invalid_grant"})

with Login("login-refresh-other-subject", "a refresh that gives the tokens of somebody else", "oidc attack 122") as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "tell refreshing", f"post 4 {TOKEN} refresh_token", locked={"effect": 3, "entry": entry(-1)})
    s.fetched(130, 4, "forget tokens", "release lock", "failed login.subject_changed", json=tokens(id_token=id_token(sub="eve")))

with Login("login-refresh-other-issuer", "a refresh that gives the tokens of another provider", "oidc attack 122") as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "tell refreshing", f"post 4 {TOKEN} refresh_token", locked={"effect": 3, "entry": entry(-1)})
    s.fetched(130, 4, "save 5 refresh", json=tokens(id_token=id_token(iss="https://evil.example")))
    s.step(140, "release lock", "failed token.issuer_mismatch", saved={"effect": 5})

with Login("login-refresh-without-id-token", "some providers refresh without an ID token: a person logs in, once",
           "oidc attack 123") as s:
    s.loaded(f"fetch 2 {METADATA}", entry=entry(-1))
    s.fetched(20, 2, "lock 3", json=USUAL)
    s.step(30, "tell refreshing", f"post 4 {TOKEN} refresh_token", locked={"effect": 3, "entry": entry(-1)})
    s.fetched(130, 4, "save 5 refresh", json=tokens(id_token=None))
    s.step(140, "release lock", "tell login needed", "listen 6 127.0.0.1:8900", saved={"effect": 5})

# ---------------------------------------------------------------- the exchange server

NO = {"error": "invalid token", "code": "token.invalid", "hint": "log in again"}

with Login("login-401-refresh-once", "a refused cached token is refreshed once, then a person logs in", "issue: tokens") as s:
    s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
    s.step(20, f"post 3 {EXCHANGE}", seeded={"effect": 2, "seed": 5})
    s.fetched(120, 3, "tell token refused by server", f"fetch 4 {METADATA}", status=401, json=NO)
    s.fetched(130, 4, "lock 5", json=USUAL)
    s.step(140, "tell refreshing", f"post 6 {TOKEN} refresh_token", locked={"effect": 5, "entry": entry(3600)})
    s.fetched(150, 6, "save 7 id refresh", json=tokens(id_token=id_token(iat=EPOCH + 1)))
    s.step(160, "release lock", "draw seed 8", saved={"effect": 7})
    s.step(170, f"post 9 {EXCHANGE}", seeded={"effect": 8, "seed": 6})
    s.fetched(180, 9, "tell token refused by server", "tell login needed", "listen 10 127.0.0.1:8900", status=401, json=NO)

for slug, reply, code in [
    ("403", {"status": 403, "json": {"error": "no roles", "code": "rbac.no_role", "hint": "ask"}}, "server.refused"),
    ("429", {"status": 429, "headers": [["retry-after", "7"]], "json": {"error": "rate limit exceeded"}}, "server.rate_limited"),
    ("503", {"status": 503, "json": {"error": "identity provider unavailable"}}, "server.unavailable"),
    ("untrusted", {"error": "fetch.untrusted_certificate"}, "server.unreachable"),
    ("500", {"status": 500, "json": {"error": "failed to generate certificate"}}, "server.unavailable"),
    ("redirect", {"status": 302, "headers": [["location", "https://evil.example/exchange"]]}, "server.unexpected_status"),
    ("not-found", {"status": 404, "text": "not found"}, "server.unexpected_status"),
    ("html", {"text": "<html></html>"}, "server.answer"),
]:
    with Login(f"login-server-{slug}", "the exchange server does not give a certificate", "compat section 3") as s:
        s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
        s.step(20, f"post 3 {EXCHANGE}", seeded={"effect": 2, "seed": 5})
        s.fetched(120, 3, f"failed {code}", **reply)

with Login("login-certificate-of-another-key", "an answer whose key is not the one of its certificate", "invariant 3") as s:
    s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
    s.step(20, f"post 3 {EXCHANGE}", seeded={"effect": 2, "seed": 5})
    s.step(120, "write 4 oidc current", exchanged={"effect": 3, "certificate": {"secs": 300, "old": True}})

with Login("login-certificate-over", "an answer whose certificate has ended", "compat section 12") as s:
    s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
    s.step(20, f"post 3 {EXCHANGE}", seeded={"effect": 2, "seed": 5})
    s.step(120, "failed pki.certificate_expired", exchanged={"effect": 3, "certificate": {"secs": 300, "age": 900}})

with Login("login-not-written", "a talosconfig that cannot be written: the browser hears of it", "compat section 12") as s:
    s.redeem()
    s.fetched(2_100, 4, "save 5 id refresh", json=tokens())
    s.step(2_110, "draw seed 6", saved={"effect": 5})
    s.step(2_120, f"post 7 {EXCHANGE}", seeded={"effect": 6, "seed": 5})
    s.step(2_220, "write 8 oidc current", exchanged={"effect": 7, "certificate": {"secs": 300}})
    s.step(2_230, "answer 1: 400", "stop listening", "failed file.not_writable", write_failed={"effect": 8})

with Login("login-not-stored", "tokens that cannot be stored: told, and the login goes on", "issue: tokens") as s:
    s.redeem()
    s.fetched(2_100, 4, "save 5 id refresh", json=tokens())
    s.step(2_110, "tell tokens not stored", "draw seed 6", save_failed={"effect": 5})

with Login("login-late-and-unknown-answers", "answers to orders that are over or never were change nothing", "style: correlation") as s:
    s.browser()
    s.fetched(40, 2, json=USUAL)
    s.fetched(41, 77, json=USUAL)
    s.step(42, written={"effect": 3})
    s.callback(2_000, f"?code=c&state={STATE}", f"post 4 {TOKEN} authorization_code")
    s.callback(2_001, f"?code=d&state={STATE}", "answer 2: 409", request=2)

# ---------------------------------------------------------------- device codes

CODE = {"device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": "https://idp.example.com/device",
        "expires_in": 900, "interval": 5}


def device(s: Login, **changed: object) -> None:
    s.loaded("tell login needed", f"fetch 2 {METADATA}")
    s.fetched(20, 2, f"post 3 {DEVICE} nothing", json=USUAL)
    s.fetched(40, 3, "tell device code", json=CODE | changed)


with Login("login-device-slow-down", "each slow_down adds five seconds", "oidc attack 125; RFC 8628 section 3.5", flow="device") as s:
    device(s)
    at, wait = 40, 5
    for n in range(4, 7):
        at += 1000 * wait
        s.step(at - 1)
        s.step(at, f"post {n} {TOKEN} device_code")
        s.fetched(at, n, status=400, json={"error": "slow_down"})
        wait += 5
    assert wait == 20
    s.step(at + 19_999)
    s.step(at + 20_000, f"post 7 {TOKEN} device_code")
    s.fetched(at + 20_100, 7, "save 8 id refresh", json=tokens(id_token=id_token()))

for slug, interval, secs in [("zero", 0, 1), ("negative", -1, 1), ("huge", 10**9, 60)]:
    with Login(f"login-device-interval-{slug}", "an interval out of all reason is brought into it", "oidc attack 125",
               flow="device") as s:
        device(s, interval=interval)
        s.step(40 + 1000 * secs - 1)
        s.step(40 + 1000 * secs, f"post 4 {TOKEN} device_code")

for slug, address in [("script", "javascript:alert(1)"), ("file", "file:///etc/passwd"), ("escape", "https://idp.example.com/\u001b[2J")]:
    with Login(f"login-device-uri-{slug}", "an address that is neither shown nor opened", "oidc attack 126", flow="device") as s:
        s.loaded("tell login needed", f"fetch 2 {METADATA}")
        s.fetched(20, 2, f"post 3 {DEVICE} nothing", json=USUAL)
        s.fetched(40, 3, "failed login.provider_answer", json=CODE | {"verification_uri": address})

with Login("login-device-denied", "the person says no at the other device", "RFC 8628 section 3.5", flow="device") as s:
    device(s)
    s.step(5_040, f"post 4 {TOKEN} device_code")
    s.fetched(5_140, 4, "failed login.access_denied", status=400, json={"error": "access_denied"})

# ---------------------------------------------------------------- watch, given tokens

with Login("login-watch", "renews between half and four fifths of the certificate's life, and ends cleanly", "issue: watch",
           watch=True) as s:
    s.loaded("tell using cached token", "draw seed 2", entry=entry(3600))
    s.exchange(20, 2, "tell written", "save 5 id refresh server", write=" current")
    s.step(140, "tell next renewal", saved={"effect": 5})
    s.step(149_000)
    s.step(241_000, "tell using cached token", "draw seed 6")
    s.step(242_000, "finished stopped", interrupt={})

with Login("login-given", "a token from outside, no prompt, no store", "issue: machines", given=True) as s:
    s.step(10, "draw seed 2", id_token_given={"effect": 1, "token": id_token()})
    s.exchange(20, 2, "tell written", "finished written", write=" current")

with Login("login-given-refused", "a token from outside that the server refuses: there is no other", "issue: machines", given=True) as s:
    s.step(10, "draw seed 2", id_token_given={"effect": 1, "token": id_token()})
    s.step(20, f"post 3 {EXCHANGE}", seeded={"effect": 2, "seed": 5})
    s.fetched(120, 3, "failed server.token_refused", status=401, json=NO)

with Login("login-given-over", "a token from outside that has ended", "issue: machines", given=True) as s:
    s.step(10, "failed token.expired", id_token_given={"effect": 1, "token": id_token(exp=EPOCH - 1)})

with Login("login-given-unreadable", "a token from outside that cannot be read", "issue: machines", given=True) as s:
    s.step(10, "failed file.not_readable", id_token_given={"effect": 1, "token": None})

area.finish()
