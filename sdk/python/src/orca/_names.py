"""The rules for names, versions and texts. The core takes more; the SDKs are strict, so that names are identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orca._errors import InvalidError

_NAME = re.compile(r"[A-Z][a-zA-Z0-9]*\Z", re.ASCII)
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\Z", re.ASCII)

MAX_NAME_BYTES = 255
MAX_DESCRIPTION = 1000


def check_name(what: str, name: object) -> None:
    """Check the name of an algorithm or a window type."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidError(
            f"{what} name {name!r}: must be PascalCase, such as 'LapSpeed' (letters and digits, beginning with A-Z)"
        )
    _check_length(f"{what} name", name)


def check_version(what: str, version: object) -> None:
    """Check a version."""
    if not isinstance(version, str) or not _VERSION.match(version):
        raise InvalidError(
            f"{what} version {version!r}: must be plain semver, such as '1.0.0' (three numbers, no prefix or suffix)"
        )
    _check_length(f"{what} version", version)


def check_text(what: str, text: object) -> None:
    """Check what is free text with a length: processor and field names, origins."""
    if not isinstance(text, str):
        raise InvalidError(f"{what} {text!r}: must be a str")
    if not text:
        raise InvalidError(f"{what}: must not be empty")
    check_unicode(what, text)
    _check_length(what, text)


def check_description(what: str, text: object) -> None:
    """Check a description."""
    if not isinstance(text, str):
        raise InvalidError(f"{what}: the description must be a str, not {text!r}")
    check_unicode(f"{what} description", text)
    if len(text) > MAX_DESCRIPTION:
        raise InvalidError(f"{what}: the description has {len(text)} characters, at most {MAX_DESCRIPTION} are allowed")


def check_unicode(what: str, text: str) -> None:
    """Refuse what UTF-8 cannot carry: lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidError(f"{what} {text!r}: must be valid Unicode without lone surrogates") from error


def _check_length(what: str, text: str) -> None:
    size = len(text.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidError(f"{what} {text[:20]!r}…: {size} bytes long, at most {MAX_NAME_BYTES} are allowed")


@dataclass(frozen=True, order=True)
class AlgorithmID:
    """Identifies an algorithm."""

    processor: str
    name: str
    version: str

    def __str__(self) -> str:
        """For people: "Speed 1.0.0 of racing"."""
        return f"{self.name} {self.version} of {self.processor}"
