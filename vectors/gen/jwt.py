"""Makes the `jwt` cases: `python3 jwt.py`, or `python3 jwt.py --check` to compare.

Every refused case starts from the same valid token and changes one thing.
"""

import base64
import json

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cases import VECTORS, Area
from keys import Key, b64, mac, uint, unb64

NOW = 1_800_000_000
ISSUER = "https://idp.example.com/realms/talos"
AUDIENCE = "talosctl"
SECRET = "a shared secret of 64 octets or more, so that HS512 may use it too"

RSA, RSA3072, RSA1024, RSA_X = Key("rsa"), Key("rsa-3072"), Key("rsa-1024"), Key("rsa-stranger")
P256, P256B, P256_X, P384 = Key("es256"), Key("es256-second"), Key("es256-stranger"), Key("es384")
ED, ED_X = Key("ed25519"), Key("ed25519-stranger")

area = Area("jwt")

# ---------------------------------------------------------------- key sets

SETS = {
    # What a provider with every kind of key publishes.
    "all": [
        RSA.public(kid="rsa-1", use="sig"),
        RSA3072.public(kid="rsa-2", use="sig", alg="RS256"),
        P256.public(kid="es256-1", use="sig", alg="ES256"),
        P384.public(kid="es384-1", use="sig", alg="ES384"),
        ED.public(kid="ed25519-1", use="sig", alg="EdDSA"),
    ],
    "es256": [P256.public(kid="es256-1", use="sig", alg="ES256")],
    "rs256": [RSA.public(kid="rsa-1", use="sig", alg="RS256")],
}
for name, keys in SETS.items():
    text = json.dumps({"keys": keys}, indent=1) + "\n"
    (VECTORS / "keys" / f"{name}.json").write_text(text)

# ---------------------------------------------------------------- tokens


def claims(**changed: object) -> dict:
    """The claims of the valid token; a value of None takes the claim away."""
    base = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW - 30,
        "email": "alice@example.com",
        "email_verified": True,
        "groups": ["platform-admins", "staff"],
    }
    base.update(changed)
    return {name: value for name, value in base.items() if value is not None}


def header(alg: object = "ES256", kid: object = "es256-1", **changed: object) -> dict:
    base = {"alg": alg, "typ": "JWT", "kid": kid}
    base.update(changed)
    return {name: value for name, value in base.items() if value is not None}


def octets(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    text = part if isinstance(part, str) else json.dumps(part, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def seal(head: object, body: object, key: Key = P256, alg: str = "ES256", sign=None) -> str:
    """A compact token. `sign` maps the signing input to the signature octets."""
    signing_input = f"{b64(octets(head))}.{b64(octets(body))}"
    made = sign(signing_input.encode()) if sign else key.sign(alg, signing_input.encode())
    return f"{signing_input}.{b64(made)}"


def hs(alg: str, secret: bytes, head: dict | None = None, body: object = None) -> str:
    return seal(head or header(alg, None), body or claims(), sign=lambda m: mac(alg, secret, m))


VALID = seal(header(), claims())
HEAD, BODY, SIG = VALID.split(".")
RS_VALID = seal(header("RS256", "rsa-1"), claims(), RSA, "RS256")

DEFAULT = {"issuer": ISSUER, "audience": AUDIENCE}


def case(slug: str, comment: str, source: str, token: str, expect: dict, keys: object = "all", **config: object) -> None:
    members = {"comment": comment, "source": source, "now": NOW}
    if isinstance(keys, str):
        members["keys"] = f"keys/{keys}.json"
    else:
        members["jwks"] = {"keys": keys}
    members |= {"token": token, "config": DEFAULT | config, "expect": expect}
    area.add(slug, members)


def good(slug: str, comment: str, source: str, token: str, sub: str = "alice", **rest: object) -> None:
    case(slug, comment, source, token, {"ok": {"sub": sub}}, **rest)


def bad(slug: str, comment: str, source: str, token: str, code: str, **rest: object) -> None:
    case(slug, comment, source, token, {"error": f"token.{code}"}, **rest)


def body(text: str) -> str:
    """The valid payload with `text` (raw JSON members) in place of the claims of those names."""
    names = [name for name in claims() if f'"{name}":' in text]
    rest = json.dumps(claims(**{name: None for name in names}), separators=(",", ":"))
    return rest[:-1] + "," + text + "}"


# ================================================================ accepted

good("es256", "the token every refused case starts from", "RFC 7518 section 3.4", VALID)
for bits in ("256", "384", "512"):
    for family, section in (("RS", "3.3"), ("PS", "3.5")):
        alg = family + bits
        good(alg.lower(), f"an RSA key without alg serves {alg}", f"RFC 7518 section {section}",
             seal(header(alg, "rsa-1"), claims(), RSA, alg))
    alg = "HS" + bits
    good(alg.lower(), "a MAC with the configured client secret", "RFC 7518 section 3.2",
         hs(alg, SECRET.encode()), hmac_secret=SECRET)
good("hs256-least-secret", "32 octets are just enough for HS256", "RFC 7518 section 3.2",
     hs("HS256", b"0123456789abcdef0123456789abcdef"), hmac_secret="0123456789abcdef0123456789abcdef")
good("rs256-3072", "modulus of 3072 bits, key bound to RS256", "RFC 7518 section 3.3",
     seal(header("RS256", "rsa-2"), claims(), RSA3072, "RS256"))
good("es384", "ECDSA on P-384", "RFC 7518 section 3.4", seal(header("ES384", "es384-1"), claims(), P384, "ES384"))
good("eddsa", "Ed25519 under its older name", "RFC 8037 section 3.1",
     seal(header("EdDSA", "ed25519-1"), claims(), ED, "EdDSA"))
good("ed25519", "Ed25519 under its newer name, the key says EdDSA", "RFC 9864 section 2.2",
     seal(header("Ed25519", "ed25519-1"), claims(), ED, "EdDSA"))
good("eddsa-key-says-ed25519", "the reverse: the header says EdDSA, the key Ed25519", "RFC 9864 section 2.2",
     seal(header("EdDSA", "ed25519-1"), claims(), ED, "EdDSA"), keys=[ED.public(kid="ed25519-1", alg="Ed25519")])
good("typ-absent", "typ is optional", "RFC 7519 section 5.1", seal(header(typ=None), claims()))
good("typ-lower-case", "typ is compared without regard to case", "RFC 7519 section 5.1", seal(header(typ="jwt"), claims()))
good("typ-application-jwt", "the full media type means the same", "RFC 7515 section 4.1.9",
     seal(header(typ="application/jwt"), claims()))
good("kid-absent-one-key", "no kid and one key", "OpenID Connect Core 1.0 section 10.1",
     seal(header(kid=None), claims()), keys="es256")
good("kid-absent-one-fits", "no kid and one of several keys fits the algorithm", "OpenID Connect Core 1.0 section 10.1",
     seal(header(kid=None), claims()))
good("kid-odd-characters", "kid is opaque: quotes and dots match byte for byte", "RFC 7515 section 4.1.4",
     seal(header(kid="../../etc/passwd' OR '1'='1"), claims()), keys=[P256.public(kid="../../etc/passwd' OR '1'='1")])
good("kid-256-octets", "the longest kid", "RFC 7515 section 4.1.4",
     seal(header(kid="k" * 256), claims()), keys=[P256.public(kid="k" * 256)])
good("kid-shared-alg-differs", "two keys of one kid, told apart by their algorithm", "oidc attack 103; RFC 7517 section 4.5",
     VALID, keys=[RSA.public(kid="es256-1", alg="RS256"), P256.public(kid="es256-1", alg="ES256")])
good("key-ops-verify", "key_ops that holds verify", "RFC 7517 section 4.3", VALID,
     keys=[P256.public(kid="es256-1", key_ops=["verify"])])
good("key-modulus-leading-zero", "n with a leading zero octet, as some providers write it", "RFC 7518 section 6.3.1.1",
     RS_VALID, keys=[RSA.public(kid="rsa-1", n=b64(b"\0" + unb64(RSA.jwk["n"])))])
good("key-beside-useless-ones", "entries that cannot be used do not spoil the set", "RFC 7517 section 5", VALID,
     keys=[None, 1, {}, {"kty": "??"}, {"kty": "oct", "k": b64(SECRET.encode()), "kid": "es256-1"}, P256.public(kid="es256-1")])
good("header-unknown-members", "unknown header members are ignored", "RFC 7515 section 4", seal(header(zzz={"a": [1]}), claims()))
good("header-with-blanks", "JSON white space inside a part is not white space in the token", "RFC 7515 appendix A.1",
     seal('{"typ":"JWT",\r\n "alg":"ES256", "kid":"es256-1"}', claims()))
good("claim-name-escaped", "an escaped member name is the same name", "RFC 8259 section 8.3",
     seal(header(), body('"\\u0073ub":"alice"').replace('"sub":"alice",', "", 1)))
good("aud-array-of-one", "one audience as an array", "RFC 7519 section 4.1.3", seal(header(), claims(aud=[AUDIENCE])))
good("aud-array-azp-ours", "several audiences and azp names our client", "OpenID Connect Core 1.0 section 3.1.3.7 items 3 to 5",
     seal(header(), claims(aud=["kubernetes", AUDIENCE], azp=AUDIENCE)))
good("azp-ours", "azp names our client", "OpenID Connect Core 1.0 section 3.1.3.7 item 5", seal(header(), claims(azp=AUDIENCE)))
good("exp-fraction", "a NumericDate may have a fraction", "oidc attack 69; RFC 7519 section 2", seal(header(), body(f'"exp":{NOW + 300}.5')))
good("exp-exponent", "a NumericDate may have an exponent", "oidc attack 69; RFC 7519 section 2", seal(header(), body('"exp":1.9e9')))
good("exp-far", "a far exp alone is no reason to refuse", "oidc attack 68", seal(header(), body('"exp":1000000000000000000')))
good("exp-over-64-bits", "9223372036854775808 is a number like another", "oidc attack 68", seal(header(), body('"exp":9223372036854775808')))
good("exp-within-skew", "59 seconds late with 60 of tolerance", "OpenID Connect Core 1.0 section 3.1.3.7 item 9", seal(header(), claims(exp=NOW - 59)))
good("exp-next-second", "no tolerance, one second left", "RFC 7519 section 4.1.4", seal(header(), claims(exp=NOW + 1)), skew=0)
good("nbf-within-skew", "60 seconds early with 60 of tolerance", "RFC 7519 section 4.1.5", seal(header(), claims(nbf=NOW + 60)))
good("nbf-before-iat", "nbf before iat is common", "RFC 7519 section 4.1.5", seal(header(), claims(nbf=NOW - 35)))
good("iat-within-skew", "issued by a clock 60 seconds ahead", "RFC 7519 section 4.1.6", seal(header(), claims(iat=NOW + 60)))
good("sub-255", "the longest subject", "OpenID Connect Core 1.0 section 2", seal(header(), claims(sub="s" * 255)), sub="s" * 255)
good("sub-not-ascii-claims", "claims beyond ASCII", "RFC 8725 section 3.7",
     seal(header(), claims(name="Zoë Müller 🦀", groups=["Plattform-Verwaltung", "größe"])))
good("slash-tolerated", "the final slash differs and the configuration says ignore", "decisions: issuer comparison",
     seal(header(), claims(iss=ISSUER + "/")), slash_tolerant=True)
good("issuer-with-slash", "an issuer with a final slash, compared byte for byte", "OpenID Connect Core 1.0 section 2",
     seal(header(), claims(iss=ISSUER + "/")), issuer=ISSUER + "/")
good("algs-configured", "the allow-list names the algorithm", "RFC 8725 section 3.1", VALID, algs=["ES256"])
good("algs-hmac-configured", "the allow-list names HS256 and a secret is set", "RFC 8725 section 3.1",
     hs("HS256", SECRET.encode()), algs=["HS256"], hmac_secret=SECRET)
good("payload-typ-id", "Keycloak marks ID tokens in the payload", "oidc 1.7", seal(header(), claims(typ="ID")))
good("payload-token-use-id", "Cognito marks ID tokens in the payload", "oidc 1.7", seal(header(), claims(token_use="id")))
good("nested-claims", "nested objects and arrays", "RFC 7519 section 4",
     seal(header(), claims(resource_access={"talos": {"roles": ["admin", "reader"]}}, realm_access={"roles": []})))
_room = 16384 - len(seal(header(), claims(pad="")))
_room = _room // 4 * 3
good("token-16384", "a token of just 16 KiB", "oidc 1.6",
     next(t for pad in range(_room + 8, _room - 8, -1) if len(t := seal(header(), claims(pad="p" * pad))) <= 16384))
good("jwk-header-ignored", "a jwk in the header is not looked at; the issuer's key verifies", "oidc 1.3",
     seal(header(jwk=P256_X.public()), claims()))
good("x5t-header-ignored", "x5t beside kid, as Entra writes it", "oidc 2.3", seal(header(x5t="es256-1"), claims()))

# ================================================================ refused: structure (oidc 8.1)

bad("parts-none", "empty text", "oidc attack 1", "", "not_three_parts")
bad("parts-one", "one part", "oidc attack 1; RFC 7515 section 7.1", HEAD, "not_three_parts")
bad("parts-two", "two parts", "oidc attack 1", f"{HEAD}.{BODY}", "not_three_parts")
bad("parts-four", "a dot at the end", "oidc attack 2", VALID + ".", "not_three_parts")
bad("parts-five", "five parts: encrypted", "oidc attack 3; RFC 7516 section 7.1", VALID + ".AA.AA", "encrypted")
bad("parts-six", "six parts", "oidc attack 2", VALID + ".AA.AA.AA", "not_three_parts")
bad("json-general", "general JSON serialization", "oidc attack 4; RFC 7515 section 7.2.1",
    json.dumps({"payload": BODY, "signatures": [{"protected": HEAD, "signature": SIG}]}), "not_three_parts")
bad("json-flattened", "flattened JSON serialization", "oidc attack 4; RFC 7515 section 7.2.2",
    json.dumps({"payload": BODY, "protected": HEAD, "signature": SIG}), "not_three_parts")
bad("signature-empty", "empty signature part", "oidc attack 5", f"{HEAD}.{BODY}.", "unsigned")
bad("payload-detached", "empty payload part", "oidc attack 6; RFC 7515 appendix F", f"{HEAD}..{SIG}", "bad_claims")
for slug, text in (("array", "[]"), ("string", '"x"'), ("number", "1"), ("null", "null"), ("text", "alg=ES256"), ("empty", "")):
    bad(f"header-{slug}", f"header is {slug}, not an object", "oidc attack 7", seal(text, claims()), "bad_header")
    if text:
        bad(f"payload-{slug}", f"payload is {slug}, not an object", "oidc attack 8", seal(header(), text), "bad_claims")
bad("header-alg-twice", "alg twice, none first", "oidc attack 9",
    seal('{"alg":"none","alg":"ES256","kid":"es256-1"}', claims()), "duplicate_member")
bad("header-kid-twice", "kid twice with one value", "oidc attack 9; RFC 7515 section 4",
    seal('{"alg":"ES256","kid":"es256-1","kid":"es256-1"}', claims()), "duplicate_member")
_valid_text = json.dumps(claims(), separators=(",", ":"))
for name, value in (("aud", '"other"'), ("exp", "1900000000"), ("groups", '["os:admin"]'), ("iss", '"https://evil.example"')):
    bad(f"payload-{name}-twice", f"{name} twice", "oidc attack 10; RFC 7519 section 4",
        seal(header(), _valid_text[:-1] + f',"{name}":{value}}}'), "duplicate_member")
bad("payload-unknown-twice", "a claim nobody reads, twice", "oidc attack 10", seal(header(), _valid_text[:-1] + ',"z":1,"z":1}'), "duplicate_member")
bad("payload-twice-escaped", "the second sub is written with an escape", "oidc attack 10; RFC 8259 section 8.3",
    seal(header(), _valid_text[:-1] + ',"\\u0073ub":"root"}'), "duplicate_member")
bad("payload-nested-twice", "roles twice inside realm_access", "oidc attack 11",
    seal(header(), body('"realm_access":{"roles":["a"],"roles":["b"]}')), "duplicate_member")
for at, part in enumerate(("header", "payload", "signature")):
    def changed(edit, at=at):
        parts = VALID.split(".")
        parts[at] = edit(parts[at])
        return ".".join(parts)
    bad(f"{part}-padding", f"= after the {part}", "oidc attack 12; RFC 7515 section 2", changed(lambda p: p + "="), "bad_base64")
    bad(f"{part}-length", f"{part} of impossible length", "oidc attack 15", changed(lambda p: p[: len(p) // 4 * 4 - 3]), "bad_base64")
    for slug, extra in (("lf", "\n"), ("crlf", "\r\n"), ("tab", "\t"), ("space", " ")):
        bad(f"{part}-{slug}", f"{slug} after the {part}", "oidc attack 16; RFC 7515 section 5.2", changed(lambda p, extra=extra: p + extra), "bad_base64")
    bad(f"{part}-inner-newline", f"a line break inside the {part}", "oidc attack 16", changed(lambda p: p[:8] + "\n" + p[8:]), "bad_base64")
bad("leading-space", "a blank before the token", "oidc attack 16", " " + VALID, "bad_base64")
bad("bearer-prefix", "the scheme of the Authorization header left on", "oidc attack 16", "Bearer " + VALID, "bad_base64")


def sealed_in_standard_alphabet() -> str:
    for n in range(200):
        token = seal(header(), claims(jti=str(n)))
        head, payload, sig = token.split(".")
        if {"-", "_"} <= set(sig):
            return f"{head}.{payload}." + sig.replace("-", "+").replace("_", "/")
    raise SystemExit("no such signature")


bad("signature-standard-alphabet", "+ and / in place of - and _", "oidc attack 13; RFC 4648 section 5", sealed_in_standard_alphabet(), "bad_base64")
_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
bad("signature-unused-bits", "unused bits of the last character are not zero", "oidc attack 14; RFC 4648 section 3.5",
    VALID[:-1] + _digits[_digits.index(VALID[-1]) + 1], "bad_base64")
bad("signature-non-ascii", "a full-width letter in the signature", "RFC 7515 section 2", f"{HEAD}.{BODY}.{SIG[:-1]}Ａ", "bad_base64")
bad("payload-not-utf8", "an octet that is no UTF-8", "oidc attack 17; RFC 8725 section 3.7",
    seal(header(), octets(claims()).replace(b"staff", b"st\xffff")), "bad_claims")
bad("payload-overlong-utf8", "an overlong encoding of /", "oidc attack 17", seal(header(), octets(claims()).replace(b"staff", b"st\xc0\xaff")), "bad_claims")
bad("header-bom", "a byte order mark before the header", "oidc attack 18; RFC 8259 section 8.1", seal(b"\xef\xbb\xbf" + octets(header()), claims()), "bad_header")
bad("payload-bom", "a byte order mark before the payload", "oidc attack 18", seal(header(), b"\xef\xbb\xbf" + octets(claims())), "bad_claims")
bad("payload-utf16", "UTF-16 text", "oidc attack 17", seal(header(), json.dumps(claims()).encode("utf-16-le")), "bad_claims")
bad("sub-lone-surrogate", "a lone surrogate in sub", "oidc attack 19", seal(header(), body('"sub":"\\ud800"')), "bad_claims")
bad("header-trailing", "bytes after the header object", "oidc attack 20", seal(octets(header()) + b"{}", claims()), "bad_header")
bad("payload-trailing", "bytes after the payload object", "oidc attack 20", seal(header(), octets(claims()) + b"x"), "bad_claims")
bad("payload-trailing-nul", "a NUL after the payload object", "oidc attack 20", seal(header(), octets(claims()) + b"\0"), "bad_claims")
bad("payload-truncated", "the last brace is missing", "oidc attack 8", seal(header(), octets(claims())[:-1]), "bad_claims")
bad("payload-deep", "5000 arrays inside each other", "oidc attack 21", seal(header(), body('"z":' + "[" * 5000 + "]" * 5000)), "bad_claims")
bad("payload-depth-17", "one level too deep", "oidc attack 21; decisions: JSON", seal(header(), body('"z":' + "[" * 16 + "]" * 16)), "bad_claims")
bad("header-depth-17", "a header one level too deep", "oidc attack 21", seal(octets(header())[:-1] + b',"z":' + b"[" * 16 + b"]" * 16 + b"}", claims()), "bad_header")
bad("payload-single-quotes", "JSON with single quotes", "oidc attack 8", seal(header(), _valid_text.replace('"', "'")), "bad_claims")
bad("payload-comment", "JSON with a comment", "oidc attack 8", seal(header(), "/**/" + _valid_text), "bad_claims")
bad("payload-nan", "NaN is no JSON", "oidc attack 68; RFC 8259 section 6", seal(header(), body('"exp":NaN')), "bad_claims")
bad("token-over-16-kib", "a token over 16 KiB", "oidc attack 22", seal(header(), claims(pad="p" * 12400)), "too_large")
bad("header-over-4-kib", "a header part over 4 KiB", "oidc attack 22; oidc 1.6", seal(header(pad="p" * 3100), claims()), "too_large")
bad("kid-nul", "NUL in kid", "oidc attack 25", seal(header(kid="es256-1\0"), claims()), "unknown_key")
bad("kid-newline", "a line break in kid", "oidc attack 25", seal(header(kid="es256-1\nroot=1"), claims()), "unknown_key")

# ================================================================ refused: header and keys (oidc 8.2)

for slug, alg in (("none", "none"), ("none-capital", "None"), ("none-mixed", "nOnE"), ("none-upper", "NONE")):
    bad(f"alg-{slug}", f"alg {alg}, signature kept", "oidc attack 26; RFC 8725 section 2.1", seal(header(alg), claims()), "unsigned")
bad("alg-none-unsigned", "alg none as RFC 7519 section 6 makes it", "oidc attack 26", seal(header("none", None), claims(), sign=lambda _: b""), "unsigned")
bad("alg-empty", "alg is the empty text", "oidc attack 26", seal(header(""), claims()), "unsigned")
bad("alg-missing", "no alg", "oidc attack 26; RFC 7515 section 4.1.1", seal(header(None), claims()), "bad_header")
bad("alg-array", "alg is an array", "oidc attack 27", seal(header(["ES256"]), claims()), "bad_header")
bad("alg-number", "alg is a number", "oidc attack 27", seal(header(256), claims()), "bad_header")
bad("alg-null", "alg is null", "oidc attack 27", seal('{"alg":null,"kid":"es256-1"}', claims()), "bad_header")
bad("alg-lower-case", "es256 is not ES256", "oidc attack 28", seal(header("es256"), claims()), "unsupported_alg")
bad("alg-trailing-blank", "a blank after ES256", "oidc attack 28", seal(header("ES256 "), claims()), "unsupported_alg")
bad("alg-name-capital", "the member Alg is not alg", "oidc attack 26; RFC 7515 section 4", seal(header(None, Alg="ES256"), claims()), "bad_header")

_spki = RSA.handle().public_key()
_confused = {
    "pem": ("the PEM text of the RSA key", 29, _spki.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "der": ("the DER SubjectPublicKeyInfo", 30, _spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "pkcs1": ("the PEM PKCS#1 key", 30, _spki.public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
    "modulus": ("the octets of the modulus", 30, unb64(RSA.jwk["n"])),
    "jwk": ("the JWK text", 30, json.dumps(SETS["rs256"][0]).encode()),
}
for slug, (what, attack, secret) in _confused.items():
    bad(f"hs256-keyed-with-{slug}", f"MAC keyed with {what}", f"oidc attack {attack}; RFC 8725 section 2.1",
        hs("HS256", secret, header("HS256", "rsa-1")), "alg_not_allowed", keys="rs256")
bad("hs256-confused-secret-set", "the same with a client secret configured: only that secret counts", "oidc attack 29",
    hs("HS256", _confused["pem"][2], header("HS256", "rsa-1")), "bad_signature", keys="rs256", hmac_secret=SECRET)
bad("hs256-empty-key", "MAC with the empty key, no secret configured", "oidc attack 31", hs("HS256", b""), "alg_not_allowed")
bad("hs256-empty-key-secret-set", "MAC with the empty key, a secret configured", "oidc attack 31", hs("HS256", b""), "bad_signature", hmac_secret=SECRET)
bad("hs256-no-secret", "a good MAC and no secret configured", "oidc attack 31", hs("HS256", SECRET.encode()), "alg_not_allowed")
bad("hs256-not-in-algs", "a good MAC, but allowed_algs leaves HS256 out", "oidc attack 32; decisions: HMAC tokens",
    hs("HS256", SECRET.encode()), "alg_not_allowed", algs=["RS256", "ES256"], hmac_secret=SECRET)
bad("hs256-wrong-secret", "MAC with another secret", "RFC 7518 section 3.2", hs("HS256", SECRET.upper().encode()), "bad_signature", hmac_secret=SECRET)
bad("hs256-truncated", "half a MAC", "RFC 7518 section 3.2",
    seal(header("HS256", None), claims(), sign=lambda m: mac("HS256", SECRET.encode(), m)[:16]), "bad_signature", hmac_secret=SECRET)
bad("hs256-relabelled-hs512", "HS256 MAC, header HS512", "RFC 8725 section 3.1",
    seal(header("HS512", None), claims(), sign=lambda m: mac("HS256", SECRET.encode(), m)), "bad_signature", hmac_secret=SECRET)
bad("hs256-secret-of-jwks", "an oct key in the JWKS and a MAC made with it", "oidc attack 97",
    hs("HS256", SECRET.encode(), header("HS256", "oct-1")), "alg_not_allowed",
    keys=[{"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": b64(SECRET.encode())}, P256.public(kid="es256-1")])
bad("hs256-secret-of-jwks-secret-set", "the same with another secret configured", "oidc attack 97",
    hs("HS256", SECRET.encode(), header("HS256", "oct-1")), "bad_signature", hmac_secret="the one secret that counts, of more than 64 octets, for HS512 too",
    keys=[{"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": b64(SECRET.encode())}, P256.public(kid="es256-1")])
bad("rs256-relabelled-ps256", "PKCS#1 signature, header PS256", "oidc attack 33", seal(header("PS256", "rsa-1"), claims(), RSA, "RS256"), "bad_signature")
bad("ps256-relabelled-rs256", "PSS signature, header RS256", "oidc attack 33", seal(header("RS256", "rsa-1"), claims(), RSA, "PS256"), "bad_signature")
bad("rs256-relabelled-rs512", "SHA-256 signature, header RS512", "oidc attack 33", seal(header("RS512", "rsa-1"), claims(), RSA, "RS256"), "bad_signature")
bad("rs384-key-bound-to-rs256", "a good RS384 signature, the key says RS256", "oidc attack 34; RFC 8725 section 3.1",
    seal(header("RS384", "rsa-1"), claims(), RSA, "RS384"), "key_mismatch", keys="rs256")
bad("ps256-key-bound-to-rs256", "a good PS256 signature, the key says RS256", "oidc attack 34", seal(header("PS256", "rsa-1"), claims(), RSA, "PS256"), "key_mismatch", keys="rs256")
_r, _s = unb64(SIG)[:32], unb64(SIG)[32:]
_n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ri, _si = int.from_bytes(_r, "big"), int.from_bytes(_s, "big")


def resigned(octets_: bytes) -> str:
    return f"{HEAD}.{BODY}.{b64(octets_)}"


bad("es256-der", "DER in place of r and s", "oidc attack 35; RFC 7518 section 3.4", resigned(encode_dss_signature(_ri, _si)), "bad_signature")
bad("es256-zeros", "64 zero octets", "oidc attack 36; CVE-2022-21449", resigned(bytes(64)), "bad_signature")
bad("es256-r-zero", "r is zero", "oidc attack 36", resigned(bytes(32) + _s), "bad_signature")
bad("es256-s-zero", "s is zero", "oidc attack 36", resigned(_r + bytes(32)), "bad_signature")
bad("es256-r-n", "r is the group order", "oidc attack 36", resigned(_n.to_bytes(32, "big") + _s), "bad_signature")
bad("es256-r-plus-n", "r + n in 33 octets", "oidc attack 37", resigned((_ri + _n).to_bytes(33, "big") + _s), "bad_signature")
bad("es256-65-octets", "an octet too many", "oidc attack 37", resigned(_r + _s + b"\0"), "bad_signature")
bad("es256-63-octets", "an octet too few", "oidc attack 37", resigned((_r + _s)[:63]), "bad_signature")
bad("es256-swapped", "s before r", "RFC 7518 section 3.4", resigned(_s + _r), "bad_signature")
bad("es256-one-bit", "one bit of the signature changed", "RFC 7518 section 3.4", resigned(bytes([_r[0] ^ 1]) + _r[1:] + _s), "bad_signature")
bad("es256-p384-key", "ES256 header, kid of a P-384 key", "oidc attack 38", seal(header("ES256", "es384-1"), claims(), P256, "ES256"), "key_mismatch")
bad("es384-p256-key", "ES384 header, kid of a P-256 key", "oidc attack 38", seal(header("ES384"), claims(), P384, "ES384"), "key_mismatch")
bad("rs256-ec-key", "RS256 header, kid of an EC key", "oidc attack 38", seal(header("RS256"), claims(), RSA, "RS256"), "key_mismatch")
bad("es512", "P-521 cannot be checked", "oidc attack 39", seal(header("ES512", "es512-1"), claims(), Key("es512"), "ES512"), "unsupported_alg",
    keys=[Key("es512").public(kid="es512-1")])
bad("es256k", "secp256k1 cannot be checked", "oidc attack 40", seal(header("ES256K", "k1"), claims(), Key("es256k"), "ES256K"), "unsupported_alg",
    keys=[Key("es256k").public(kid="k1")])
bad("ed448", "Ed448 cannot be checked", "oidc attack 40", seal(header("Ed448", "ed448-1"), claims(), Key("ed448"), "Ed448"), "unsupported_alg",
    keys=[Key("ed448").public(kid="ed448-1")])
bad("ml-dsa-44", "ML-DSA cannot be checked", "oidc attack 40", seal(header("ML-DSA-44"), claims()), "unsupported_alg")
bad("eddsa-ed448-key", "EdDSA header, signature and key of Ed448", "oidc attack 40; RFC 8037 section 3.1",
    seal(header("EdDSA", "ed448-1"), claims(), Key("ed448"), "Ed448"), "key_mismatch", keys=[Key("ed448").public(kid="ed448-1"), P256.public(kid="es256-1")])
bad("eddsa-x25519-key", "an X25519 key is not for signatures", "oidc attack 41", seal(header("EdDSA", "x1"), claims(), ED, "EdDSA"), "key_mismatch",
    keys=[{"kty": "OKP", "crv": "X25519", "x": ED.jwk["x"], "kid": "x1"}, P256.public(kid="es256-1")])
_ed = seal(header("EdDSA", "ed25519-1"), claims(), ED, "EdDSA")
_ed_sig = unb64(_ed.split(".")[2])
_l = 2**252 + 27742317777372353535851937790883648493


def ed_resigned(octets_: bytes) -> str:
    return _ed.rsplit(".", 1)[0] + "." + b64(octets_)


bad("eddsa-s-not-reduced", "s + L", "oidc attack 42; RFC 8032 section 5.1.7",
    ed_resigned(_ed_sig[:32] + (int.from_bytes(_ed_sig[32:], "little") + _l).to_bytes(32, "little")), "bad_signature")
bad("eddsa-63-octets", "an octet too few", "oidc attack 42", ed_resigned(_ed_sig[:63]), "bad_signature")
bad("eddsa-65-octets", "an octet too many", "oidc attack 42", ed_resigned(_ed_sig + b"\0"), "bad_signature")
bad("eddsa-zeros", "64 zero octets", "oidc attack 42", ed_resigned(bytes(64)), "bad_signature")
bad("eddsa-stranger", "signed by a key nobody published", "RFC 8037 section 3.1", seal(header("EdDSA", "ed25519-1"), claims(), ED_X, "EdDSA"), "bad_signature")
_rs_input, _rs_sig = RS_VALID.rsplit(".", 1)
_rs_octets = unb64(_rs_sig)
bad("rs256-leading-zero", "257 octets, the first zero", "oidc attack 43", f"{_rs_input}.{b64(bytes(1) + _rs_octets)}", "bad_signature")
bad("rs256-short", "255 octets", "oidc attack 43", f"{_rs_input}.{b64(_rs_octets[:-1])}", "bad_signature")
bad("rs256-zeros", "256 zero octets", "oidc attack 43", f"{_rs_input}.{b64(bytes(256))}", "bad_signature")
bad("rs256-plus-modulus", "signature + n", "oidc attack 43; RFC 8017 section 5.2.2",
    f"{_rs_input}.{uint(int.from_bytes(_rs_octets, 'big') + int.from_bytes(unb64(RSA.jwk['n']), 'big'))}", "bad_signature")
bad("rs256-stranger", "signed by a key nobody published", "RFC 7518 section 3.3", seal(header("RS256", "rsa-1"), claims(), RSA_X, "RS256"), "bad_signature")
_info = bytes.fromhex("3031300d060960864801650304020105000420")


def pkcs1(info: bytes, hashed_first: bool = False, marker: bytes = b"\0\x01", fill: int | None = None):
    import hashlib

    def sign(message: bytes) -> bytes:
        tail = info + hashlib.sha256(message).digest()
        if hashed_first:  # garbage behind the hash, padding cut short
            return RSA.raw_rsa(b"\0\x01" + b"\xff" * 8 + b"\0" + tail + b"\x55" * (256 - 11 - len(tail)))
        pad = 256 - 3 - len(tail)
        filled = b"\xff" * pad if fill is None else bytes([fill]) * pad
        return RSA.raw_rsa(marker + filled + b"\0" + tail)
    return sign


bad("rs256-garbage-after-hash", "short padding, garbage behind the hash", "oidc attack 44; CVE-2006-4339",
    seal(header("RS256", "rsa-1"), claims(), sign=pkcs1(_info, hashed_first=True)), "bad_signature")
bad("rs256-digest-info-sha1", "DigestInfo names SHA-1", "oidc attack 44",
    seal(header("RS256", "rsa-1"), claims(), sign=pkcs1(bytes.fromhex("3021300906052b0e03021a05000414"))), "bad_signature")
bad("rs256-digest-info-no-null", "DigestInfo without NULL", "oidc attack 44",
    seal(header("RS256", "rsa-1"), claims(), sign=pkcs1(bytes.fromhex("302f300b0609608648016503040201 0420".replace(" ", "")))), "bad_signature")
bad("rs256-block-type-2", "block type 2", "oidc attack 44", seal(header("RS256", "rsa-1"), claims(), sign=pkcs1(_info, marker=b"\0\x02")), "bad_signature")
bad("rs256-padding-octets", "padding of other octets than ff", "oidc attack 44", seal(header("RS256", "rsa-1"), claims(), sign=pkcs1(_info, fill=0xFE)), "bad_signature")
bad("ps256-salt-20", "a salt of 20 octets", "RFC 7518 section 3.5",
    seal(header("PS256", "rsa-1"), claims(), sign=lambda m: RSA.sign_pss("256", m, 20)), "bad_signature")
bad("ps256-salt-none", "no salt", "RFC 7518 section 3.5", seal(header("PS256", "rsa-1"), claims(), sign=lambda m: RSA.sign_pss("256", m, 0)), "bad_signature")
bad("rs256-1024-bits", "a key of 1024 bits", "oidc attack 99; RFC 7518 section 3.3", seal(header("RS256", "small"), claims(), RSA1024, "RS256"), "key_mismatch",
    keys=[RSA1024.public(kid="small"), P256.public(kid="es256-1")])
for slug, crit in (("empty", []), ("b64", ["b64"]), ("exp", ["exp"]), ("unknown", ["unknown"]), ("text", "exp"), ("null", None), ("alg", ["alg"])):
    head = octets(header())[:-1] + b',"crit":' + json.dumps(crit).encode() + b"}"
    bad(f"crit-{slug}", f"crit {json.dumps(crit)}", "oidc attack 45; RFC 7515 section 4.1.11", seal(head, claims()), "critical_header")
bad("b64-false", "b64 false with crit, payload not encoded", "oidc attack 46; RFC 7797 section 4.2",
    seal(header(b64=False, crit=["b64"]), claims()), "critical_header")
bad("b64-false-no-crit", "b64 false without crit", "oidc attack 46; RFC 7797 section 6", seal(header(b64=False), claims()), "critical_header")
bad("b64-true", "b64 true", "oidc attack 46; RFC 7797 section 7", seal(header(b64=True), claims()), "critical_header")
bad("jwk-header-stranger", "signed by the key in its own header", "oidc attack 47; CVE-2018-0114",
    seal(header(jwk=P256_X.public(kid="es256-1")), claims(), P256_X, "ES256"), "bad_signature")
bad("jwk-header-no-kid", "the same without kid", "oidc attack 47", seal(header(kid=None, jwk=P256_X.public()), claims(), P256_X, "ES256"), "bad_signature", keys="es256")
bad("jku-stranger", "jku to a host of the attacker", "oidc attack 48",
    seal(header(kid="evil", jku="https://evil.example/jwks.json"), claims(), P256_X, "ES256"), "unknown_key")
bad("x5u-stranger", "x5u to a host of the attacker", "oidc attack 48",
    seal(header(kid="evil", x5u="https://evil.example/chain.pem"), claims(), P256_X, "ES256"), "unknown_key")
bad("x5c-stranger", "a chain of the attacker in the header", "oidc attack 49",
    seal(header(x5c=[base64.b64encode(bytes(64)).decode()]), claims(), P256_X, "ES256"), "bad_signature")
bad("kid-path", "kid is a path", "oidc attack 50", seal(header(kid="../../etc/passwd"), claims()), "unknown_key")
bad("kid-sql", "kid with SQL quotes", "oidc attack 50", seal(header(kid="x' UNION SELECT 'key"), claims()), "unknown_key")
bad("kid-empty", "kid is the empty text", "oidc attack 50", seal(header(kid=""), claims()), "unknown_key")
bad("kid-257-octets", "kid one octet too long", "oidc attack 50", seal(header(kid="k" * 257), claims()), "bad_kid")
bad("kid-number", "kid is a number", "oidc attack 50", seal(header(kid=1), claims()), "bad_kid")
bad("kid-null", "kid is null", "oidc attack 50", seal('{"alg":"ES256","kid":null}', claims()), "bad_kid")
bad("kid-array", "kid is an array", "oidc attack 50", seal(header(kid=["es256-1"]), claims()), "bad_kid")
bad("kid-unknown", "a kid nobody published", "oidc attack 51", seal(header(kid="nobody"), claims()), "unknown_key")
bad("kid-other-case", "kid differs in case", "RFC 7515 section 4.1.4", seal(header(kid="ES256-1"), claims()), "unknown_key")
bad("signature-of-stranger", "known kid, signed by another key", "oidc attack 52", seal(header(), claims(), P256_X, "ES256"), "bad_signature")
bad("signature-of-other-payload", "the signature of another token", "oidc attack 52", f"{HEAD}.{BODY}.{seal(header(), claims(sub='bob')).split('.')[2]}", "bad_signature")
for typ in ("at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "JWE", "JOSE"):
    slug = typ.lower().replace("/", "-").replace("+", "-")
    bad(f"typ-{slug}", f"typ {typ}", "oidc attack 53; RFC 8725 section 3.11", seal(header(typ=typ), claims()), "wrong_type")
bad("typ-number", "typ is a number", "oidc attack 53; RFC 7515 section 4.1.9", seal(header(typ=1), claims()), "bad_header")
bad("cty-jwt", "cty JWT: nested", "oidc attack 54; RFC 7519 section 5.2", seal(header(cty="JWT"), claims()), "nested")
bad("zip-def", "zip DEF: compressed", "oidc attack 54; RFC 7516 section 4.1.3", seal(header(zip="DEF"), claims()), "nested")
bad("key-use-enc", "kid of a key for encryption", "oidc attack 55", VALID, "key_mismatch",
    keys=[P256.public(kid="es256-1", use="enc"), RSA.public(kid="rsa-1")])
bad("key-alg-rsa-oaep", "kid of an RSA-OAEP key", "oidc attack 55", RS_VALID, "key_mismatch",
    keys=[RSA.public(kid="rsa-1", alg="RSA-OAEP"), P256.public(kid="es256-1")])
bad("key-ops-sign", "kid of a key that may only sign", "oidc attack 104; RFC 7517 section 4.3", VALID, "key_mismatch",
    keys=[P256.public(kid="es256-1", key_ops=["sign"]), RSA.public(kid="rsa-1")])
bad("key-without-kid", "a key without kid does not match a kid", "RFC 7517 section 4.5", VALID, "unknown_key", keys=[P256.public(), P256B.public(kid="b")])
bad("kid-absent-two-fit", "no kid and two fitting keys", "oidc attack 56; OpenID Connect Core 1.0 section 10.1",
    seal(header(kid=None), claims()), "ambiguous_key", keys=[P256.public(kid="a"), P256B.public(kid="b")])
bad("kid-absent-none-fits", "no kid and no fitting key", "OpenID Connect Core 1.0 section 10.1", seal(header(kid=None), claims()), "unknown_key", keys="rs256")
bad("kid-twice-in-set", "two keys of one kid and algorithm", "oidc attack 103", VALID, "ambiguous_key",
    keys=[P256.public(kid="es256-1", alg="ES256"), P256B.public(kid="es256-1", alg="ES256")])
bad("algs-leave-out", "the allow-list leaves the algorithm out", "RFC 8725 section 3.1", VALID, "alg_not_allowed", algs=["RS256", "EdDSA"])

# ================================================================ refused: claims (oidc 8.3)

bad("iss-missing", "no iss", "oidc attack 57", seal(header(), claims(iss=None)), "issuer_missing")
bad("iss-empty", "empty iss", "oidc attack 57", seal(header(), claims(iss="")), "issuer_missing")
for slug, text in (("array", f'["{ISSUER}"]'), ("number", "1"), ("null", "null"), ("object", "{}")):
    bad(f"iss-{slug}", f"iss is {slug}", "oidc attack 58; RFC 7519 section 4.1.1", seal(header(), body(f'"iss":{text}')), "claim_type")
bad("iss-extra-slash", "a slash too many", "oidc attack 59", seal(header(), claims(iss=ISSUER + "/")), "issuer_slash")
bad("iss-missing-slash", "a slash too few", "oidc attack 59", VALID, "issuer_slash", issuer=ISSUER + "/")
bad("iss-two-slashes-tolerant", "two slashes too many, one is ignored", "oidc attack 59; decisions: issuer comparison",
    seal(header(), claims(iss=ISSUER + "//")), "issuer_mismatch", slash_tolerant=True)
for slug, iss, why in (
    ("host-case", ISSUER.replace("idp", "IDP"), "host in other case"),
    ("path-case", ISSUER.replace("talos", "Talos"), "path in other case"),
    ("port", ISSUER.replace(".com/", ".com:443/"), "the default port written out"),
    ("percent", ISSUER.replace("talos", "%74alos"), "a letter percent-encoded"),
    ("space", ISSUER + " ", "a blank behind it"),
    ("scheme", ISSUER.replace("https", "http"), "http in place of https"),
    ("no-scheme", ISSUER.removeprefix("https://"), "no scheme"),
    ("dot-segment", ISSUER.replace("/realms", "/./realms"), "a dot segment"),
    ("query", ISSUER + "?x", "a query"),
    ("nul", ISSUER + "\0", "a NUL behind it"),
    ("look-alike", ISSUER.replace("example", "exаmple"), "a Cyrillic letter"),
):
    bad(f"iss-{slug}", f"iss with {why}", "oidc attack 59", seal(header(), claims(iss=iss)), "issuer_mismatch")
bad("iss-suffix-host", "our host as the start of another", "oidc attack 60", seal(header(), claims(iss="https://idp.example.com.evil.test/realms/talos")), "issuer_mismatch")
bad("iss-prefix", "a prefix of our issuer", "oidc attack 60", seal(header(), claims(iss="https://idp.example.com/realms")), "issuer_mismatch")
bad("iss-longer", "our issuer and a path behind it", "oidc attack 60", seal(header(), claims(iss=ISSUER + "/master")), "issuer_mismatch")
bad("aud-missing", "no aud", "oidc attack 61", seal(header(), claims(aud=None)), "audience_missing")
bad("aud-empty-array", "aud []", "oidc attack 61", seal(header(), claims(aud=[])), "audience_missing")
bad("aud-empty", "aud is the empty text", "oidc attack 61", seal(header(), claims(aud="")), "audience_missing")
for slug, text in (("object", "{}"), ("number", "1"), ("numbers", "[1]"), ("mixed", f'["{AUDIENCE}",1]'), ("null", "null"), ("nested", f'[["{AUDIENCE}"]]')):
    bad(f"aud-{slug}", f"aud {text}", "oidc attack 61; RFC 7519 section 4.1.3", seal(header(), body(f'"aud":{text}')), "claim_type")
bad("aud-other", "aud of another client", "oidc attack 62", seal(header(), claims(aud="grafana")), "audience_mismatch")
bad("aud-substring", "aud that contains our id", "oidc attack 62", seal(header(), claims(aud="talosctl-test")), "audience_mismatch")
bad("aud-part", "aud that is a part of our id", "oidc attack 62", seal(header(), claims(aud="talos")), "audience_mismatch")
bad("aud-case", "aud in other case", "oidc attack 62", seal(header(), claims(aud="Talosctl")), "audience_mismatch")
bad("aud-joined", "two ids in one text", "oidc attack 62", seal(header(), claims(aud="talosctl grafana")), "audience_mismatch")
bad("aud-array-other", "an array of other clients", "oidc attack 62", seal(header(), claims(aud=["grafana", "kubernetes"], azp=AUDIENCE)), "audience_mismatch")
bad("aud-two-no-azp", "two audiences and no azp", "oidc attack 63", seal(header(), claims(aud=[AUDIENCE, "grafana"])), "azp_missing")
bad("aud-ours-twice", "our id twice is two audiences", "oidc attack 63", seal(header(), claims(aud=[AUDIENCE, AUDIENCE])), "azp_missing")
bad("aud-two-azp-other", "two audiences and azp names the other", "oidc attack 64", seal(header(), claims(aud=[AUDIENCE, "grafana"], azp="grafana")), "azp_mismatch")
bad("azp-other", "azp names another client", "oidc attack 64", seal(header(), claims(azp="grafana")), "azp_mismatch")
bad("azp-empty", "azp is the empty text", "oidc attack 64", seal(header(), claims(azp="")), "azp_mismatch")
bad("azp-number", "azp is a number", "oidc attack 64", seal(header(), claims(azp=1)), "claim_type")
bad("azp-null", "azp is null", "oidc attack 64", seal(header(), body('"azp":null')), "claim_type")
bad("azp-array", "azp is an array", "oidc attack 64", seal(header(), claims(azp=[AUDIENCE])), "claim_type")
bad("sub-missing", "no sub", "oidc attack 65", seal(header(), claims(sub=None)), "subject_missing")
bad("sub-empty", "sub is the empty text", "oidc attack 65", seal(header(), claims(sub="")), "subject_missing")
bad("sub-300", "sub of 300 characters", "oidc attack 65", seal(header(), claims(sub="s" * 300)), "subject_missing")
bad("sub-256", "sub one character too long", "oidc attack 65", seal(header(), claims(sub="s" * 256)), "subject_missing")
for slug, text in (("number", "1"), ("null", "null"), ("array", '["alice"]'), ("bool", "true")):
    bad(f"sub-{slug}", f"sub {text}", "oidc attack 65", seal(header(), body(f'"sub":{text}')), "claim_type")
bad("exp-missing", "no exp", "oidc attack 66", seal(header(), claims(exp=None)), "exp_missing")
for slug, text in (("text", '"1900000000"'), ("bool", "true"), ("null", "null"), ("object", "{}"), ("array", "[1900000000]")):
    bad(f"exp-{slug}", f"exp {text}", "oidc attack 66; CVE-2026-25537", seal(header(), body(f'"exp":{text}')), "claim_type")
bad("exp-now", "exp is now, no tolerance", "oidc attack 67; RFC 7519 section 4.1.4", seal(header(), claims(exp=NOW)), "expired", skew=0)
bad("exp-at-skew", "exp is the tolerance ago", "oidc attack 67", seal(header(), claims(exp=NOW - 60)), "expired")
bad("exp-fraction-at-skew", "a fraction of a second more is floored away", "oidc attack 67", seal(header(), body(f'"exp":{NOW - 60}.9')), "expired")
bad("exp-long-ago", "expired yesterday", "oidc attack 67", seal(header(), claims(exp=NOW - 86400, iat=NOW - 90000)), "expired")
bad("exp-negative", "exp -1", "oidc attack 68", seal(header(), claims(exp=-1)), "expired")
bad("exp-zero", "exp 0", "oidc attack 68", seal(header(), claims(exp=0)), "expired")
bad("exp-negative-huge", "exp -1e300", "oidc attack 68", seal(header(), body('"exp":-1e300')), "expired")
bad("exp-tiny", "exp 1e-300", "oidc attack 68", seal(header(), body('"exp":1e-300')), "expired")
bad("exp-infinite", "exp 1e309", "oidc attack 68", seal(header(), body('"exp":1e309')), "bad_claims")
bad("exp-capital", "the claim Exp is not exp", "oidc 1.3", seal(header(), claims(exp=None, Exp=NOW + 300)), "exp_missing")
bad("nbf-future", "one second beyond the tolerance", "oidc attack 70; RFC 7519 section 4.1.5", seal(header(), claims(nbf=NOW + 61)), "not_yet_valid")
bad("nbf-huge", "nbf 1e18", "oidc attack 70", seal(header(), body('"nbf":1000000000000000000')), "not_yet_valid")
for slug, text in (("text", f'"{NOW - 60}"'), ("null", "null"), ("bool", "false")):
    bad(f"nbf-{slug}", f"nbf {text}", "oidc attack 70", seal(header(), body(f'"nbf":{text}')), "claim_type")
bad("iat-future", "one second beyond the tolerance", "oidc attack 71", seal(header(), claims(iat=NOW + 61)), "issued_in_future")
bad("iat-missing", "no iat", "oidc attack 71; OpenID Connect Core 1.0 section 2", seal(header(), claims(iat=None)), "iat_missing")
for slug, text in (("text", f'"{NOW - 30}"'), ("null", "null")):
    bad(f"iat-{slug}", f"iat {text}", "oidc attack 71", seal(header(), body(f'"iat":{text}')), "claim_type")
bad("iat-too-old", "issued longer ago than max_token_age", "oidc attack 72", seal(header(), claims(iat=NOW - 3600)), "too_old", max_token_age=900)
bad("logout-token", "events: a logout token", "oidc attack 73",
    seal(header(), claims(events={"http://schemas.openid.net/event/backchannel-logout": {}}, sid="1", jti="1")), "not_an_id_token")
bad("events-null", "events is null", "oidc attack 73", seal(header(), body('"events":null')), "not_an_id_token")
for typ in ("Refresh", "Bearer", "Offline", "Logout"):
    bad(f"payload-typ-{typ.lower()}", f"payload typ {typ}", "oidc attack 74", seal(header(), claims(typ=typ)), "not_an_id_token")
bad("payload-token-use-access", "token_use access", "oidc attack 74", seal(header(), claims(token_use="access")), "not_an_id_token")
bad("payload-scp", "scp: an access token of Entra or Okta", "oidc attack 74", seal(header(), claims(scp="User.Read")), "not_an_id_token")
bad("payload-scp-array", "scp as an array", "oidc attack 74", seal(header(), claims(scp=["openid"])), "not_an_id_token")
bad("jarm", "an authorization response as a JWT has no sub", "oidc attack 75",
    seal(header(), {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW - 30, "code": "c", "state": "s"}), "subject_missing")
bad("userinfo", "signed userinfo has no exp", "oidc attack 75", seal(header(), {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "email": "alice@example.com"}), "exp_missing")
bad("nonce-number", "nonce is a number", "oidc 1.5", seal(header(), claims(nonce=1)), "claim_type")
bad("jti-number", "jti is a number", "oidc 1.5", seal(header(), claims(jti=1)), "claim_type")
bad("auth-time-text", "auth_time is text", "oidc 1.5", seal(header(), claims(auth_time=str(NOW))), "claim_type")
bad("claims-empty", "a payload without claims", "oidc attack 57", seal(header(), {}), "issuer_missing")

area.finish()
