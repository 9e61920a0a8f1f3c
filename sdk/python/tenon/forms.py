"""Forms as browsers send them: fields that are text, and files."""

from typing import Any, Dict, Optional


class FormFile(bytes):
    """A file of a form: what is in it, with its name and media type."""

    name: str
    """The name that the client gave it."""
    content_type: str
    """Its media type, as the client says."""

    @property
    def filename(self) -> str:
        """The name that the client gave it."""
        return self.name

    @property
    def text(self) -> str:
        """What is in it as text; bytes that are none are replaced."""
        return self.decode("utf-8", "replace")

    def read(self) -> bytes:
        """What is in it."""
        return bytes(self)


def fields_of(content_type: str, body: bytes) -> Optional[Dict[str, Any]]:
    """The fields of a form with files (multipart/form-data); None if it is another type. Of repeated ones the last.

    A body that does not keep to its type has the fields that can be found.
    """
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    from email import message_from_bytes, policy

    # A form is a mail without its head.
    message: Any = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body, policy=policy.HTTP)
    fields: Dict[str, Any] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        if name is None:
            continue
        content = part.get_payload(decode=True) or b""
        filename = part.get_filename()
        if filename is None:
            fields[str(name)] = content.decode("utf-8", "replace")
        else:
            file = fields[str(name)] = FormFile(content)
            file.name, file.content_type = filename, part.get_content_type()
    return fields


def fields_of_text(text: str) -> Dict[str, str]:
    """The fields of a form without files (application/x-www-form-urlencoded); of repeated ones the last."""
    from urllib.parse import parse_qsl

    return dict(parse_qsl(text, keep_blank_values=True))
