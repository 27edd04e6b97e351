"""Files of goldens: JSON, compressed so that the same goldens are the same bytes."""

import gzip
import json


def read_goldens(path):
    """The goldens by name; none if there is no file yet."""
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}


def write_goldens(path, goldens, names):
    """Writes the goldens that have one of these names, in the order of the names."""
    goldens = {name: goldens[name] for name in names if name in goldens}
    text = json.dumps(goldens, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
