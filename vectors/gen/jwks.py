"""Makes the `jwks` cases: `python3 jwks.py`, or `python3 jwks.py --check` to compare."""

import json

from cases import Area
from keys import Key, b64, number, uint, unb64

RSA, RSA3072, RSA1024 = Key("rsa"), Key("rsa-3072"), Key("rsa-1024")
P256, P384, P521, K1 = Key("es256"), Key("es384"), Key("es512"), Key("es256k")
ED, ED448 = Key("ed25519"), Key("ed448")
GOOD = P256.public(kid="good", use="sig", alg="ES256")
N = number(RSA.jwk["n"])
P = 2**256 - 2**224 + 2**192 + 2**96 - 1  # the field of P-256

area = Area("jwks")


def case(slug: str, comment: str, source: str, text: str, expect: dict) -> None:
    area.add(slug, {"comment": comment, "source": source, "jwks_text": text, "expect": expect})


def reads(slug: str, comment: str, source: str, keys: list, usable: list, skipped: list = ()) -> None:
    """A set that is read: the kids that can be used, and why each other entry cannot."""
    expect = {"usable": list(usable), "skipped": [f"jwk.{reason}" for reason in skipped]}
    case(slug, comment, source, json.dumps({"keys": keys}), expect)


def skips(slug: str, comment: str, source: str, key: object, reason: str) -> None:
    """One bad entry beside a good one."""
    reads(slug, comment, source, [key, GOOD], ["good"], [reason])


def fails(slug: str, comment: str, source: str, text: str, code: str) -> None:
    case(slug, comment, source, text, {"error": f"jwks.{code}"})


# ---------------------------------------------------------------- sets that are read

reads("all-kinds", "every kind of key that can be used", "RFC 7517 section 5",
      [RSA.public(kid="r"), RSA3072.public(kid="s", alg="PS512"), GOOD, P384.public(kid="e"), ED.public(kid="o", alg="EdDSA")],
      ["r", "s", "good", "e", "o"])
reads("empty-set", "no keys: a set, though one that nobody can use", "oidc 2.4", [], [])
reads("no-usable-key", "nothing usable", "oidc 2.4", [P521.public(kid="x")], [], ["unsupported_curve"])
reads("kid-absent", "kid is optional", "RFC 7517 section 4.5", [P256.public()], [None])
reads("kid-twice", "two keys of one kid: the token's algorithm decides", "oidc attack 103; RFC 7517 section 4.5",
      [RSA.public(kid="a", alg="RS256"), P256.public(kid="a", alg="ES256")], ["a", "a"])
reads("entra-shape", "no alg, x5t and x5c beside the numbers, and an issuer member", "oidc 2.3",
      [RSA.public(kid="a", use="sig", x5t="a", x5c=["MIIB"], issuer="https://login.example/{tenantid}/v2.0")], ["a"])
reads("key-ops-verify", "key_ops with verify", "RFC 7517 section 4.3", [P256.public(kid="a", key_ops=["verify"])], ["a"])
reads("key-ops-sign-verify", "key_ops with sign and verify", "RFC 7517 section 4.3", [P256.public(kid="a", key_ops=["sign", "verify"])], ["a"])
reads("alg-ed25519", "the newer name of EdDSA", "RFC 9864 section 2.2", [ED.public(kid="a", alg="Ed25519")], ["a"])
reads("modulus-leading-zero", "n with a leading zero octet is read without it", "oidc attack 99",
      [RSA.public(kid="a", n=b64(b"\0" + unb64(RSA.jwk["n"])))], ["a"])
reads("exponent-leading-zeros", "e with leading zero octets is read without them", "oidc attack 100", [RSA.public(kid="a", e=b64(b"\0\0\1\0\1"))], ["a"])
reads("exponent-3", "e = 3, the least", "RFC 8017 section 3.1", [RSA.public(kid="a", e="Aw")], ["a"])
reads("entries-beside-good", "null, a number and an empty object beside a good key", "oidc attack 96",
      [None, 1, {}, GOOD], ["good"], ["malformed"] * 3)
case("other-members-of-the-set", "members beside keys are ignored", "RFC 7517 section 5",
     json.dumps({"version": 1, "keys": [GOOD], "next": None}), {"usable": ["good"], "skipped": []})
reads("keys-256", "as many entries as are read", "oidc attack 105", [{}] * 255 + [GOOD], ["good"], ["malformed"] * 255)

# ---------------------------------------------------------------- entries that are skipped

for slug, entry in (("null", None), ("number", 1), ("text", "key"), ("array", []), ("object", {})):
    skips(f"entry-{slug}", f"an entry that is {slug}", "oidc attack 96", entry, "malformed")
skips("oct", "a symmetric key", "oidc attack 97; RFC 8725 section 2.1", {"kty": "oct", "k": b64(b"k" * 32), "kid": "a", "alg": "HS256"}, "symmetric")
skips("private-rsa", "a private RSA key", "oidc attack 98", {**RSA.jwk, "kid": "a"}, "private_material")
skips("private-ec", "a private EC key", "oidc attack 98", {**P256.jwk, "kid": "a"}, "private_material")
skips("private-okp", "a private Ed25519 key", "oidc attack 98", {**ED.jwk, "kid": "a"}, "private_material")
skips("private-one-member", "one private member, and that not even text", "oidc attack 98", RSA.public(kid="a", dp=0), "private_material")
for bits in (512, 2047):
    skips(f"modulus-{bits}", f"a modulus of {bits} bits", "oidc attack 99; RFC 7518 section 3.3", RSA.public(kid="a", n=uint((N >> (2048 - bits)) | 1)), "rsa_size")
skips("modulus-1024", "a modulus of 1024 bits", "oidc attack 99", RSA1024.public(kid="a"), "rsa_size")
skips("modulus-8193", "a modulus of 8193 bits", "oidc attack 99", RSA.public(kid="a", n=uint((1 << 8192) | 1)), "rsa_size")
skips("modulus-16384", "a modulus of 16384 bits", "oidc attack 99", RSA.public(kid="a", n=uint((1 << 16383) | 1)), "rsa_size")
skips("modulus-even", "an even modulus", "oidc attack 99", RSA.public(kid="a", n=uint(N + 1)), "rsa_modulus")
skips("modulus-zero", "n = 0", "oidc attack 99", RSA.public(kid="a", n="AA"), "rsa_size")
skips("modulus-empty", "n is the empty text", "oidc attack 99", RSA.public(kid="a", n=""), "rsa_size")
skips("modulus-number", "n is a number", "oidc attack 102", RSA.public(kid="a", n=7), "malformed")
skips("modulus-missing", "no n", "RFC 7518 section 6.3.1.1", RSA.public(kid="a", n=None), "malformed")
skips("modulus-padded", "n with = at the end", "RFC 7515 section 2", RSA.public(kid="a", n=RSA.jwk["n"] + "=="), "malformed")
skips("modulus-standard-alphabet", "n in standard base64", "RFC 7515 section 2",
      RSA.public(kid="a", n="+" + RSA.jwk["n"][1:]), "malformed")
for slug, e in (("1", 1), ("even", 65536), ("zero", 0), ("2", 2), ("over-33-bits", (1 << 33) + 1), ("over-64-bits", (1 << 64) + 1)):
    skips(f"exponent-{slug}", f"e = {e}", "oidc attack 100", RSA.public(kid="a", e=uint(e)), "rsa_exponent")
skips("exponent-empty", "e is the empty text", "oidc attack 100", RSA.public(kid="a", e=""), "rsa_exponent")
skips("exponent-number", "e is a number", "oidc attack 100", RSA.public(kid="a", e=65537), "malformed")
skips("exponent-missing", "no e", "RFC 7518 section 6.3.1.2", RSA.public(kid="a", e=None), "malformed")
_x, _y = number(P256.jwk["x"]), number(P256.jwk["y"])
skips("point-off-curve", "one bit of y changed", "oidc attack 101", P256.public(kid="a", y=uint(_y ^ 1, 32)), "off_curve")
skips("point-zero", "the point (0,0)", "oidc attack 101", P256.public(kid="a", x=uint(0, 32), y=uint(0, 32)), "off_curve")
skips("point-x-p", "x = p", "oidc attack 101", P256.public(kid="a", x=uint(P, 32)), "off_curve")
skips("point-x-all-ones", "x of 32 octets ff, over p", "oidc attack 101", P256.public(kid="a", x=b64(b"\xff" * 32)), "off_curve")
skips("point-x-short", "x of 31 octets", "oidc attack 101", P256.public(kid="a", x=b64(unb64(P256.jwk["x"])[1:])), "length")
skips("point-x-long", "x with a leading zero octet", "oidc attack 101; RFC 7518 section 6.2.1.2", P256.public(kid="a", x=b64(b"\0" + unb64(P256.jwk["x"]))), "length")
skips("point-y-missing", "no y", "RFC 7518 section 6.2.1.3", P256.public(kid="a", y=None), "malformed")
skips("point-swapped", "x and y exchanged", "oidc attack 101", P256.public(kid="a", x=P256.jwk["y"], y=P256.jwk["x"]), "off_curve")
skips("point-p384-off-curve", "the same on P-384", "oidc attack 101", P384.public(kid="a", y=uint(number(P384.jwk["y"]) ^ 1, 48)), "off_curve")
skips("curve-other", "numbers of P-256 said to be P-384", "oidc attack 102", P256.public(kid="a", crv="P-384"), "length")
skips("curve-p521", "P-521 cannot be checked", "oidc attack 102", P521.public(kid="a"), "unsupported_curve")
skips("curve-secp256k1", "secp256k1 cannot be checked", "oidc attack 102", K1.public(kid="a"), "unsupported_curve")
skips("curve-unknown", "a curve nobody knows", "oidc attack 102", P256.public(kid="a", crv="P-255"), "unsupported_curve")
skips("curve-lower-case", "p-256 is not P-256", "oidc attack 102", P256.public(kid="a", crv="p-256"), "unsupported_curve")
skips("curve-missing", "no crv", "RFC 7518 section 6.2.1.1", P256.public(kid="a", crv=None), "malformed")
skips("curve-ed448", "Ed448 cannot be checked", "oidc attack 102", ED448.public(kid="a"), "unsupported_curve")
skips("curve-x25519", "X25519 is not for signatures", "oidc attack 102", ED.public(kid="a", crv="X25519"), "unsupported_curve")
skips("okp-short", "x of 31 octets", "RFC 8037 section 2", ED.public(kid="a", x=b64(unb64(ED.jwk["x"])[1:])), "length")
skips("okp-long", "x of 33 octets", "RFC 8037 section 2", ED.public(kid="a", x=b64(unb64(ED.jwk["x"]) + b"\0")), "length")
skips("kty-unknown", "a kind nobody knows", "oidc attack 102", RSA.public(kid="a", kty="XYZ"), "unknown_kty")
skips("kty-lower-case", "rsa is not RSA", "RFC 7517 section 4.1", RSA.public(kid="a", kty="rsa"), "unknown_kty")
skips("kty-akp", "post-quantum keys cannot be checked", "oidc attack 102", {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "a"}, "unsupported_alg")
skips("kty-missing", "no kty", "RFC 7517 section 4.1", RSA.public(kid="a", kty=None), "malformed")
skips("kty-number", "kty is a number", "RFC 7517 section 4.1", RSA.public(kid="a", kty=1), "malformed")
skips("alg-unknown", "an algorithm nobody knows", "oidc attack 102", RSA.public(kid="a", alg="RS257"), "unsupported_alg")
skips("alg-rsa-oaep", "an algorithm for encryption", "oidc 2.2", RSA.public(kid="a", alg="RSA-OAEP"), "unsupported_alg")
skips("alg-other-kind", "an RSA key for ES256", "oidc 2.2", RSA.public(kid="a", alg="ES256"), "alg_mismatch")
skips("alg-hs256", "an RSA key for HS256", "oidc attack 29", RSA.public(kid="a", alg="HS256"), "alg_mismatch")
skips("alg-other-curve", "a P-256 key for ES384", "oidc attack 102", P256.public(kid="a", alg="ES384"), "alg_mismatch")
skips("alg-lower-case", "rs256 is not RS256", "RFC 7517 section 4.4", RSA.public(kid="a", alg="rs256"), "unsupported_alg")
skips("alg-number", "alg is a number", "RFC 7517 section 4.4", RSA.public(kid="a", alg=256), "malformed")
skips("use-enc", "a key for encryption", "oidc attack 55", P256.public(kid="a", use="enc"), "not_for_signatures")
skips("use-unknown", "a use nobody knows", "oidc attack 102", P256.public(kid="a", use="tls"), "not_for_signatures")
skips("use-number", "use is a number", "RFC 7517 section 4.2", P256.public(kid="a", use=1), "malformed")
skips("key-ops-sign", "key_ops sign", "oidc attack 104", P256.public(kid="a", key_ops=["sign"]), "not_for_signatures")
skips("key-ops-encrypt", "key_ops encrypt", "oidc attack 104", P256.public(kid="a", key_ops=["encrypt"]), "not_for_signatures")
skips("key-ops-empty", "key_ops []", "oidc attack 104", P256.public(kid="a", key_ops=[]), "not_for_signatures")
skips("key-ops-text", "key_ops is text", "oidc attack 104", P256.public(kid="a", key_ops="verify"), "malformed")
skips("key-ops-twice", "verify twice", "RFC 7517 section 4.3", P256.public(kid="a", key_ops=["verify", "verify"]), "malformed")
skips("kid-number", "kid is a number", "RFC 7517 section 4.5", P256.public(kid=7), "malformed")
skips("kid-257-octets", "kid one octet too long", "oidc attack 50", P256.public(kid="k" * 257), "malformed")

# ---------------------------------------------------------------- documents that are no set

_good = json.dumps({"keys": [GOOD]})
fails("keys-null", "keys is null", "oidc attack 95", '{"keys":null}', "no_keys")
fails("keys-missing", "no keys", "oidc attack 95", "{}", "no_keys")
fails("keys-object", "keys is an object", "oidc attack 95", json.dumps({"keys": GOOD}), "no_keys")
fails("keys-capital", "Keys is not keys", "oidc attack 95", json.dumps({"Keys": [GOOD]}), "no_keys")
fails("keys-twice", "keys twice", "RFC 7517 section 5", _good[:-1] + ',"keys":[]}', "not_json")
fails("member-twice", "kid twice in one key", "RFC 7517 section 4", _good.replace('"kid"', '"kid":"x","kid"', 1), "not_json")
fails("array", "an array of keys without the object", "oidc attack 95", json.dumps([GOOD]), "not_json")
fails("jwk-alone", "one key without the set", "RFC 7517 section 5", json.dumps(GOOD), "no_keys")
fails("html", "an HTML page", "oidc attack 93", "<!doctype html><title>502 Bad Gateway</title>", "not_json")
fails("empty", "an empty body", "oidc attack 93", "", "not_json")
fails("truncated", "the last bracket is missing", "oidc attack 93", _good[:-1], "not_json")
fails("trailing", "bytes after the object", "oidc attack 93", _good + "x", "not_json")
fails("bom", "a byte order mark", "RFC 8259 section 8.1", "\ufeff" + _good, "not_json")
fails("deep", "200 arrays inside each other", "oidc attack 21", _good[:-1] + ',"z":' + "[" * 200 + "]" * 200 + "}", "not_json")
fails("keys-257", "one entry too many", "oidc attack 105", json.dumps({"keys": [{}] * 256 + [GOOD]}), "too_many_keys")
fails("keys-5000", "5000 entries", "oidc attack 105", '{"keys":[' + ",".join(["0"] * 5000) + "]}", "too_many_keys")

area.finish()
