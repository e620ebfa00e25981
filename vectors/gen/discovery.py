"""Makes the `discovery` cases: `python3 discovery.py`, or with `--check` to compare."""

import json

from cases import Area

ISSUER = "https://idp.example.com/realms/talos"
JWKS = "https://idp.example.com/realms/talos/certs"

area = Area("discovery")


def document(**changed: object) -> dict:
    """Metadata as a provider writes it; a value of None takes the member away."""
    base = {
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example.com/realms/talos/auth",
        "token_endpoint": "https://idp.example.com/realms/talos/token",
        "jwks_uri": JWKS,
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    base.update(changed)
    return {name: value for name, value in base.items() if value is not None}


def case(slug: str, comment: str, source: str, text: object, expect: dict, issuer: str = ISSUER, **policy: bool) -> None:
    text = text if isinstance(text, str) else json.dumps(text)
    area.add(slug, {"comment": comment, "source": source, "issuer": issuer, "document": text} | policy | {"expect": expect})


def good(slug: str, comment: str, source: str, text: object, issuer: str = ISSUER, adopted: str | None = None,
         jwks: str = JWKS, url: str | None = None, **policy: bool) -> None:
    ok = {
        "discovery_url": url or issuer + "/.well-known/openid-configuration",
        "issuer": adopted or issuer,
        "jwks_uri": jwks,
    }
    case(slug, comment, source, text, {"ok": ok}, issuer, **policy)


def bad(slug: str, comment: str, source: str, text: object, code: str, **rest: object) -> None:
    case(slug, comment, source, text, {"error": f"discovery.{code}"}, **rest)


SECTION_3, SECTION_43 = "OpenID Connect Discovery 1.0 section 3", "OpenID Connect Discovery 1.0 section 4.3"

# ---------------------------------------------------------------- accepted

good("plain", "the document every refused case starts from", SECTION_3, document())
good("least", "issuer and jwks_uri alone, as Kubernetes and GitHub have it", SECTION_3, {"issuer": ISSUER, "jwks_uri": JWKS})
good("no-path", "an issuer without a path", "OpenID Connect Discovery 1.0 section 4.1",
     document(issuer="https://idp.example.com"), issuer="https://idp.example.com")
good("port", "an issuer with a port, kept as it is", SECTION_3, document(issuer="https://idp.example.com:8443"), issuer="https://idp.example.com:8443")
good("default-port", "the default port written out on both sides", SECTION_43, document(issuer="https://idp.example.com:443"), issuer="https://idp.example.com:443")
good("trailing-slash", "a final slash belongs to the issuer and not to the URL of its metadata",
     "OpenID Connect Discovery 1.0 section 4.1", document(issuer=ISSUER + "/"), issuer=ISSUER + "/",
     url=ISSUER + "/.well-known/openid-configuration")
good("slash-adopted", "one slash more is ignored by configuration: the provider's form counts from now on",
     "decisions: issuer comparison", document(issuer=ISSUER + "/"), adopted=ISSUER + "/", slash_tolerant=True)
good("slash-adopted-away", "one slash less, likewise", "decisions: issuer comparison", document(), issuer=ISSUER + "/",
     url=ISSUER + "/.well-known/openid-configuration", adopted=ISSUER, slash_tolerant=True)
good("jwks-on-other-host", "keys on another host, as Google and Cognito have them", "oidc 2.4",
     document(jwks_uri="https://keys.example.net/k?v=1"), jwks="https://keys.example.net/k?v=1")
good("loopback-http", "http on loopback needs no permission", "oidc 3",
     document(issuer="http://127.0.0.1:5556/dex", jwks_uri="http://127.0.0.1:5556/dex/keys"),
     issuer="http://127.0.0.1:5556/dex", jwks="http://127.0.0.1:5556/dex/keys")
good("loopback-http-v6", "the same over IPv6", "oidc 3", document(issuer="http://[::1]:5556", jwks_uri="http://[::1]:5556/keys"),
     issuer="http://[::1]:5556", jwks="http://[::1]:5556/keys")
good("http-allowed", "http beyond loopback, where the configuration allows it", "oidc 3",
     document(issuer="http://idp.example.com", jwks_uri="http://idp.example.com/keys"), issuer="http://idp.example.com",
     jwks="http://idp.example.com/keys", allow_http=True)
good("unknown-members", "unknown members of any form are ignored", SECTION_3, document(x={"y": [None]}, mtls_endpoint_aliases={"token_endpoint": 1}))
good("other-endpoint-insecure", "an insecure endpoint spoils itself alone: a server needs only the keys", "oidc 3",
     document(token_endpoint="http://idp.example.com/token"))
good("other-endpoint-null", "an endpoint that is null is absent", SECTION_3, document(end_session_endpoint=None) | {"end_session_endpoint": None})
good("lists-of-anything", "lists with entries of other types", SECTION_3, document(scopes_supported=[1, None, "openid"], grant_types_supported="code"))

# ---------------------------------------------------------------- refused: the issuer

bad("issuer-extra-slash", "the provider has a slash more", "oidc attack 90", document(issuer=ISSUER + "/"), "issuer_mismatch")
bad("issuer-missing-slash", "the provider has a slash less", "oidc attack 90", document(), "issuer_mismatch", issuer=ISSUER + "/")
bad("issuer-two-slashes-tolerant", "two slashes more, one is ignored", "oidc attack 90", document(issuer=ISSUER + "//"), "issuer_mismatch", slash_tolerant=True)
for slug, issuer, why in (
    ("other", "https://evil.example", "another issuer"),
    ("case", ISSUER.replace("idp", "IDP"), "host in other case"),
    ("port", ISSUER.replace(".com/", ".com:443/"), "the default port written out"),
    ("http", ISSUER.replace("https", "http"), "http in place of https"),
    ("prefix", "https://idp.example.com", "a prefix of ours"),
    ("longer", ISSUER + "/x", "a path behind ours"),
    ("suffix-host", ISSUER.replace(".com", ".com.evil.test"), "our host as the start of another"),
    ("percent", ISSUER.replace("talos", "%74alos"), "a letter percent-encoded"),
):
    bad(f"issuer-{slug}", why, f"oidc attack 90; {SECTION_43}", document(issuer=issuer), "issuer_mismatch")
for slug, value, why in (
    ("number", 7, "a number"), ("array", [ISSUER], "an array"), ("empty", "", "the empty text"),
    ("no-scheme", "idp.example.com", "no URL"), ("query", ISSUER + "?x=1", "a URL with a query"), ("space", ISSUER + " ", "a URL with a blank behind it"),
):
    bad(f"issuer-{slug}", f"issuer is {why}", SECTION_3, document(issuer=value), "issuer_invalid")
bad("issuer-missing", "no issuer", SECTION_3, document(issuer=None), "issuer_invalid")
bad("issuer-null", "issuer is null", SECTION_3, document() | {"issuer": None}, "issuer_invalid")
bad("issuer-capital", "Issuer is not issuer", SECTION_3, document(issuer=None, Issuer=ISSUER), "issuer_invalid")
bad("issuer-template", "a template for every tenant", "oidc attack 110", document(issuer="https://login.example.com/{tenantid}/v2.0"), "issuer_template",
    issuer="https://login.example.com/common/v2.0")
bad("issuer-insecure", "an http issuer beyond loopback", "oidc 3", document(issuer="http://idp.example.com"), "insecure_issuer", issuer="http://idp.example.com")
bad("issuer-insecure-look-alike", "a host that starts like loopback", "oidc 3", document(issuer="http://127.0.0.1.evil.test"), "insecure_issuer",
    issuer="http://127.0.0.1.evil.test")

# ---------------------------------------------------------------- refused: jwks_uri

bad("jwks-missing", "no jwks_uri", SECTION_3, document(jwks_uri=None), "endpoint_missing")
bad("jwks-null", "jwks_uri is null", SECTION_3, document() | {"jwks_uri": None}, "endpoint_missing")
bad("jwks-empty", "jwks_uri is the empty text", SECTION_3, document(jwks_uri=""), "endpoint_missing")
bad("jwks-http", "jwks_uri is http", "oidc attack 91", document(jwks_uri=JWKS.replace("https", "http")), "endpoint_insecure")
bad("jwks-http-allowed", "http keys of an https issuer are a mistake, whatever is allowed", "oidc attack 91",
    document(jwks_uri=JWKS.replace("https", "http")), "endpoint_insecure", allow_http=True)
for slug, value in (
    ("file", "file:///etc/passwd"), ("javascript", "javascript:alert(1)"), ("ftp", "ftp://idp.example.com/k"), ("data", "data:application/json,{}"),
    ("userinfo", "https://user:pass@idp.example.com/k"), ("fragment", JWKS + "#f"), ("relative", "/certs"), ("no-host", "https:///k"),
    ("space", JWKS + " "), ("newline", JWKS + "\nx"), ("escape", JWKS + "\x1b[2J"), ("port-zero", "https://idp.example.com:0/k"),
    ("port-text", "https://idp.example.com:https/k"), ("non-ascii-host", "https://idp.exаmple.com/k"), ("number", 7), ("array", [JWKS]), ("object", {}),
):
    bad(f"jwks-{slug}", f"jwks_uri {json.dumps(value)}", "oidc attack 91", document(jwks_uri=value), "endpoint_invalid")

# ---------------------------------------------------------------- refused: the text

_text = json.dumps(document())
bad("html", "an HTML page", "oidc attack 93", "<!doctype html><title>Sign in</title>", "not_json")
bad("empty", "an empty body", "oidc attack 93", "", "not_json")
bad("truncated", "the last brace is missing", "oidc attack 93", _text[:-1], "not_json")
bad("array", "an array", "oidc attack 93", f"[{_text}]", "not_json")
bad("null", "null", "oidc attack 93", "null", "not_json")
bad("trailing", "bytes after the object", "oidc attack 93", _text + "{}", "not_json")
bad("bom", "a byte order mark", "RFC 8259 section 8.1", "\ufeff" + _text, "not_json")
bad("issuer-twice", "issuer twice, ours last", "RFC 8259 section 4", _text.replace('"issuer"', '"issuer":"https://evil.example","issuer"', 1), "not_json")
bad("jwks-uri-twice", "jwks_uri twice", "RFC 8259 section 4", _text[:-1] + ',"jwks_uri":"https://evil.example/k"}', "not_json")
bad("deep", "100 arrays inside each other", "oidc attack 21", _text[:-1] + ',"x":' + "[" * 100 + "]" * 100 + "}", "not_json")

area.finish()
