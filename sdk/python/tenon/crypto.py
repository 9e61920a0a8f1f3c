"""Encryption with the cluster's key, random secrets, and hashes of passwords."""

from typing import Any, Union

from .host import HostReturn, call, check

SECRET_BITS = 256
"""How long a generated secret is if nothing else is asked for."""
PASSWORD_BITS = 192
"""How strong a generated password is if nothing else is asked for."""


class Crypto:
    """`self.crypto`. The cluster's key never leaves the servers; what one server encrypts every other one can decrypt."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def encrypt(self, data: Union[str, bytes]) -> Any:
        """Data, encrypted and authenticated, as text."""
        return self._ask("encrypt", data, lambda answer: str(answer.body, "ascii"))

    def decrypt(self, encrypted: Union[str, bytes], as_bytes: bool = False) -> Any:
        """What was encrypted: as text, or as bytes if that is asked for or it is no text. HostCallError if it was not encrypted here."""
        return self._ask("decrypt", encrypted, lambda answer: answer.body if as_bytes else _as_text(answer.body))

    def hash_secret(self, data: Union[str, bytes], name: str = "") -> Any:
        """The argon2id hash of a password or another secret, to be stored in its place."""
        return self._ask("hash", data, lambda answer: str(answer.body, "ascii"))

    def verify_hash(self, given: Union[str, bytes], expected: str, name: str = "") -> Any:
        """Whether a hash is that of what was given."""
        return self._ask("verify", given, lambda answer: bool(answer.described().get("matches")), hash=expected)

    @staticmethod
    def generate_secret(bits: int = SECRET_BITS) -> str:
        """Random text of as many bits, for keys and tokens."""
        from secrets import token_urlsafe

        return token_urlsafe(_octets(bits))

    @staticmethod
    def generate_password(bits: int = PASSWORD_BITS, to_str: bool = True) -> Any:
        """A random password of as many bits; as bytes with `to_str=False`."""
        from secrets import token_urlsafe

        password = token_urlsafe(_octets(bits))
        return password if to_str else password.encode()

    def _ask(self, action: str, data: Union[str, bytes], read: Any, **more: Any) -> Any:
        if not isinstance(data, (str, bytes, bytearray)):
            raise TypeError(f"{action}: text or bytes are needed, not {type(data).__name__}")

        def convert(answer: HostReturn) -> Any:
            check(answer)
            return read(answer)

        body = data.encode() if isinstance(data, str) else bytes(data)
        return call(self._request, {"op": "crypto", "action": action, **more}, convert, body)


def _octets(bits: int) -> int:
    if bits < 8:
        raise ValueError("a secret has at least 8 bits")
    return (int(bits) + 7) // 8


def _as_text(body: bytes) -> Union[str, bytes]:
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        return body
