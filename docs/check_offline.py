"""Fails if a page would make the browser ask another server: python check_offline.py FOLDER."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# What a browser fetches by itself. Links of the text are followed by readers only.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src"}
FETCHED |= {"video": "src", "audio": "src", "object": "data", "image": "href", "use": "href"}
ELSEWHERE = re.compile(r"^(https?:)?//", re.IGNORECASE)
IN_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
# Ways of a script to ask for something, with an address written into it.
IN_SCRIPT = re.compile(r"(?:fetch|import|importScripts|open)\(\s*['\"]((?:https?:)?//[^'\"]+)")


class Page(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        """Keeps what is loaded for this tag, if it is elsewhere."""
        values = {name: value or "" for name, value in attrs}
        address = values.get(FETCHED.get(tag, ""), "")
        if tag == "link" and not {"canonical", "author", "license"} & {values.get("rel", "")}:
            address = values.get("href", "")
        self.loaded += [address] if ELSEWHERE.match(address) else []
        self.loaded += IN_CSS.findall(values.get("style", ""))


def requests_of(path: Path) -> list:
    """Returns the addresses on other servers that a file of the pages loads."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        page = Page()
        page.feed(text)
        return page.loaded + IN_SCRIPT.findall(text) + IN_CSS.findall(text)
    return (IN_CSS if path.suffix == ".css" else IN_SCRIPT).findall(text)


def main(folder: str) -> int:
    """Prints what the pages of a folder load from elsewhere; the exit status is 1 if anything."""
    files = [path for path in Path(folder).rglob("*") if path.suffix in (".html", ".css", ".js")]
    if not any(path.suffix == ".html" for path in files):
        print(f"{folder}: no pages")
        return 1
    asked = [f"{path}: {address}" for path in files for address in requests_of(path)]
    print("\n".join(asked) or f"{len(files)} files ask for nothing elsewhere")
    return bool(asked)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
