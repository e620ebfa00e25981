"""The fixed test keys. Private ones live in `../keys/private/<name>.json` as JWKs.

They are committed once and never made anew: `python3 keys.py` adds what is missing. Nothing but
these vectors may trust them.
"""

import base64
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HERE = pathlib.Path(__file__).resolve().parent
PRIVATE = HERE.parent / "keys" / "private"

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}

# What `python3 keys.py` makes where a file is missing.
WANTED = {
    "rsa": ("RSA", 2048),
    "rsa-3072": ("RSA", 3072),
    "rsa-1024": ("RSA", 1024),
    "rsa-stranger": ("RSA", 2048),
    "es256": ("EC", "P-256"),
    "es256-second": ("EC", "P-256"),
    "es256-stranger": ("EC", "P-256"),
    "es384": ("EC", "P-384"),
    "es512": ("EC", "P-521"),
    "es256k": ("EC", "secp256k1"),
    "ed25519": ("OKP", "Ed25519"),
    "ed25519-stranger": ("OKP", "Ed25519"),
    "ed448": ("OKP", "Ed448"),
}

PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi")


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text: str) -> int:
    return int.from_bytes(unb64(text), "big")


def uint(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or max(1, (value.bit_length() + 7) // 8), "big"))


class Key:
    """A private key by name: makes public JWKs and raw JWS signatures."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.jwk = json.loads((PRIVATE / f"{name}.json").read_text())

    def public(self, **extra: object) -> dict:
        """The public JWK; `extra` adds members, and takes one away where the value is None."""
        members = {k: v for k, v in self.jwk.items() if k not in PRIVATE_MEMBERS}
        members.update(extra)
        return {k: v for k, v in members.items() if v is not None}

    def handle(self):
        jwk = self.jwk
        if jwk["kty"] == "RSA":
            n, e, d, p, q, dp, dq, qi = (number(jwk[m]) for m in ("n", "e", "d", "p", "q", "dp", "dq", "qi"))
            return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()
        if jwk["kty"] == "EC":
            return ec.derive_private_key(number(jwk["d"]), CURVES[jwk["crv"]]())
        kind = {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[jwk["crv"]]
        return kind.from_private_bytes(unb64(jwk["d"]))

    def sign(self, alg: str, message: bytes) -> bytes:
        """The JWS signature. Same input, same octets: ECDSA by RFC 6979, PSS with a fixed salt."""
        key = self.handle()
        if alg.startswith("RS"):
            return key.sign(message, padding.PKCS1v15(), HASHES[alg[2:]]())
        if alg.startswith("PS"):
            return self.sign_pss(alg[2:], message)
        if alg.startswith("ES"):
            digest = {"ES256": hashes.SHA256, "ES256K": hashes.SHA256, "ES384": hashes.SHA384, "ES512": hashes.SHA512}[alg]
            size = (key.curve.key_size + 7) // 8
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest(), deterministic_signing=True)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return key.sign(message)

    def raw_rsa(self, encoded: bytes) -> bytes:
        """RSASP1 (RFC 8017 section 5.2.1) on an encoded message of our own making."""
        n = number(self.jwk["n"])
        return pow(int.from_bytes(encoded, "big"), number(self.jwk["d"]), n).to_bytes((n.bit_length() + 7) // 8, "big")

    def sign_pss(self, bits: str, message: bytes, salt_length: int | None = None) -> bytes:
        """RSASSA-PSS (RFC 8017 section 9.1.1); the salt is made from the message."""
        size = HASHES[bits].digest_size
        salt = (digest(bits, b"salt" + message) * 4)[: size if salt_length is None else salt_length]
        length = (number(self.jwk["n"]).bit_length() - 1 + 7) // 8
        hashed = digest(bits, bytes(8) + digest(bits, message) + salt)
        block = bytes(length - len(salt) - size - 2) + b"\x01" + salt
        mask = b"".join(digest(bits, hashed + i.to_bytes(4, "big")) for i in range(length // size + 1))
        masked = bytearray(a ^ b for a, b in zip(block, mask))
        masked[0] &= 0xFF >> (8 * length - (number(self.jwk["n"]).bit_length() - 1))
        return self.raw_rsa(bytes(masked) + hashed + b"\xbc")


def digest(bits: str, octets: bytes) -> bytes:
    return hashlib.new("sha" + bits, octets).digest()


def mac(alg: str, secret: bytes, message: bytes) -> bytes:
    made = hmac.HMAC(secret, HASHES[alg[2:]]())
    made.update(message)
    return made.finalize()


def make(kind: str, size: int | str) -> dict:
    if kind == "RSA":
        key = rsa.generate_private_key(65537, size).private_numbers()
        pub = key.public_numbers
        named = {"n": pub.n, "e": pub.e, "d": key.d, "p": key.p, "q": key.q, "dp": key.dmp1, "dq": key.dmq1, "qi": key.iqmp}
        return {"kty": "RSA"} | {name: uint(value) for name, value in named.items()}
    if kind == "EC":
        key = ec.generate_private_key(CURVES[size]()).private_numbers()
        length = (CURVES[size].key_size + 7) // 8
        point = {"x": key.public_numbers.x, "y": key.public_numbers.y, "d": key.private_value}
        return {"kty": "EC", "crv": size} | {name: uint(value, length) for name, value in point.items()}
    maker = {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[size].generate()
    return {"kty": "OKP", "crv": size, "x": b64(maker.public_key().public_bytes_raw()), "d": b64(maker.private_bytes_raw())}


if __name__ == "__main__":
    PRIVATE.mkdir(parents=True, exist_ok=True)
    for name, (kind, size) in WANTED.items():
        path = PRIVATE / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(make(kind, size), indent=1) + "\n")
            print(f"made {path.name}")
