"""Stands in for the cluster's key: what it makes can be read back, and is no secret."""

import binascii
import hashlib
import hmac
from typing import Any, Dict

from ..host import HostReturn
from .memory import ok, refused

_ENCRYPTED = b"test-encrypted:"
_HASHED = "test-hash:"


def serve_crypto(asked: Dict[str, Any], body: bytes) -> HostReturn:
    """Does what a host call asks for."""
    action = asked.get("action")
    if action == "encrypt":
        return ok({}, _ENCRYPTED + binascii.hexlify(body))
    if action == "decrypt":
        try:
            if body.startswith(_ENCRYPTED):
                return ok({}, binascii.unhexlify(body[len(_ENCRYPTED) :]))
        except ValueError:
            pass
        return refused(400, "BadRequest", "it was not encrypted here")
    hashed = _HASHED + hashlib.sha256(body).hexdigest()
    if action == "hash":
        return ok({}, hashed.encode())
    return ok({"matches": hmac.compare_digest(hashed, str(asked.get("hash")))})
