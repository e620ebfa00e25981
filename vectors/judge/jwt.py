"""ID tokens: strict base64url and JSON, claims, choice of key, signature."""

import base64
import hmac
import json
import math
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .refused import VECTORS, Refused, want

HASH = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
KINDS = {"RS": "RSA", "PS": "RSA", "ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}
ALGS = [f + b for f in ("RS", "PS", "HS") for b in HASH] + ["ES256", "ES384", "EdDSA"]


def decode(text: str) -> bytes:
    want(re.fullmatch(r"[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, "token.bad_base64")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    want(base64.urlsafe_b64encode(octets).decode().rstrip("=") == text, "token.bad_base64")
    return octets


def strict(octets: bytes, code: str) -> dict:
    """One JSON object: no name twice, no NaN, no infinity, no lone surrogate, at most 16 deep."""

    def pairs(found: list) -> dict:
        want(len({name for name, _ in found}) == len(found), "token.duplicate_member")
        return dict(found)

    def number(text: str) -> float:
        want(math.isfinite(float(text)), code)
        return float(text)

    def depth(value: object) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    try:
        value = json.loads(octets.decode(), object_pairs_hook=pairs, parse_float=number, parse_constant=lambda _: want(False, code))
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused(code) from None
    want(isinstance(value, dict) and depth(value) <= 16, code)
    return value


def text(members: dict, name: str, code: str = "token.claim_type") -> str | None:
    want(name not in members or isinstance(members[name], str), code)
    return members.get(name)


def date(claims: dict, name: str) -> int | None:
    value = claims.get(name)
    want(name not in claims or isinstance(value, (int, float)) and not isinstance(value, bool), "token.claim_type")
    return None if value is None else math.floor(value)


def is_jwt(kind: str | None) -> bool:
    return kind is None or re.sub("^application/", "", kind.lower()) == "jwt"


def public_key(jwk: object) -> tuple | None:
    """Kind, algorithm it is bound to, and key of a JWK that may verify signatures."""
    try:
        number = lambda name: int.from_bytes(decode(jwk[name]), "big")
        ops, alg = jwk.get("key_ops", ["verify"]), jwk.get("alg", "").replace("Ed25519", "EdDSA")
        if {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & jwk.keys() or jwk.get("use", "sig") != "sig" or ops.count("verify") != 1:
            return None
        if "kid" in jwk and len(jwk["kid"].encode()) > 256 or "alg" in jwk and alg not in ALGS:
            return None
        if jwk["kty"] == "RSA":
            n, e, kind = number("n"), number("e"), "RSA"
            key = rsa.RSAPublicNumbers(e, n).public_key() if 2048 <= n.bit_length() <= 8192 and n % 2 and e < 2**33 else None
        elif jwk["kty"] == "EC":
            kind, curve = jwk["crv"], {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[jwk["crv"]]
            sizes = {len(decode(jwk["x"])), len(decode(jwk["y"]))} == {curve.key_size // 8}
            key = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key() if sizes else None
        else:
            kind = {("OKP", "Ed25519"): "Ed25519"}[jwk["kty"], jwk["crv"]]
            key = ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
        fits = (not alg or kind in (KINDS.get(alg), KINDS.get(alg[:2])))
        return (kind, alg, key) if key and fits else None
    except (KeyError, ValueError, AttributeError, TypeError, Refused):
        return None


def signed(alg: str, key: object, message: bytes, signature: bytes) -> bool:
    digest = HASH.get(alg[2:])
    try:
        if alg == "EdDSA":
            key.verify(signature, message)
        elif alg[:2] == "ES":
            half = key.curve.key_size // 8
            want(len(signature) == 2 * half, "")
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        elif alg[:2] == "HS":
            return hmac.compare_digest(hmac.digest(key, message, "sha" + alg[2:]), signature)
        else:
            want(len(signature) == (key.key_size + 7) // 8, "")
            key.verify(signature, message, padding.PKCS1v15() if alg[:2] == "RS" else padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    except (InvalidSignature, Refused, ValueError):
        return False
    return True


def judge(case: dict) -> dict:
    token, config, now = case["token"], case["config"], case["now"]
    parts, skew, secret = token.split("."), config.get("skew", 60), config.get("hmac_secret", "").encode()
    want(len(token.encode()) <= 16_384, "token.too_large")
    want(len(parts) != 5, "token.encrypted")
    want(len(parts) == 3, "token.not_three_parts")
    want(len(parts[0].encode()) <= 4096, "token.too_large")
    header = strict(decode(parts[0]), "token.bad_header")
    want(not {"crit", "b64"} & header.keys(), "token.critical_header")
    want("zip" not in header and ("cty" not in header or not is_jwt(text(header, "cty", "token.bad_header"))), "token.nested")
    alg, kid = text(header, "alg", "token.bad_header"), header.get("kid")
    want(alg is not None, "token.bad_header")
    want(alg and alg.lower() != "none", "token.unsigned")
    alg = "EdDSA" if alg == "Ed25519" else alg
    want(alg in ALGS, "token.unsupported_alg")
    want("kid" not in header or isinstance(kid, str) and len(kid.encode()) <= 256, "token.bad_kid")
    kind = text(header, "typ", "token.bad_header")
    want(parts[2], "token.unsigned")
    payload, signature = decode(parts[1]), decode(parts[2])
    claims = strict(payload, "token.bad_claims")
    listed = config.get("algs", ALGS)
    want(alg in listed and (alg[:2] != "HS" or len(secret) >= int(alg[2:]) // 8), "token.alg_not_allowed")
    want(is_jwt(kind), "token.wrong_type")
    issuer, ours = text(claims, "iss") or "", config["issuer"]
    want(issuer, "token.issuer_missing")
    want(issuer.removesuffix("/") == ours.removesuffix("/"), "token.issuer_mismatch")
    want(issuer == ours or config.get("slash_tolerant"), "token.issuer_slash")
    aud = claims.get("aud", [])
    want(isinstance(aud, (str, list)) and all(isinstance(one, str) for one in aud), "token.claim_type")
    want(aud, "token.audience_missing")
    aud, azp = [aud] if isinstance(aud, str) else aud, None
    want(config["audience"] in aud, "token.audience_mismatch")
    azp = text(claims, "azp")
    want(azp in (None, config["audience"]), "token.azp_mismatch")
    want(azp or len(aud) == 1, "token.azp_missing")
    typ = claims.get("typ")
    other = isinstance(typ, str) and typ.lower() in ("bearer", "refresh", "offline", "logout")
    want(not (other or {"events", "scp"} & claims.keys() or claims.get("token_use", "id") != "id"), "token.not_an_id_token")
    want(1 <= len(text(claims, "sub") or "") <= 255, "token.subject_missing")
    text(claims, "nonce"), text(claims, "jti"), date(claims, "auth_time")
    exp = date(claims, "exp")
    want(exp is not None, "token.exp_missing")
    iat = date(claims, "iat")
    want(iat is not None, "token.iat_missing")
    nbf = date(claims, "nbf")
    want(now < exp + skew, "token.expired")
    want(nbf is None or nbf <= now + skew, "token.not_yet_valid")
    want(iat <= now + skew, "token.issued_in_future")
    want(now - iat <= config.get("max_token_age", math.inf) + skew, "token.too_old")
    key = secret
    if alg[:2] != "HS":
        published = (case.get("jwks") or json.loads((VECTORS / case["keys"]).read_text()))["keys"]
        named = [jwk for jwk in published if kid is None or isinstance(jwk, dict) and jwk.get("kid") == kid]
        usable = [key for key in map(public_key, named) if key]
        fitting = [key for _, bound, key in ((k, b, p) for k, b, p in usable if k in (KINDS.get(alg), KINDS.get(alg[:2]))) if bound in ("", alg)]
        want(len(fitting) < 2, "token.ambiguous_key")
        want(fitting or kid is not None and named, "token.unknown_key")
        want(fitting, "token.key_mismatch")
        key = fitting[0]
    want(signed(alg, key, f"{parts[0]}.{parts[1]}".encode(), signature), "token.bad_signature")
    return {"ok": {"sub": claims["sub"]}}
