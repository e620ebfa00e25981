"""Writes the cases of one area: one file each, the same bytes every time."""

import json
import pathlib
import re
import sys

VECTORS = pathlib.Path(__file__).resolve().parent.parent


class Area:
    """Collects cases, then writes or (`--check`) compares the folder `../<name>`."""

    def __init__(self, name: str) -> None:
        if sys.argv[1:] not in ([], ["--check"]):
            raise SystemExit(f"usage: {name}.py [--check]")
        self.name = name
        self.cases: dict[str, str] = {}

    def add(self, slug: str, members: dict) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
            raise SystemExit(f"{self.name}: {slug!r} is no slug")
        if slug in self.cases:
            raise SystemExit(f"{self.name}: {slug} twice")
        self.cases[slug] = json.dumps(members, indent=1, ensure_ascii=True) + "\n"

    def finish(self) -> None:
        folder = VECTORS / self.name
        folder.mkdir(exist_ok=True)
        present = {path.stem: path.read_text() for path in folder.glob("*.json")}
        if "--check" in sys.argv[1:]:
            wrong = [slug for slug in present.keys() | self.cases.keys() if present.get(slug) != self.cases.get(slug)]
            if wrong:
                raise SystemExit(f"{self.name}: not what the generator makes: {', '.join(sorted(wrong))}")
        else:
            for slug in present.keys() - self.cases.keys():
                (folder / f"{slug}.json").unlink()
            for slug, text in self.cases.items():
                (folder / f"{slug}.json").write_text(text)
        print(f"{self.name}: {len(self.cases)} cases")
