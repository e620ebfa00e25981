"""Claims to roles."""

import re

from .refused import Refused, want


def control(value: str) -> bool:
    return any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value)


def path(rule: dict) -> list[str]:
    if "claim" not in rule:
        names = rule["claim_path"]
    elif rule["claim"].startswith("/"):
        want(not re.search("~(?![01])", rule["claim"]), "rbac.bad_pointer")
        names = [name.replace("~1", "/").replace("~0", "~") for name in rule["claim"][1:].split("/")]
    else:
        names = [rule["claim"]]
    want(names and all(names), "rbac.empty_claim")
    want(len(names) <= 8 and all(len(name.encode()) <= 256 for name in names), "rbac.claim_too_long")
    want(not any(map(control, names)), "rbac.claim_character")
    want(names[0] not in ("iss", "aud", "exp", "nbf", "iat"), "rbac.reserved_claim")
    return names


def compiled(policy: dict) -> list[tuple]:
    """The rules, checked; every role with its place."""
    rules, roles = [], []
    for rule in policy["rules"]:
        names, value, granted, deny = path(rule), rule["value"], list(dict.fromkeys(rule.get("roles", []))), rule.get("deny", False)
        want(value.strip(), "rbac.empty_value")
        want(len(value.encode()) <= 1024, "rbac.value_too_long")
        want(not control(value), "rbac.value_character")
        want(not (rule.get("split") and names == ["email"]), "rbac.split_email")
        want(all(re.fullmatch("[!-+\\--~]{1,64}", role) for role in granted), "rbac.bad_role")
        want(granted or deny, "rbac.empty_roles")
        want(not (granted and deny), "rbac.deny_with_roles")
        split = rule.get("split")
        rules.append((names, value, granted, deny, names[-1] in ("groups", "roles", "scope") if split is None else split))
        roles.append(granted)
    known: set[str] = set()
    for granted in [*roles, policy["fallback"] or []]:
        want("os:impersonator" not in granted or policy.get("allow_impersonator"), "rbac.impersonator")
        known |= set(granted)
        want(len(known) <= 64, "rbac.too_many_roles")
    return rules


def holds(found: object, value: str, split: bool) -> bool:
    if isinstance(found, str):
        words = found.split() if split else []
        return found == value or len(words) > 1 and value in words
    return isinstance(found, list) and value in [item for item in found if isinstance(item, str)]


def judge(case: dict) -> dict:
    policy, claims = case["policy"], case.get("claims")
    try:
        rules = compiled(policy)
    except Refused as refused:
        return {"config_error": str(refused)}
    verified = claims.get("email_verified") is True or policy.get("email_verified_string") and claims.get("email_verified") == "true"
    roles, denied, unknown = [], False, False
    for names, value, granted, deny, split in rules:
        elsewhere = claims.get("_claim_names")
        left_out = elsewhere is not None and (not isinstance(elsewhere, dict) or names[0] in elsewhere)
        if left_out or names[0] == "groups" and claims.get("hasgroups") not in (None, False):
            unknown = True
            continue
        found: object = claims
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        matches = holds(found, value, split)
        if matches and deny:
            denied = True
        elif matches and (names != ["email"] or verified and found == value and value.count("@") < 2):
            roles += granted
    want(not denied, "rbac.denied")
    want(not unknown, "rbac.membership_unknown")
    roles = list(dict.fromkeys(roles or policy["fallback"] or []))
    want(roles, "rbac.no_role")
    return {"roles": roles}
