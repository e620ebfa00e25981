"""Certificates: the CA is judged, the certificate made again and compared octet for octet."""

import base64
import datetime
import re
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509.name import _ASN1Type as Asn1

from .refused import VECTORS, Refused, want

OTHERS = {"front-proxy", "front-proxy-ca", "etcd", "etcd-ca", "kubernetes", "kubernetes-ca"}
HIDDEN = re.compile("[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
moment = lambda secs: datetime.datetime.fromtimestamp(secs, datetime.timezone.utc)


def extension(ca: x509.Certificate, kind: type) -> object:
    return next((found.value for found in ca.extensions if isinstance(found.value, kind)), None)


def check_ca(ca: x509.Certificate, now: datetime.datetime) -> None:
    usage, purposes = extension(ca, x509.KeyUsage), extension(ca, x509.ExtendedKeyUsage)
    want(not OTHERS & {name.value for name in ca.subject} and list(ca.subject), "pki.wrong_ca")
    want(usage is None or usage.key_cert_sign, "pki.ca_key_usage")
    client = (x509.OID_CLIENT_AUTH, x509.ObjectIdentifier("2.5.29.37.0"))
    want(purposes is None or set(client) & set(purposes), "pki.ca_not_for_clients")
    key = ca.public_key()
    known = isinstance(key, (ed25519.Ed25519PublicKey, rsa.RSAPublicKey)) or getattr(key, "curve", ec.SECP521R1()).key_size < 521
    want(known, "pki.key_unsupported")
    want(ca.not_valid_after_utc >= now, "pki.ca_expired")


def blocks(text: str) -> list[tuple[str, bytes]]:
    """The PEM blocks of a text: label and DER."""
    found, lines = [], (line.rstrip() for line in text.split("\n"))
    for line in lines:
        if not (begin := re.fullmatch("-----BEGIN (.*)-----", line)):
            continue
        want(begin[1] != "ENCRYPTED PRIVATE KEY", "pki.key_encrypted")
        body, end = "", None
        for line in lines:
            if end := re.fullmatch("-----END (.*)-----", line):
                break
            want(not line.startswith("-----"), "pki.pem_malformed")
            want(":" not in line or "ENCRYPTED" not in line, "pki.key_encrypted")
            body += "" if ":" in line else "".join(line.split())
        want(end and end[1] == begin[1] and re.fullmatch("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", body), "pki.pem_malformed")
        found.append((begin[1], base64.b64decode(body)))
    bare = text.strip()
    want(found or bare != "******", "pki.redacted")
    want(found or not bare.startswith("LS0tLS1CRUdJT"), "pki.pem_in_base64")
    want(found or "-----BEGIN " not in bare, "pki.pem_line_start")
    want(found, "pki.no_pem")
    return found


def text_of(case: dict, files: str, text: str) -> str:
    named = case.get(files, [])
    named = [named] if isinstance(named, str) else named
    return case.get(text) or "".join((VECTORS / "cert" / name).read_text() for name in named)


def authority(case: dict, now: datetime.datetime) -> tuple:
    """The CA certificate that signs, and its key."""
    bundle = blocks(text_of(case, "ca_cert", "ca_text"))
    want(not any(label.endswith("PRIVATE KEY") for label, _ in bundle), "pki.key_in_certificate")
    ders = [der for label, der in bundle if label == "CERTIFICATE"]
    want(ders, "pki.no_certificate")
    usable, refusals = [], []
    for der in ders:
        try:
            ca = x509.load_der_x509_certificate(der)
            if getattr(extension(ca, x509.BasicConstraints), "ca", False):
                check_ca(ca, now)
                usable.append(ca)
        except Refused as refused:
            refusals.append(str(refused))
        except ValueError:
            refusals.append("pki.certificate_malformed")
    want(usable, (refusals + ["pki.not_a_ca"])[0])
    keys = [der for label, der in blocks(text_of(case, "ca_key", "key_text")) if label.endswith("PRIVATE KEY")]
    want(keys, "pki.no_private_key")
    try:
        key = load_der_private_key(keys[0], None)
    except ValueError:
        key = None
    want(key, "pki.key_malformed")
    signing = [ca for ca in usable if ca.public_key() == key.public_key()]
    want(signing, "pki.key_mismatch")
    want(signing[0].not_valid_after_utc > now, "issue.ca_expired")
    return signing[0], key


def attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute:
    printable = re.fullmatch(r"[A-Za-z0-9 '()+,\-./:=?]+", value)
    kind = Asn1.PrintableString if printable else Asn1.UTF8String
    with warnings.catch_warnings(action="ignore"):  # of over 64 octets: the bound counts characters
        return x509.NameAttribute(oid, value, _type=kind, _validate=False)


def judge(case: dict) -> dict:
    """Makes the certificate itself: Ed25519 leaves no choice, so the DER must be the same."""
    now = moment(case["now"])
    ca, key = authority(case, now)
    name = HIDDEN.sub("", (case["identity"] or "").strip())[:64].strip()
    names = [attribute(x509.OID_ORGANIZATION_NAME, role) for role in case["roles"]]
    names += [attribute(x509.OID_COMMON_NAME, name)] if name else []
    serial = bytearray.fromhex(case["serial"])
    serial[0] = serial[0] & 0x7F | 0x40
    ends = min(moment(case["now"] + case["ttl_secs"]), ca.not_valid_after_utc)
    leaf = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"])).public_key()
    made = x509.CertificateBuilder(ca.subject, x509.Name(names), leaf, int.from_bytes(serial, "big"), moment(case["now"] - 60), ends)
    usage = dict.fromkeys("content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign encipher_only decipher_only".split(), False)
    made = made.add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([x509.OID_CLIENT_AUTH]), critical=False)
    if identifier := extension(ca, x509.SubjectKeyIdentifier):
        made = made.add_extension(x509.AuthorityKeyIdentifier(identifier.digest, None, None), critical=False)
    times = {"not_before": case["now"] - 60, "not_after": int(ends.timestamp())}
    return {"serial": serial.hex()} | times | {"der": made.sign(key, None).public_bytes(Encoding.DER).hex()}
