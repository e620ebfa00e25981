"""Which members a case may have: another one is a mistake, or of a later version of the format."""

CASE = {"comment", "source", "expect"}
RULE = {"claim", "claim_path", "value", "roles", "deny", "split"}
# By area, and below it by the name of the part.
KNOWN = {
    "jwt": CASE | {"now", "keys", "jwks", "config", "token"},
    "jwt config": {"issuer", "audience", "algs", "hmac_secret", "skew", "slash_tolerant", "max_token_age"},
    "jwt expect": {"ok", "error"},
    "rbac": CASE | {"policy", "claims"},
    "rbac policy": {"rules", "fallback", "allow_impersonator", "email_verified_string"},
    "rbac rule": RULE,
    "rbac expect": {"roles", "error", "config_error"},
    "cidr": CASE | {"list", "address"},
    "cert": CASE | {"ca_cert", "ca_text", "ca_key", "key_text", "now", "ttl_secs", "roles", "identity", "seed", "serial"},
    "cert expect": {"error", "serial", "not_before", "not_after", "der"},
}


def unknown(area: str, case: dict) -> set[str]:
    """Members that the format of the area does not have."""
    parts = [(area, case)]
    parts += [(f"{area} {name}", part) for name, part in case.items() if f"{area} {name}" in KNOWN]
    parts += [(f"{area} rule", rule) for rule in case.get("policy", {}).get("rules", [])]
    return {f"{where}: {name}" for where, members in parts for name in members.keys() - KNOWN[where]}
