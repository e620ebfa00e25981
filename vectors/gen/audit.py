"""Makes the `audit` cases: `python3 audit.py`, or `python3 audit.py --check` to compare.

Chain, Merkle tree (RFC 6962 section 2.1) and signed checkpoints (C2SP tlog-checkpoint, signed-note)
are computed here from their texts, not by the program.
"""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cases import Area

area = Area("audit")
NAME = "talosctl-oidc audit".replace(" ", "-")


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash, by the definition: halves at the largest power of two below the size."""
    if len(leaves) < 2:
        return sha(b"\0", leaves[0]) if leaves else sha()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", root(leaves[:k]), root(leaves[k:]))


class Signer:
    def __init__(self, seed: int, name: str = NAME) -> None:
        self.name, self.key = name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = b"\1" + self.key.public_key().public_bytes_raw()
        self.id = sha(name.encode(), b"\n", self.public)[:4]

    def verifier(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.public).decode()}"

    def line(self, body: str) -> str:
        signed = base64.b64encode(self.id + self.key.sign(body.encode())).decode()
        return f"\u2014 {self.name} {signed}\n"

    def note(self, size: int, top: bytes) -> str:
        body = f"{self.name}\n{size}\n{base64.b64encode(top).decode()}\n"
        return f"{body}\n{self.line(body)}"


OURS, OTHER, STRANGER = Signer(7), Signer(8), Signer(9)


def event(n: int) -> dict:
    return {"timestamp": f"2027-01-15T08:00:{n:02}Z", "type": "cert_issued", "subject": "ana", "request": n}


class Log:
    """Lines as the server writes them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def add(self, members: dict) -> None:
        previous = sha(self.lines[-1]) if self.lines else bytes(32)
        members = members | {"seq": len(self.lines) + 1, "prev": previous.hex()}
        self.lines.append(json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode())

    def checkpoint(self, signer: Signer = OURS, size: int | None = None, top: bytes | None = None, note: str | None = None) -> None:
        if note is None:
            note = signer.note(len(self.lines) if size is None else size, root(self.lines) if top is None else top)
        self.add({"timestamp": "2027-01-15T08:01:00Z", "type": "checkpoint", "checkpoint": note})


def log(events: int = 12, every: int = 5, signer: Signer = OURS) -> list[bytes]:
    made = Log()
    for n in range(1, events + 1):
        made.add(event(n))
        if n % every == 0:
            made.checkpoint(signer)
    return made.lines


def text(lines: list[bytes]) -> str:
    return b"".join(line + b"\n" for line in lines).decode()


def case(slug: str, comment: str, source: str, files: list, expect: dict, keys: tuple = (OURS,)) -> None:
    files = [file if isinstance(file, str) else text(file) for file in files]
    area.add(slug, {"comment": comment, "source": source, "keys": [key.verifier() for key in keys],
                    "files": files, "expect": expect})


def good(slug: str, comment: str, source: str, files: list, first: int | None = 1, last: int | None = 14, checkpoints: int = 2,
         proven: int = 2, to: int = 11, lines: int = 14, unchained: int = 0, **more: object) -> None:
    facts = {"lines": lines, "first": first, "last": last, "unchained": unchained, "checkpoints": checkpoints,
             "checkpoints_proven": proven, "proven_to": to}
    case(slug, comment, source, files, {"ok": facts}, **more)


def bad(slug: str, comment: str, source: str, files: list, line: int, code: str, **more: object) -> None:
    case(slug, comment, source, files, {"line": line, "error": f"audit.{code}"}, **more)


WHOLE = log()
CHAIN, TREE, NOTE = "hash chain", "RFC 6962 section 2.1", "C2SP signed-note"

# ================================================================ what fits

good("whole", "twelve events, a checkpoint after every fifth", CHAIN, [WHOLE])
good("empty", "no line yet", CHAIN, [""], first=None, last=None, checkpoints=0, proven=0, to=0, lines=0)
good("one-line", "one event", CHAIN, [WHOLE[:1]], last=1, checkpoints=0, proven=0, to=0, lines=1)
good("no-line-end", "the last line has no line end yet", CHAIN, [text(WHOLE)[:-1]])
good("rotated", "two files in their order", CHAIN, [WHOLE[:8], WHOLE[8:]])
good("rotated-three", "three files, one of them empty", CHAIN, [WHOLE[:6], "", WHOLE[6:]])
good("newer-file-alone", "without the older file checkpoints are counted and not compared", CHAIN, [WHOLE[8:]], first=9, checkpoints=1,
     proven=0, to=0, lines=6)
good("first-line-removed", "looks like a log whose older lines are elsewhere, and says so", CHAIN, [WHOLE[1:]], first=2, proven=0, to=0, lines=13)
good("cut-at-a-line", "a tail that is gone shows only against a checkpoint kept elsewhere", CHAIN, [WHOLE[:10]], last=10, checkpoints=1,
     proven=1, to=5, lines=10)
good("no-key", "without a key signatures are not checked", NOTE, [WHOLE], proven=0, to=0, keys=())
good("no-key-stranger", "so that of a stranger passes", NOTE, [log(signer=STRANGER)], proven=0, to=0, keys=())
changed = Log()
for n in range(1, 5):
    changed.add(event(n))
    changed.checkpoint(OURS if n < 3 else OTHER)
good("key-changed", "each checkpoint by one of two keys", NOTE, [changed.lines], last=8, checkpoints=4, proven=4, to=7, lines=8, keys=(OURS, OTHER))
both = Log()
both.add(event(1))
body = f"{NAME}\n1\n{base64.b64encode(root(both.lines)).decode()}\n"
both.checkpoint(note=f"{body}\n{STRANGER.line(body)}{OURS.line(body)}")
good("two-signatures", "a witness has signed as well", NOTE, [both.lines], last=2, checkpoints=1, proven=1, to=1, lines=2)
OLD = [json.dumps(event(n), separators=(",", ":")).encode() for n in (1, 2)]
good("older-than-the-chain", "lines of a time before the chain prove nothing and break nothing", "compat section 9", [OLD + WHOLE],
     lines=16, unchained=2)
good("never-chained", "a log of another program", "compat section 9", [OLD], first=None, last=None, checkpoints=0, proven=0, to=0, lines=2,
     unchained=2)
unknown = Log()
unknown.add(event(1) | {"of_a_later_version": {"x": [1]}, "subject": "zo\u00eb \u2028 \u202e"})
good("unknown-members", "members of a later version, and text beyond ASCII", CHAIN, [unknown.lines], last=1, checkpoints=0, proven=0, to=0, lines=1)

# ================================================================ changed, removed, moved, inserted, cut


def with_line(n: int, change) -> list[bytes]:
    """The whole log with line `n` (from 1) changed."""
    return WHOLE[: n - 1] + [change(WHOLE[n - 1])] + WHOLE[n:]


bad("changed", "another subject", CHAIN, [with_line(3, lambda line: line.replace(b"ana", b"eve"))], 3, "changed")
bad("changed-first", "another subject in the first line", CHAIN, [with_line(1, lambda line: line.replace(b"ana", b"eve"))], 1, "changed")
bad("changed-blank", "a blank that JSON does not mind", CHAIN, [with_line(4, lambda line: line.replace(b",", b", ", 1))], 4, "changed")
bad("changed-checkpoint", "a checkpoint line with another time", CHAIN, [with_line(6, lambda line: line.replace(b":01:00", b":02:00"))], 6, "changed")
bad("changed-before-checkpoint", "the line before a checkpoint", CHAIN, [with_line(5, lambda line: line.replace(b"ana", b"eve"))], 5, "changed")
bad("changed-across-files", "the last line of the older file", CHAIN, [with_line(8, lambda line: line.replace(b"ana", b"eve"))[:8], WHOLE[8:]], 8, "changed")
good("changed-last", "the last line has nobody behind it yet: only the next line or checkpoint shows it", CHAIN,
     [with_line(14, lambda line: line.replace(b"ana", b"eve"))])
bad("removed", "a line is missing", CHAIN, [WHOLE[:3] + WHOLE[4:]], 4, "out_of_order")
bad("removed-file", "a file in the middle is missing", CHAIN, [WHOLE[:4], WHOLE[9:]], 5, "out_of_order")
bad("moved", "two lines have changed places", CHAIN, [WHOLE[:1] + [WHOLE[2], WHOLE[1]] + WHOLE[3:]], 2, "out_of_order")
bad("repeated", "a line stands twice", CHAIN, [WHOLE[:3] + WHOLE[2:]], 4, "out_of_order")
bad("rotated-wrong-order", "the newer file first", CHAIN, [WHOLE[8:], WHOLE[:8]], 7, "out_of_order")
bad("inserted", "a line that never was in the chain", CHAIN, [WHOLE[:4] + OLD[:1] + WHOLE[4:]], 5, "unchained_line")
fork = Log()
fork.lines = WHOLE[:4]
fork.add(event(99))
bad("inserted-with-hash", "a line with the right number and hash, and the rest behind it", CHAIN, [fork.lines + WHOLE[4:]], 6, "out_of_order")
bad("replaced-with-hash", "a line in the place of another, with the right number and hash", CHAIN, [fork.lines + WHOLE[5:]], 5, "changed")
bad("appended-unchained", "somebody writes a line behind the log", CHAIN, [WHOLE + OLD[:1]], 15, "unchained_line")
bad("cut-in-a-line", "the last line is torn", CHAIN, [text(WHOLE)[:-30]], 14, "unreadable_line")
bad("blank-line", "an empty line", CHAIN, [WHOLE[:4] + [b""] + WHOLE[4:]], 5, "unreadable_line")
bad("carriage-returns", "a tool that has changed the line ends", CHAIN, [text(WHOLE).replace("\n", "\r\n")], 1, "changed")
bad("member-twice", "a number twice: readers would disagree", CHAIN, [with_line(4, lambda line: line[:-1] + b',"seq":4}')], 4, "unreadable_line")
bad("not-an-object", "JSON that is no object", CHAIN, [with_line(4, lambda line: b"[" + line + b"]")], 4, "unreadable_line")
bad("number-as-text", "the number is text", CHAIN, [with_line(4, lambda line: line.replace(b'"seq":4', b'"seq":"4"'))], 4, "unchained_line")
bad("number-negative", "the number is negative", CHAIN, [with_line(4, lambda line: line.replace(b'"seq":4', b'"seq":-4'))], 4, "unchained_line")
bad("number-alone", "a number without a hash", CHAIN, [with_line(4, lambda line: line[: line.index(b',"prev"')] + b"}")], 4, "unchained_line")
bad("hash-short", "a hash of 63 digits", CHAIN, [with_line(4, lambda line: line[:-3] + b'"}')], 4, "unchained_line")
bad("old-lines-then-gap", "old lines, and then a chain that does not begin", CHAIN, [OLD + WHOLE[4:]], 3, "out_of_order")

# ================================================================ checkpoints

rewritten = Log()
for n in range(1, 6):
    rewritten.add(event(n) | ({"subject": "eve"} if n == 2 else {}))
kept = json.loads(WHOLE[5])["checkpoint"]
rewritten.checkpoint(note=kept)
bad("rewritten", "all hashes are made anew; the signed checkpoint remembers", TREE, [rewritten.lines], 6, "wrong_root")
bad("rewritten-no-key", "and the root is compared without a key as well", TREE, [rewritten.lines], 6, "wrong_root", keys=())


def one(**how: object) -> list[bytes]:
    """Three events and a checkpoint."""
    made = Log()
    for n in (1, 2, 3):
        made.add(event(n))
    made.checkpoint(**how)
    return made.lines


bad("checkpoint-by-a-stranger", "signed with another key under our name", NOTE, [one(signer=STRANGER)], 4, "bad_signature")
bad("checkpoint-other-name", "our key under another name", NOTE, [one(signer=Signer(7, "another"))], 4, "bad_signature")
bad("checkpoint-size", "a size that is not that of the log", TREE, [one(size=2)], 4, "wrong_root")
bad("checkpoint-root", "a root that is not that of the log", TREE, [one(top=sha(b"x"))], 4, "wrong_root")
bad("checkpoint-of-other-log", "a good checkpoint of a longer log", TREE, [one(note=kept)], 4, "wrong_root")
right = json.loads(one()[3])["checkpoint"]
bad("checkpoint-size-changed", "the size was changed after signing", NOTE, [one(note=right.replace("\n3\n", "\n4\n", 1))], 4, "bad_signature")
bad("checkpoint-no-signature", "no signature line", NOTE, [one(note=right.split("\n\n")[0] + "\n\n")], 4, "bad_signature")
bad("checkpoint-no-blank-line", "body and signature are not apart", NOTE, [one(note=right.replace("\n\n", "\n"))], 4, "unreadable_line")
bad("checkpoint-hyphen", "a hyphen where the dash of a signature line belongs", NOTE, [one(note=right.replace("\u2014", "-"))], 4, "bad_signature")
flipped = base64.b64decode(right.rsplit(" ", 1)[1])
flipped = base64.b64encode(flipped[:-1] + bytes([flipped[-1] ^ 1])).decode()
bad("checkpoint-signature-changed", "one bit of the signature", NOTE, [one(note=f"{right.rsplit(' ', 1)[0]} {flipped}\n")], 4, "bad_signature")

area.finish()
