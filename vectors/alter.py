"""Alters cases at random and judges them: `python3 alter.py AREA SEED COUNT`, one case a line.

`expect` is what `judge/` says, so whoever reads the lines compares two implementations on input that
nobody has thought of. Tokens are signed again with the test keys, so that alterations get as far as
the check they are about.
"""

import copy
import functools
import json
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "gen"))

from judge.jwt import decode
from judge.refused import VECTORS, Refused
from keys import Key, b64, mac
from run import cases, verdict

SIGNERS = {"ES256": "es256", "ES384": "es384", "EdDSA": "ed25519", "Ed25519": "ed25519"}
ODD = [None, True, False, 0, -1, 1, 1.5, 1e9, 1.8e9, 1e300, 2**63, -(2**63), 2**64, "", " ", "alice", "1800000000", "\u0000", "\u202e",
       "https://idp.example.com/realms/talos", "https://idp.example.com/realms/talos/", "talosctl", "os:admin", [], ["talosctl"],
       ["talosctl", "talosctl"], ["talosctl", 1], [[]], {}, {"": ""}, "none", "RS256", "HS256", "application/jwt", "x" * 300]
NAMES = ["iss", "aud", "azp", "sub", "exp", "iat", "nbf", "nonce", "jti", "auth_time", "typ", "scp", "events", "token_use", "alg", "kid", "cty",
         "crit", "b64", "zip", "jwk", "email", "groups", "EXP", "Alg"]


def altered_json(text: str, dice: random.Random) -> str:
    """The text of an object with something changed, sometimes no object afterwards."""
    members = json.loads(text)
    kind = dice.randrange(8)
    name = dice.choice([*members, *NAMES])
    if kind < 3:
        members[name] = dice.choice(ODD)
    elif kind == 3:
        members.pop(name, None)
    elif kind == 4 and name in members:
        return text[:-1] + f",{json.dumps(name)}:{json.dumps(dice.choice([members[name], *ODD]))}}}"
    elif kind == 5:
        members[name] = 1_800_000_000 + dice.choice([-361, -360, -61, -60, -59, -1, 0, 1, 59, 60, 61, 300]) + dice.choice([0, 0, 0.5, -0.25])
    elif kind == 6:
        at = dice.randrange(len(text))
        return text[:at] + dice.choice([" ", "\n", "\\", '"', "{", "[", "]", "}", ",", ":", "0", "e", "\u00e9", "\x01"]) + text[at + dice.randrange(2) :]
    else:
        members = {name: members for name in [dice.choice(NAMES)]} if dice.random() < 0.1 else dict(dice.sample(list(members.items()), len(members)))
    return json.dumps(members, ensure_ascii=dice.random() < 0.5)


def altered_text(text: str, dice: random.Random) -> str:
    at = dice.randrange(len(text) + 1)
    new = dice.choice(["", "A", "-", "_", "=", ".", "+", "/", " ", "\n", "\u00e9", text[at : at + 4]])
    return text[:at] + new + text[at + dice.randrange(3) :]


@functools.cache
def key_of(name: str) -> Key:
    """The test key of that name, read once."""
    key = Key(name)
    handle = key.handle()
    key.handle = lambda: handle
    return key


def seal(head: str, body: str, key: str, alg: str) -> str:
    signing = f"{b64(head.encode())}.{b64(body.encode())}"
    made = mac(alg, key.encode(), signing.encode()) if alg[:2] == "HS" else key_of(key).sign(alg, signing.encode())
    return f"{signing}.{b64(made)}"


def jwt(case: dict, dice: random.Random) -> None:
    kind, parts, config = dice.randrange(10), case["token"].split("."), case["config"]
    if kind < 6 and len(parts) == 3:
        try:
            head, body = (decode(part).decode() for part in parts[:2])
            alg = json.loads(head)["alg"]
            if dice.random() < 0.25:
                head = altered_json(head, dice)
            else:
                body = altered_json(body, dice)
            rsa = ("rsa-3072" if "rsa-2" in head else "rsa") if alg[:2] in ("RS", "PS") else None
            case["token"] = seal(head, body, SIGNERS.get(alg) or rsa or config["hmac_secret"], alg.replace("Ed25519", "EdDSA"))
        except (Refused, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            case["token"] = altered_text(case["token"], dice)
    elif kind == 6:
        case["token"] = altered_text(case["token"], dice)
    elif kind == 7:
        case["now"] = 1_800_000_000 + dice.choice([-91, -90, -31, -30, 299, 300, 359, 360, 361, 10**9])
    elif kind == 8:
        config |= dice.choice([{"skew": dice.randrange(300)}, {"algs": dice.sample(["RS256", "PS256", "ES256", "ES384", "EdDSA"], 2)},
                               {"audience": "another"}, {"issuer": config["issuer"] + "/"}, {"slash_tolerant": True},
                               {"max_token_age": dice.randrange(120)}])
        if "hmac_secret" in config:
            config.pop("algs", None)
    elif "keys" in case:
        keys = json.loads((VECTORS / case.pop("keys")).read_text())["keys"]
        for _ in range(dice.randrange(1, 4)):
            key = dice.choice(keys)
            what = dice.choice(["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops", "d"])
            move = dice.randrange(4)
            if move == 0:
                key.pop(what, None)
            elif move == 1 and isinstance(key.get(what), str):
                key[what] = altered_text(key[what], dice)
            elif move == 2:
                key[what] = dice.choice(["sig", "enc", "RSA", "EC", "OKP", "P-256", "es256-1", "ES256", "EdDSA", ["verify"], ["sign"], "AQAB", 7, None])
            else:
                keys.append(copy.deepcopy(key))
        case["jwks"] = {"keys": keys}


def rbac(case: dict, dice: random.Random) -> None:
    values = ["platform-admins", "staff", "a b", "ana@example.org", "a@b@c", " staff ", "Staff", "true", "x" * 1025]
    rule = lambda: {
        "claim": dice.choice(["groups", "roles", "department", "email", "/realm_access/roles", "/groups/0", "scope", "iss", "/a~2", "realm_access.roles"]),
        "value": dice.choice(values), "roles": dice.sample(["os:admin", "os:reader", "os:etcd:backup", "team:x", "os:impersonator", "bad role"], dice.choice([1, 1, 2])),
    } | dice.choice([{}, {}, {"split": True}, {"split": False}, {"deny": True, "roles": []}])
    words = [*values[:7], ["staff"], ["a b", 1, None], "staff platform-admins", "x\u3000staff", {"staff": True}, 7, None, True, [], [["staff"]]]
    policy = case["policy"] = copy.deepcopy(case["policy"])
    policy["rules"] = [*policy["rules"], *(rule() for _ in range(dice.randrange(3)))]
    dice.shuffle(policy["rules"])
    if dice.random() < 0.3:
        policy["fallback"] = dice.choice([None, ["os:reader"], ["os:admin", "os:reader", "os:admin"], ["os:impersonator"]])
    if dice.random() < 0.2:
        policy |= {"allow_impersonator": dice.random() < 0.5, "email_verified_string": dice.random() < 0.5}
    claims = case["claims"] = copy.deepcopy(case.get("claims") or {})
    for _ in range(dice.randrange(4)):
        claims[dice.choice(["groups", "roles", "department", "email", "scope", "realm_access.roles"])] = dice.choice(words)
    claims |= dice.choice([{}, {}, {"realm_access": {"roles": dice.choice(words)}}, {"email_verified": dice.choice([True, "true", False, 1])},
                           {"_claim_names": dice.choice([{"groups": "s"}, None, [], {}])}, {"hasgroups": dice.choice([True, False, None, "no"])}])


def cidr(case: dict, dice: random.Random) -> None:
    four = lambda: ".".join(str(dice.choice([0, 1, 9, 10, 127, 128, 192, 255])) for _ in range(4))
    six = lambda: dice.choice(["2001:db8::", "fe80::1", "::ffff:" + four(), "::", "::1", "ffff::", "2001:db8:0:1::"])
    either = lambda: dice.choice([four, six])()
    entries = [either() + dice.choice(["", f"/{dice.randrange(34)}", f"/{dice.randrange(130)}", f"/{dice.choice(['', '08', '+8', '96', '104'])}"]) for _ in range(dice.randrange(4))]
    case["list"] = dice.sample([*case["list"], *entries], dice.randrange(1, len(case["list"]) + len(entries) + 1)) if case["list"] or entries else []
    case["address"] = dice.choice([case["address"], either(), either(), altered_text(either(), dice)])


def main(area: str, seed: str, count: str) -> None:
    dice = random.Random(f"{area} {seed}")
    known = [(slug, case) for slug, case in cases(area).items()
             if area != "jwt" or "ok" in case["expect"] or dice.random() < 0.2]
    alter = {"jwt": jwt, "rbac": rbac, "cidr": cidr}[area]
    for number in range(int(count)):
        slug, case = dice.choice(known)
        case = copy.deepcopy(case)
        alter(case, dice)
        case["comment"] = f"{slug}, alteration {number} of seed {seed}"
        case["expect"] = verdict(area, case)
        print(json.dumps(case))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("jwt", "rbac", "cidr"):
        sys.exit("usage: alter.py jwt|rbac|cidr SEED COUNT")
    main(*sys.argv[1:])
