"""Judges the `jwt`, `rbac`, `cidr` and `cert` cases with another implementation than this project's.

`python3 run.py` compares the verdicts of `judge/` with what the cases expect, code by code; names of
areas behind it choose some. Where they differ on purpose, `differs/run.json` says which and why; a difference that is not listed fails,
and so does a listed one that is gone. `python3 run.py --self-test` alters cases and wants the verdict to
change, then takes the judges' rules away one by one and wants some case to notice. Python 3.11 and
its package cryptography.
"""

import copy
import json
import pathlib
import sys

from judge import cert, cidr, jwt, rbac
from judge.members import KNOWN, unknown
from judge.refused import IGNORED, VECTORS, Refused

JUDGES = {"jwt": jwt.judge, "rbac": rbac.judge, "cidr": cidr.judge, "cert": cert.judge}


def verdict(area: str, case: dict) -> object:
    try:
        return JUDGES[area](case)
    except Refused as refused:
        return str(refused) if area == "cidr" else {"error": str(refused)}


def cases(area: str) -> dict[str, dict]:
    found = {}
    for path in sorted((VECTORS / area).glob("*.json")):
        try:
            case = found[path.stem] = json.loads(path.read_text())
        except ValueError as error:
            sys.exit(f"{area}/{path.name}: {error}")
        if area in KNOWN and (names := unknown(area, case)):
            sys.exit(f"{area}/{path.name}: unknown members: {', '.join(sorted(names))}")
    if not found:
        sys.exit(f"{area}: no cases")
    return found


def compare(areas: list[str]) -> bool:
    """Whether all verdicts are as expected, but for those that are listed with a reason."""
    listed = json.loads((VECTORS / "differs" / "run.json").read_text())
    listed = {name: why for name, why in listed.items() if name.split("/")[0] in areas}
    differs = {}
    for area in areas:
        for slug, case in cases(area).items():
            found = verdict(area, case)
            if found != case["expect"]:
                differs[f"{area}/{slug}"] = f"{json.dumps(found)[:200]}, the case expects {json.dumps(case['expect'])[:200]}"
        print(f"{area}: {len(cases(area))} cases judged")
    for name in sorted(differs.keys() - listed.keys()):
        print(f"{name}: this judge says {differs[name]}")
    for name in sorted(listed.keys() - differs.keys()):
        print(f"{name}: listed as different, and is not")
    for name in sorted(listed.keys() & differs.keys()):
        print(f"{name}: differs, because {listed[name]}")
    return differs.keys() == listed.keys()


def altered(area: str, case: dict) -> list[tuple[str, dict]]:
    """The case with one thing changed that must change the verdict."""

    def change(what: str, **members: object) -> tuple[str, dict]:
        return what, copy.deepcopy(case) | members

    if area == "jwt" and "ok" in case["expect"]:
        head, payload, signature = case["token"].split(".")
        other = "A" if signature[5] != "A" else "B"
        config = case["config"]
        return [
            change("signature", token=f"{head}.{payload}.{signature[:5]}{other}{signature[6:]}"),
            change("claims", token=f"{head}.{payload[:-8]}{payload[-4:]}.{signature}"),
            change("long ago", now=1_000_000_000),
            change("issuer", config=config | {"issuer": "https://another.example"}),
            change("audience", config=config | {"audience": "another"}),
            change("algorithms", config=config | {"algs": []}),
            change("no keys", jwks={"keys": []}, config={n: v for n, v in config.items() if n != "hmac_secret"}),
        ]
    if area == "rbac" and "roles" in case["expect"] and case["policy"]["rules"] and not case["policy"]["fallback"]:
        rules = [rule | {"value": rule["value"] + "x"} for rule in case["policy"]["rules"]]
        return [change("values", policy=case["policy"] | {"rules": rules}), change("claims", claims={})]
    if area == "cidr" and case["expect"] is True:
        return [change("address", address="192.0.2.77" if ":" in case["address"] else "2001:db8:ffff:ffff::77", list=["10.0.0.0/24"])]
    if area == "cert" and "der" in case["expect"]:
        return [change("seed", seed="11" * 32), change("serial", serial="22" * 16), change("roles", roles=["os:other"]),
                change("now", now=case["now"] - 1), change("no CA", ca_cert=["ca/not-a-ca.crt"], ca_text="")]
    return []


def notices(area: str, code: str) -> bool:
    """Whether a judge that never refuses with `code` disagrees with some case."""
    IGNORED.add(code)
    try:
        return any(verdict(area, case) != case["expect"] for case in cases(area).values())
    except Exception:  # the rule kept the judge from something it cannot read
        return True
    finally:
        IGNORED.clear()


def self_test() -> bool:
    count, unnoticed = 0, []
    for area in JUDGES:
        codes = set()
        for slug, case in cases(area).items():
            expect = case["expect"]
            said = expect.values() if isinstance(expect, dict) else [expect]
            codes |= {code for code in said if isinstance(code, str) and "." in code}
            if not unknown(area, case | {"of_a_later_version": True}):
                unnoticed.append(f"{area}/{slug}: any member would pass")
            for what, other in altered(area, case):
                count += 1
                if verdict(area, other) == expect:
                    unnoticed.append(f"{area}/{slug}: {what}")
        for code in sorted(codes):
            count += 1
            if not notices(area, code):
                unnoticed.append(f"{area}: nobody misses {code}")
    print(*unnoticed, f"{count} alterations, {len(unnoticed)} not noticed", sep="\n")
    return count > 500 and not unnoticed


if __name__ == "__main__":
    words = sys.argv[1:]
    if words != ["--self-test"] and (wrong := set(words) - set(JUDGES)):
        print(f"no such area: {', '.join(sorted(wrong))} (there are: {', '.join(JUDGES)}; or --self-test alone)", file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if (self_test() if words == ["--self-test"] else compare(words or list(JUDGES))) else 1)
