"""A server on 127.0.0.1 that answers as the Hugging Face hub and as a release page do.

It knows as much of both as downloads need: `HEAD` and `GET` of `/owner/name/resolve/revision/file`
with the headers `huggingface_hub` reads, and release files behind a redirect to a storage address.
"""

import collections
import hashlib
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keras_se.weights import hub

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_STORAGE = "/storage"


class HubServer:
    """Serves what its dictionaries hold, in threads, from `__enter__` to `__exit__`.

    Attributes:
        repositories: Files by repository and file name: `{"owner/name": {"file": bytes}}`.
        releases: Files by path: `{"/releases/file-01234567.pth": bytes}`.
        tokens: The token that opens a repository, for the repositories that need one.
        statuses: HTTP statuses to fail with, by path.
        requests: How often each `(method, path)` was asked for.
        announced: The sha256 to say that a file of a repository has, by file name, if another.
        first: Called with the path before anything is answered.
        halfway: Called with the path when half of a body is sent. Waits make a slow download, a
            `ConnectionError` cuts the connection.
    """

    def __init__(self):
        self.repositories, self.releases, self.tokens, self.statuses = {}, {}, {}, {}
        self.requests = collections.Counter()
        self.counting = threading.Lock()
        self.announced = {}
        self.first = self.halfway = lambda path: None
        self._server = _QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, text):
        """How many requests so far had `text` in their path."""
        return sum(count for (_, path), count in self.requests.items() if text in path)

    def commit(self, repository):
        """The 40 digits the hub would call the newest commit of a repository."""
        files = sorted(self.repositories[repository].items())
        return hashlib.sha1(repr(files).encode(), usedforsecurity=False).hexdigest()


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Says nothing: clients that go away are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    hub = None

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body_wanted=False)

    def do_GET(self):
        self._answer(body_wanted=True)

    def _answer(self, body_wanted):
        path = urllib.parse.urlsplit(self.path).path
        with self.hub.counting:
            self.hub.requests[self.command, path] += 1
        self.hub.first(path)
        resolve = _RESOLVE.fullmatch(path)
        if path in self.hub.statuses:
            self._fail(self.hub.statuses[path])
        elif resolve:
            self._answer_for_repository(body_wanted, **resolve.groupdict())
        elif path in self.hub.releases:
            self._send(302, {"Location": f"{self.hub.url}{_STORAGE}{path}?signature=a%2Fb-1"})
        elif path.startswith(_STORAGE) and path[len(_STORAGE) :] in self.hub.releases:
            self._send(200, {}, self.hub.releases[path[len(_STORAGE) :]], body_wanted)
        else:
            self._fail(404)

    def _answer_for_repository(self, body_wanted, repository, revision, file):
        files = self.hub.repositories.get(repository)
        token = self.hub.tokens.get(repository)
        if files is None:
            # The real hub does not tell strangers a missing repository from a private one.
            self._fail(401, "RepoNotFound")
        elif token and self.headers.get("Authorization") != f"Bearer {token}":
            self._fail(401, "GatedRepo")
        elif revision not in ("main", self.hub.commit(repository)):
            self._fail(404, "RevisionNotFound")
        elif file not in files:
            self._fail(404, "EntryNotFound", {"X-Repo-Commit": self.hub.commit(repository)})
        else:
            etag = self.hub.announced.get(file) or hashlib.sha256(files[file]).hexdigest()
            headers = {"X-Repo-Commit": self.hub.commit(repository), "ETag": f'"{etag}"'}
            self._send(200, headers, files[file], body_wanted)

    def _fail(self, status, code=None, headers=()):
        self._send(status, {**dict(headers), **({"X-Error-Code": code} if code else {})})

    def _send(self, status, headers, body=b"", body_wanted=False):
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin and status == 200:
            status, start = 206, int(begin[1])
            headers = {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body = body[start:]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body_wanted:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.hub.halfway(urllib.parse.urlsplit(self.path).path)
            self.wfile.write(body[len(body) // 2 :])


# Loads the module by its path, as a process without the package starts in half the time. The answer
# gets the standard output for itself: progress bars would share its line.
PROCESS = """
import importlib.util, sys
answers, sys.stdout = sys.stdout, sys.stderr
spec = importlib.util.spec_from_file_location("hub", sys.argv[1])
sys.modules["hub"] = hub = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hub)
print(hub.fetch(sys.argv[2]), file=answers)
"""


def fetch_in_another_process(source, environment):
    """Starts a process that fetches a file and prints its path."""
    command = [sys.executable, "-c", PROCESS, hub.__file__, source]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
