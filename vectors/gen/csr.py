"""Makes the `csr` cases: `python3 csr.py`, or `python3 csr.py --check` to compare.

The DER is put together here, element by element, so that each can be wrong by itself. Every refused
case starts from one that is accepted and changes one thing.
"""

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cases import Area
from keys import Key, number

area = Area("csr")

# ---------------------------------------------------------------- DER


def tlv(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*content: bytes) -> bytes:
    return tlv(0x30, *content)


def oid(text: str) -> bytes:
    arcs = [int(arc) for arc in text.split(".")]
    out = bytearray()
    for arc in [40 * arcs[0] + arcs[1], *arcs[2:]]:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        out += bytes(reversed(digits))
    return tlv(6, bytes(out))


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bits(octets: bytes, unused: int = 0) -> bytes:
    return tlv(3, bytes([unused]) + octets)


def rdn(kind: str, text: str) -> bytes:
    return tlv(0x31, sequence(oid(kind), tlv(0x0C, text.encode())))


NULL = tlv(5)
SUBJECT = sequence(rdn("2.5.4.10", "os:admin"), rdn("2.5.4.3", "requested"))
NO_ATTRIBUTES = tlv(0xA0)
# extensionRequest (RFC 2985 section 5.4.2) for a CA certificate.
WANTS_CA = tlv(0xA0, sequence(oid("1.2.840.113549.1.9.14"), tlv(0x31, sequence(
    sequence(oid("2.5.29.19"), tlv(1, b"\xff"), tlv(4, sequence(tlv(1, b"\xff"))))))))

ED25519, ED448 = sequence(oid("1.3.101.112")), sequence(oid("1.3.101.113"))
EC_KEY, RSA_KEY = oid("1.2.840.10045.2.1"), sequence(oid("1.2.840.113549.1.1.1"), NULL)
P256, P384, P521 = oid("1.2.840.10045.3.1.7"), oid("1.3.132.0.34"), oid("1.3.132.0.35")
ECDSA = {name: sequence(oid(f"1.2.840.10045.4.3.{n}")) for name, n in [("256", 2), ("384", 3), ("512", 4)]}
ECDSA["1"] = sequence(oid("1.2.840.10045.4.1"))
RSA = {name: sequence(oid(f"1.2.840.113549.1.1.{n}"), NULL) for name, n in [("1", 5), ("256", 11), ("384", 12), ("512", 13)]}
HASHES = {"1": hashes.SHA1, "256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}

# ---------------------------------------------------------------- keys and signatures

ed, ed_other, ed448 = Key("ed25519"), Key("ed25519-stranger"), Key("ed448")
p256, p384, p521 = Key("es256"), Key("es384"), Key("es512")
rsa, rsa3072, rsa1024 = Key("rsa"), Key("rsa-3072"), Key("rsa-1024")


def spki(key) -> bytes:
    return key.handle().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ecdsa(key: Key, bits: str = "256"):
    return ECDSA[bits], lambda message: key.handle().sign(message, ec.ECDSA(HASHES[bits](), deterministic_signing=True))


def pkcs1(key: Key, bits: str = "256"):
    return RSA[bits], lambda message: key.handle().sign(message, padding.PKCS1v15(), HASHES[bits]())


def eddsa(key: Key = ed):
    return ED25519, key.handle().sign


def info(public: bytes, version: int = 0, subject: bytes = SUBJECT, attributes: bytes = NO_ATTRIBUTES) -> bytes:
    """`CertificationRequestInfo` (RFC 2986 section 4.1)."""
    return sequence(integer(version), subject, public, attributes)


def request(signed: bytes, how) -> bytes:
    """`CertificationRequest` (RFC 2986 section 4.2)."""
    algorithm, sign = how
    return sequence(signed, algorithm, bits(sign(signed)))


def pem(der: bytes, label: str = "CERTIFICATE REQUEST", end: str = "\n") -> str:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def case(slug: str, comment: str, source: str, what: bytes | str, expect: dict) -> None:
    given = {"text": what} if isinstance(what, str) else {"der": what.hex()}
    area.add(slug, {"comment": comment, "source": source} | given | {"expect": expect})


def good(slug: str, comment: str, source: str, what: bytes | str, kind: str, public: bytes) -> None:
    case(slug, comment, source, what, {"ok": {"key": kind, "spki": public.hex()}})


def bad(slug: str, comment: str, source: str, what: bytes | str, code: str) -> None:
    case(slug, comment, source, what, {"error": f"csr.{code}"})


# ================================================================ accepted

ED = spki(ed)
DER = request(info(ED), eddsa())
PEM = pem(DER)
good("ed25519", "the request every refused case of Ed25519 starts from; what it asks for besides the key is not read",
     "RFC 2986 section 4", PEM, "ed25519", ED)
good("der", "the same without PEM", "RFC 2986 section 4", DER, "ed25519", ED)
good("pem-crlf", "line ends of Windows", "RFC 7468 section 2", pem(DER, end="\r\n"), "ed25519", ED)
good("pem-text-around", "OpenSSL's words before the block", "RFC 7468 section 2", "Certificate Request:\n    Data:\n" + PEM + "\n", "ed25519", ED)
good("pem-old-label", "the older label", "RFC 7468 section 7", pem(DER, "NEW CERTIFICATE REQUEST"), "ed25519", ED)
good("subject-empty", "no subject", "RFC 2986 section 4.1", pem(request(info(ED, subject=sequence()), eddsa())), "ed25519", ED)
good("asks-to-be-a-ca", "extensions that are asked for are not read", "RFC 2985 section 5.4.2",
     pem(request(info(ED, attributes=WANTS_CA), eddsa())), "ed25519", ED)
good("p256", "ECDSA on P-256", "RFC 5480", pem(request(info(spki(p256)), ecdsa(p256))), "p256", spki(p256))
good("p256-sha384", "the longer hash", "RFC 5758 section 3.2", pem(request(info(spki(p256)), ecdsa(p256, "384"))), "p256", spki(p256))
good("p384", "ECDSA on P-384", "RFC 5480", pem(request(info(spki(p384)), ecdsa(p384, "384"))), "p384", spki(p384))
good("p384-sha256", "the shorter hash", "RFC 5758 section 3.2", pem(request(info(spki(p384)), ecdsa(p384, "256"))), "p384", spki(p384))
for size in ("256", "384", "512"):
    good(f"rsa-sha{size}", f"RSA with 2048 bits and SHA-{size}", "RFC 4055 section 5",
         pem(request(info(spki(rsa)), pkcs1(rsa, size))), "rsa-2048", spki(rsa))
good("rsa-3072", "RSA with 3072 bits", "RFC 4055 section 5", pem(request(info(spki(rsa3072)), pkcs1(rsa3072))), "rsa-3072", spki(rsa3072))

# ================================================================ refused: text and size

bad("empty", "nothing", "RFC 7468 section 2", "", "not_pem")
bad("words", "no PEM at all", "RFC 7468 section 2", "hello", "not_pem")
bad("pem-two", "two requests", "one request, one certificate", PEM + pem(request(info(spki(p256)), ecdsa(p256))), "not_one_request")
bad("pem-certificate", "another label", "RFC 7468 section 5", pem(DER, "CERTIFICATE"), "not_one_request")
bad("pem-cut", "no end line", "RFC 7468 section 2", PEM[: PEM.index("-----END")], "not_pem")
bad("pem-no-base64", "a character that is no base64", "RFC 4648 section 4", PEM[:80] + "*" + PEM[81:], "not_pem")
bad("pem-indented", "indented, as in YAML", "RFC 7468 section 2", PEM.replace("-----BEGIN", "  -----BEGIN"), "not_pem")
bad("too-large", "over 16 KiB", "bounds of this program", "A" * 16_385, "too_large")
bad("too-large-der", "over 16 KiB of DER", "bounds of this program",
    request(info(ED, subject=sequence(*[rdn("2.5.4.3", "x" * 60)] * 240)), eddsa()), "too_large")

# ================================================================ refused: encoding

bad("der-trailing", "an octet behind the request", "X.690 section 10", DER + b"\0", "malformed")
bad("der-cut", "the last octet is missing", "X.690 section 8.1.3", DER[:-1], "malformed")
bad("der-long-length", "a length in more octets than it needs", "X.690 section 10.1",
    bytes([0x30, 0x82, 0, len(DER) - (3 if DER[1] & 0x80 else 2)]) + DER[3 if DER[1] & 0x80 else 2:], "malformed")
bad("der-indefinite", "indefinite length", "X.690 section 10.1", b"\x30\x80" + DER[3 if DER[1] & 0x80 else 2:] + b"\0\0", "malformed")
bad("der-empty-sequence", "a SEQUENCE of nothing", "RFC 2986 section 4.2", sequence(), "malformed")
bad("info-not-a-sequence", "a SET where the information belongs", "RFC 2986 section 4.1",
    request(b"\x31" + info(ED)[1:], eddsa()), "malformed")
bad("info-empty", "no version", "RFC 2986 section 4.1", request(sequence(), eddsa()), "malformed")
bad("version-1", "version v2, which nobody has defined", "RFC 2986 section 4.1", request(info(ED, version=1), eddsa()), "malformed")
bad("fourth-element", "an element behind the signature", "RFC 2986 section 4.2",
    sequence(info(ED), ED25519, bits(ed.handle().sign(info(ED))), NULL), "malformed")
bad("signature-unused-bits", "a signature that is no whole octets", "X.690 section 8.6",
    sequence(info(ED), ED25519, bits(ed.handle().sign(info(ED))[:-1] + b"\0", 1)), "malformed")
bad("key-unused-bits", "a key that is no whole octets", "X.690 section 8.6",
    request(info(sequence(ED25519, bits(ED[-32:-1] + b"\0", 1))), eddsa()), "malformed")

# ================================================================ refused: the key

bad("rsa-1024", "RSA with 1024 bits", "NIST SP 800-131A section 3", pem(request(info(spki(rsa1024)), pkcs1(rsa1024))), "unsupported_key")
bad("p521", "P-521, which ring does not know", "RFC 5480", pem(request(info(spki(p521)), ecdsa(p521, "512"))), "unsupported_key")
bad("ed448", "Ed448", "RFC 8410", pem(request(info(spki(ed448)), (ED448, ed448.handle().sign))), "unsupported_key")
agreement = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
bad("x25519", "a key that cannot sign", "RFC 8410",
    pem(request(info(agreement.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), eddsa())), "unsupported_key")
point = spki(p256)[-65:]
compressed = bytes([2 + point[64] % 2]) + point[1:33]
bad("p256-compressed", "a compressed point", "RFC 5480 section 2.2",
    pem(request(info(sequence(sequence(EC_KEY, P256), bits(compressed))), ecdsa(p256))), "unsupported_key")
bad("p256-wrong-curve", "a point of one curve under the name of another", "RFC 5480 section 2.1.1",
    pem(request(info(sequence(sequence(EC_KEY, P384), bits(point))), ecdsa(p256))), "unsupported_key")
bad("p256-no-curve", "no curve", "RFC 5480 section 2.1.1",
    pem(request(info(sequence(sequence(EC_KEY), bits(point))), ecdsa(p256))), "unsupported_key")
bad("p256-off-curve", "a point that is on no curve", "RFC 5480 section 2.2",
    pem(request(info(sequence(sequence(EC_KEY, P256), bits(point[:-1] + bytes([point[-1] ^ 1])))), ecdsa(p256))), "not_proven")
bad("p256-at-infinity", "the point at infinity", "SEC 1 section 2.3.3",
    pem(request(info(sequence(sequence(EC_KEY, P256), bits(b"\0"))), ecdsa(p256))), "unsupported_key")
bad("ed25519-short", "31 octets", "RFC 8410 section 4", pem(request(info(sequence(ED25519, bits(ED[-31:]))), eddsa())), "malformed")
bad("ed25519-parameters", "parameters where none belong", "RFC 8410 section 3",
    pem(request(info(sequence(sequence(oid("1.3.101.112"), NULL), bits(ED[-32:]))), eddsa())), "malformed")
n = number(rsa.jwk["n"])


def rsa_spki(modulus: bytes, exponent: bytes, algorithm: bytes = RSA_KEY) -> bytes:
    return sequence(algorithm, bits(sequence(modulus, exponent)))


bad("rsa-exponent-1", "an exponent that makes every message its own signature", "RFC 8017 section 3.1",
    pem(request(info(rsa_spki(integer(n), integer(1))), pkcs1(rsa))), "not_proven")
bad("rsa-exponent-even", "an even exponent", "RFC 8017 section 3.1",
    pem(request(info(rsa_spki(integer(n), integer(65536))), pkcs1(rsa))), "not_proven")
bad("rsa-negative", "a modulus that is negative", "RFC 8017 appendix A.1.1",
    pem(request(info(rsa_spki(tlv(2, n.to_bytes(256, "big")), integer(65537))), pkcs1(rsa))), "malformed")
bad("rsa-no-null", "the parameters of rsaEncryption are NULL, not absent: Go reads no certificate with such a key",
    "RFC 3279 section 2.3.1",
    pem(request(info(rsa_spki(integer(n), integer(65537), sequence(oid("1.2.840.113549.1.1.1")))), pkcs1(rsa))), "malformed")

# ================================================================ refused: the signature

bad("rsa-sha1", "SHA-1", "RFC 8017 appendix B.1", pem(request(info(spki(rsa)), pkcs1(rsa, "1"))), "unsupported_signature")
bad("p256-sha1", "SHA-1", "RFC 5758 section 3.2", pem(request(info(spki(p256)), ecdsa(p256, "1"))), "unsupported_signature")
bad("p256-sha512", "ECDSA with SHA-512", "RFC 5758 section 3.2", pem(request(info(spki(p256)), ecdsa(p256, "512"))), "unsupported_signature")
pss = sequence(oid("1.2.840.113549.1.1.10"), sequence())
bad("rsa-pss", "RSASSA-PSS", "RFC 4055 section 3.1", pem(request(info(spki(rsa)), (pss, lambda m: rsa.sign_pss("256", m)))), "unsupported_signature")
bad("rsa-signature-no-null", "the parameters are NULL, not absent", "RFC 4055 section 5",
    pem(request(info(spki(rsa)), (sequence(oid("1.2.840.113549.1.1.11")), pkcs1(rsa)[1]))), "unsupported_signature")
bad("signature-algorithm-parameters", "parameters where none belong", "RFC 8410 section 3",
    pem(request(info(ED), (sequence(oid("1.3.101.112"), NULL), ed.handle().sign))), "unsupported_signature")
bad("signed-by-another", "a key that somebody else holds", "RFC 2986 section 3", pem(request(info(ED), eddsa(ed_other))), "not_proven")
bad("signature-of-another-kind", "algorithm and key do not go together", "RFC 2986 section 4.2", pem(request(info(ED), ecdsa(p256))), "not_proven")
bad("algorithm-of-another-kind", "the right signature under the wrong name", "RFC 2986 section 4.2",
    pem(request(info(ED), (ECDSA["256"], ed.handle().sign))), "not_proven")
bad("subject-changed", "the subject was changed after signing", "RFC 2986 section 3", pem(DER.replace(b"requested", b"Requested")), "not_proven")
bad("key-changed", "the key was changed after signing", "RFC 2986 section 3", pem(DER.replace(ED[-32:], spki(ed_other)[-32:])), "not_proven")
bad("signature-empty", "no signature", "RFC 2986 section 4.2", pem(sequence(info(ED), ED25519, bits(b""))), "not_proven")
bad("signature-short", "63 octets", "RFC 8032 section 5.1.7", pem(sequence(info(ED), ED25519, bits(ed.handle().sign(info(ED))[:-1]))), "not_proven")
signature = ed.handle().sign(info(ED))
order = 2**252 + 27742317777372353535851937790883648493
larger = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
bad("ed25519-not-reduced", "S is not below the order", "RFC 8032 section 5.1.7",
    pem(sequence(info(ED), ED25519, bits(signature[:32] + larger))), "not_proven")
message = info(spki(p256))
bad("ecdsa-raw", "r and s as in JWS, not as DER", "RFC 5758 section 3.2",
    pem(sequence(message, ECDSA["256"], bits(p256.sign("ES256", message)))), "not_proven")
bad("ecdsa-zeros", "r and s are zero", "CVE-2022-21449",
    pem(sequence(message, ECDSA["256"], bits(sequence(integer(0), integer(0))))), "not_proven")
bad("ecdsa-trailing", "an octet behind r and s", "X.690 section 10",
    pem(sequence(message, ECDSA["256"], bits(ecdsa(p256)[1](message) + b"\0"))), "not_proven")

area.finish()
