"""What libraries make of the cases: PyJWT of `jwt`, PyYAML and Go's yaml.v3 of `talosconfig`,
cryptography of `csr`.

Every difference is listed in `differs/<library>.json` with the reason and with who is right; one
that is not listed fails, and so does a listed one that is gone. Needs the packages PyJWT, PyYAML and
cryptography, and Go.
"""

import base64
import datetime
import json
import pathlib
import subprocess
import sys
import warnings

import jwt
import yaml
from cryptography import x509

VECTORS = pathlib.Path(__file__).resolve().parent
ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


def cases(area: str) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((VECTORS / area).glob("*.json"))}


def compare(peer: str, differs: dict[str, str]) -> bool:
    """Whether exactly the listed cases differ."""
    listed: dict[str, str] = {}
    for difference in json.loads((VECTORS / "differs" / f"{peer}.json").read_text()):
        assert difference.keys() == {"right", "why", "cases"} and difference["right"] in ("ours", "theirs", "both"), difference
        for name in difference["cases"]:
            assert name not in listed, f"{name} is listed twice"
            listed[name] = difference["why"]
    for name in sorted(differs.keys() - listed.keys()):
        print(f"{peer} {name}: {differs[name]}")
    for name in sorted(listed.keys() - differs.keys()):
        print(f"{peer} {name}: no difference any more ({listed[name]})")
    print(f"{peer}: {len(differs)} differences, {len(listed)} listed")
    return differs.keys() == listed.keys()


# ---------------------------------------------------------------- PyJWT


def at(secs: int) -> type:
    """A clock that stands still."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(secs, tz)

    return Clock


def pyjwt(case: dict) -> str:
    """What somebody who uses the library as its manual says would write; gives the subject."""
    config, token = case["config"], case["token"]
    jwt.api_jwt.datetime = at(case["now"])
    secret = config.get("hmac_secret")
    algorithms = config.get("algs", ASYMMETRIC + (["HS256", "HS384", "HS512"] if secret else []))
    header = jwt.get_unverified_header(token)
    if header["alg"].startswith("HS"):
        key: object = secret
    else:
        published = case.get("jwks") or json.loads((VECTORS / case["keys"]).read_text())
        keys = jwt.PyJWKSet.from_dict(published).keys
        kid = header.get("kid")
        key = next(key for key in keys if key.key_id == kid) if kid else keys[0]
        assert kid or len(keys) == 1, "no kid, and not one key"
    required = {"require": ["exp", "iat", "iss", "aud", "sub"]}
    claims = jwt.decode(token, key, algorithms=algorithms, audience=config["audience"], issuer=config["issuer"],
                        leeway=config.get("skew", 60), options=required)
    return claims["sub"]


def jwt_differences() -> dict[str, str]:
    found = {}
    for slug, case in cases("jwt").items():
        ours = case["expect"].get("ok", {}).get("sub")
        try:
            theirs, said = pyjwt(case), "accepted"
        except Exception as error:  # whatever it raises is a refusal
            theirs, said = None, f"{type(error).__name__}: {error}"
        if ours != theirs:
            found[slug] = f"ours {json.dumps(case['expect'])}, theirs {said}"
    return found


# ---------------------------------------------------------------- PyYAML, yaml.v3


def talosconfig(documents: list) -> list:
    """The documents, the first of which is talosctl's."""
    first = documents[0] if documents and documents[0] not in ("", "~") else {}
    first = {} if first is None else first
    if not isinstance(first, dict):
        raise ValueError("not a talosconfig")
    if first.get("contexts") in ("", "~", None):
        first["contexts"] = {}
    if not isinstance(first["contexts"], dict):
        raise ValueError("not a talosconfig")
    return [first, *documents[1:]]


def pyyaml(texts: list[str]) -> list:
    """Data or an error for each text; every scalar stays the text it is, as nobody types them here."""

    def read(text: str) -> object:
        try:
            return list(yaml.load_all(text, yaml.BaseLoader))
        except yaml.YAMLError as error:
            return error

    return [read(text) for text in texts]


def yaml_v3(texts: list[str]) -> list:
    """As talosctl reads: typed, and only the first document."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    program = VECTORS.parent / "cli" / "tests" / "interop" / "yaml"
    done = subprocess.run(["go", "run", "."], cwd=program, input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(texts), "an answer for each text"
    return [ValueError(answer["error"]) if "error" in answer else [answer["data"]] for answer in answers]


def wanted(before: list, op: dict) -> list:
    """The data after the edit, worked out on the data. Only the first document is talosctl's."""
    documents = json.loads(json.dumps(before))
    after = documents[0]
    contexts = after.get("contexts") or {}
    if "remove" in op:
        del contexts[op["remove"]]
        if after.get("context") == op["remove"]:
            after["context"] = ""
        return documents
    edit = op["set"]
    new = edit["name"] not in contexts
    own = contexts.get(edit["name"]) or {}
    for name in ("ca", "crt", "key"):
        own[name] = base64.b64encode((edit[name].rstrip("\n") + "\n").encode()).decode()
    if edit["endpoints"]:
        own["endpoints"] = edit["endpoints"]
    if edit.get("nodes") and (edit.get("nodes_named") or not own.get("nodes")):
        own["nodes"] = edit["nodes"]
    contexts[edit["name"]] = own
    after["contexts"] = contexts
    if edit["current"] == "yes" or edit["current"] == "on_create" and new:
        after["context"] = edit["name"]
    return documents


def plain(value: object) -> object:
    """Nothing, an empty list and an absent member are one and the same to talosctl."""
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if inner not in ("", None, [], {})}
    return value


def yaml_differences(reader, changed: bool = False) -> dict[str, str]:
    """The cases that differ; `changed` takes for the file afterwards the one before."""
    found, known = {}, cases("talosconfig")
    texts = [text for case in known.values() for text in (case["before"], case["before" if changed else "after"] if "after" in case else "")]
    answers = iter(reader(texts))
    for slug, case in known.items():
        before, after = next(answers), next(answers)
        try:
            if isinstance(before, Exception):
                raise ValueError(before)
            before = talosconfig(before)
        except ValueError as error:
            if "error" not in case:
                found[slug] = f"does not read before: {error}"
            continue
        if "error" in case:
            found[slug] = f"reads what we refuse with {case['error']}"
        elif case.get("absent"):
            if case["op"]["remove"] in before[0]["contexts"]:
                found[slug] = "finds the context"
        elif isinstance(after, Exception):
            found[slug] = f"does not read after: {after}"
        else:
            after, expected = talosconfig(after), wanted(before, case["op"])
            if plain(after) != plain(expected):
                found[slug] = f"reads {json.dumps(after)[:300]}, expected {json.dumps(expected)[:300]}"
    return found


def self_test(reader) -> bool:
    """An edit that does nothing must be found out, unless there was nothing to do."""
    edits = sum("after" in case for case in cases("talosconfig").values())
    found = len(yaml_differences(reader, changed=True).keys() - yaml_differences(reader).keys())
    print(f"{reader.__name__}: an edit that does nothing is noticed, for {found} of {edits} edits")
    return found > edits - 10


# ---------------------------------------------------------------- cryptography


def cryptography_csr(request: bytes) -> bool:
    """Whether it reads as a request that is signed with its own key."""
    try:
        read = x509.load_der_x509_csr if request[:1] == b"\x30" else x509.load_pem_x509_csr
        return read(request).is_signature_valid
    except Exception:  # whatever it raises is a refusal
        return False


def csr_differences() -> dict[str, str]:
    found = {}
    for slug, case in cases("csr").items():
        theirs = cryptography_csr(case["text"].encode() if "text" in case else bytes.fromhex(case["der"]))
        if theirs != ("ok" in case["expect"]):
            found[slug] = f"ours {json.dumps(case['expect'])[:100]}, theirs {'accepted' if theirs else 'refused'}"
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of weak keys, which some cases are about
    results = [compare("pyjwt", jwt_differences()), compare("cryptography", csr_differences())]
    for reader in (pyyaml, yaml_v3):
        results += [compare(reader.__name__, yaml_differences(reader)), self_test(reader)]
    sys.exit(0 if all(results) else 1)
