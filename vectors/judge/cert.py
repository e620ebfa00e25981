"""Certificates: the CA is judged, the certificate made again and compared octet for octet."""

import datetime
import re
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.name import _ASN1Type as Asn1

from .refused import VECTORS, Refused, want

OTHERS = {"front-proxy", "front-proxy-ca", "etcd", "etcd-ca", "kubernetes", "kubernetes-ca"}
HIDDEN = re.compile("[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
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


def authority(case: dict, now: datetime.datetime) -> tuple:
    """The CA certificate that signs, and its key."""
    bundle = "".join((VECTORS / "cert" / name).read_text() for name in case["ca_cert"])
    want("PRIVATE KEY" not in bundle, "pki.key_in_certificate")
    usable, refusals = [], []
    for ca in x509.load_pem_x509_certificates(bundle.encode()):
        try:
            if getattr(extension(ca, x509.BasicConstraints), "ca", False):
                check_ca(ca, now)
                usable.append(ca)
        except Refused as refused:
            refusals.append(str(refused))
    want(usable, (refusals + ["pki.not_a_ca"])[0])
    text = (VECTORS / "cert" / case["ca_key"]).read_text()
    want("ENCRYPTED" not in text, "pki.key_encrypted")
    want("PRIVATE KEY" in text, "pki.no_private_key")
    key = load_pem_private_key(text.replace("ED25519 PRIVATE", "PRIVATE").encode(), None)
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
