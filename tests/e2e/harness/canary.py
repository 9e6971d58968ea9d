"""Every secret value of a scenario, and the search for them where they must not be."""
import base64
import json
import os
import threading
import urllib.parse

LEAST_LENGTH = 8  # shorter values occur by chance


def forms(value):
    """The value as it could appear in an output: raw, base64 at each alignment, URL- and JSON-escaped."""
    raw = value.encode()
    found = {raw, urllib.parse.quote(value, safe="").encode(), urllib.parse.quote_plus(value).encode(),
             json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode()}
    for shift in range(3):
        # Only the characters that depend on this value alone.
        text = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        begin = 0 if shift == 0 else shift + 1
        inner = text[begin: -1]
        found |= {inner.encode(), inner.replace("+", "-").replace("/", "_").encode()}
    return {form for form in found if len(form) >= LEAST_LENGTH}


class Canaries:
    def __init__(self):
        self._lock = threading.Lock()
        self._values = {}

    def add(self, value, name):
        if isinstance(value, str) and len(value) >= LEAST_LENGTH:
            with self._lock:
                self._values.setdefault(value, name)

    def add_reply(self, path, reply):
        """Registers what is secret in a server's reply."""
        if not isinstance(reply, dict):
            return
        auth = reply.get("auth") or {}
        self.add(auth.get("client_token"), f"token of {path}")
        wrap = reply.get("wrap_info") or {}
        self.add(wrap.get("token"), f"wrapping token of {path}")
        data = reply.get("data") or {}
        if isinstance(data, dict):
            for key in ("password", "secret_id", "private_key", "id"):
                if key != "id" or "lookup" in path:
                    self.add(data.get(key), f"{key} of {path}")

    def hits(self, content):
        """Names of the values that content (bytes) shows in some form."""
        with self._lock:
            values = list(self._values.items())
        return sorted({name for value, name in values for form in forms(value) if form in content})

    def hits_in_tree(self, directory, is_intended):
        found = []
        for parent, directories, files in os.walk(directory):
            directories[:] = [d for d in directories if not is_intended(os.path.join(parent, d))]
            for name in files:
                path = os.path.join(parent, name)
                if is_intended(path) or os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    found += [f"{path}: {hit}" for hit in self.hits(file.read())]
        return found
