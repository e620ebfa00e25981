"""Networks and addresses."""

import ipaddress
import re

from .refused import Refused, want


def address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        raise Refused("cidr.address") from None
    want(getattr(parsed, "scope_id", None) is None, "cidr.address")
    return parsed


def network(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    base, slash, prefix = value.partition("/")
    parsed = address(base)
    want(not slash or re.fullmatch("0|[1-9][0-9]*", prefix), "cidr.prefix")
    length = int(prefix) if slash else parsed.max_prefixlen
    want(length <= parsed.max_prefixlen, "cidr.prefix_too_long")
    if mapped := getattr(parsed, "ipv4_mapped", None):
        want(length >= 96, "cidr.mapped_prefix")
        parsed, length = mapped, length - 96
    return ipaddress.ip_network((parsed, length), strict=False)


def judge(case: dict) -> bool:
    networks = [network(entry.strip()) for entry in case["list"] if entry.strip()]
    want(networks, "cidr.empty_list")
    client = address(case["address"])
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in one for one in networks)
