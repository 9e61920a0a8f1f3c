"""Names of services that give none."""


def default_name(module: str, class_name: str) -> str:
    """The name of a service that gives none: `my_api.GetUser` is `my-api.get-user`."""
    path = ".".join(with_dashes(part).replace("_", "-") for part in module.split("."))
    return f"{path}.{with_dashes(class_name)}"


def with_dashes(text: str, dash: str = "-") -> str:
    """A name of words that begin with capitals in small letters with dashes: `GetUserByID` is `get-user-by-id`."""
    written = ""
    for index, char in enumerate(text):
        if char.isupper() and index:
            before, after = text[index - 1], text[index + 1 : index + 2]
            # A capital begins a word after a small letter, and before one: `WSDLDocs` is `wsdl-docs`.
            if before != "_" and (before.islower() or after.islower()):
                written += dash
        written += char.lower()
    return written
