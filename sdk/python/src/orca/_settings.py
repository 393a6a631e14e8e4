"""Where the core is and how the processor is reached: options, then the environment, then orca.json, then defaults.

Nothing is read before a processor is run or a client is made.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from orca._errors import InvalidError, OrcaError

DEFAULT_CORE = "127.0.0.1:33670"
DEFAULT_PROCESSOR_PORT = 5377
_PROJECT_FILE = "orca.json"
_MAX_TOKEN = 4096


@dataclass(frozen=True)
class TLS:
    """Certificates in PEM: as bytes, or as the path of a file.

    Towards a core, `ca` are the authorities to trust (the system's without it), `certificate` and `key` the client's
    own. For a processor that serves TLS, `certificate` and `key` are the server's, and `ca` demands certificates of
    clients.
    """

    ca: bytes | str | os.PathLike[str] | None = None
    certificate: bytes | str | os.PathLike[str] | None = None
    key: bytes | str | os.PathLike[str] | None = field(default=None, repr=False)

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Give authorities, certificate and key as bytes."""
        return _pem("ca", self.ca), _pem("certificate", self.certificate), _pem("key", self.key)


def _pem(what: str, source: bytes | str | os.PathLike[str] | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InvalidError(f"TLS {what} {source!r}: {error.strerror}") from None


@dataclass(frozen=True)
class CoreOptions:
    """What a program says about the core. What it does not say comes from the environment."""

    core: str = ""
    tls: TLS | bool = False
    token: str = field(default="", repr=False)
    token_in_clear: bool = False
    environment: bool = True


@dataclass(frozen=True)
class ProcessorOptions:
    """What a program says about how its processor is reached."""

    core: CoreOptions = CoreOptions()
    listen: str = ""
    address: str = ""
    project: str = ""
    server_tls: TLS | None = None


@dataclass(frozen=True)
class Surroundings:
    """What settings come from when no option gives them."""

    env: Mapping[str, str]
    file: Mapping[str, Any]

    def first(self, option: str, *names: str, file: str = "", default: str = "") -> str:
        """Give the first that says something: the option, the variables, the project file, the default."""
        for text in (option, *(self.env.get(name, "") for name in names), self._of_file(file), default):
            if text:
                return text
        return ""

    def _of_file(self, key: str) -> str:
        value = self.file.get(key)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise InvalidError(f"project file {_PROJECT_FILE}: {key} is {value!r}, and must be text or a number")
        return str(value)


def look(environment: bool) -> Surroundings:
    """Read the environment and orca.json, unless nothing but options counts."""
    if not environment:
        return Surroundings({}, {})
    try:
        text = Path(_PROJECT_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Surroundings(dict(os.environ), {})
    except (OSError, ValueError) as error:
        raise OrcaError(f"project file {_PROJECT_FILE}: {error}") from error
    try:
        project = json.loads(text)
    except ValueError as error:
        raise InvalidError(f"project file {_PROJECT_FILE}: {error}") from None
    if not isinstance(project, dict):
        raise InvalidError(f"project file {_PROJECT_FILE}: must be a JSON object")
    return Surroundings(dict(os.environ), cast("dict[str, Any]", project))


@dataclass(frozen=True)
class Endpoint:
    """An address as users write it, taken apart."""

    host: str
    port: int
    tls: bool = False

    @property
    def host_port(self) -> str:
        """For gRPC."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"grpcs://{self.host_port}" if self.tls else self.host_port

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_endpoint(what: str, text: str) -> Endpoint:
    """Take an address apart, or raise InvalidError."""
    tls = text.startswith("grpcs://")
    rest = text.removeprefix("grpcs://").removeprefix("grpc://").removesuffix("/")
    host, colon, port = rest.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or "://" in rest or (":" in host and not bracketed):
        raise InvalidError(f"{what} {text!r}: must be host:port, grpc://host:port or grpcs://host:port")
    return Endpoint(host[1:-1] if bracketed else host, parse_port(what, port), tls)


def parse_port(what: str, text: str) -> int:
    """Read a port, or raise InvalidError."""
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise InvalidError(f"{what}: port {text!r} must be a number from 0 to 65535")
    return int(text)


@dataclass(frozen=True)
class CoreSettings:
    """How to reach the core."""

    core: Endpoint
    tls: TLS | None
    token: str = field(default="", repr=False)
    token_in_clear: bool = False


def resolve_core(options: CoreOptions, around: Surroundings) -> CoreSettings:
    """Settle how to reach the core."""
    text = around.first(options.core, "ORCA_CORE", file="orcaConnectionString", default=DEFAULT_CORE)
    core = parse_endpoint("core address", text)
    if core.port == 0:
        raise InvalidError(f"core address {text!r}: the port must not be 0")
    wanted = core.tls or bool(options.tls) or around.first("", "ORCA_ENV", "ENV") == "production"
    tls = (options.tls if isinstance(options.tls, TLS) else TLS()) if wanted else None
    return _secret(CoreSettings(core, tls, _token(options, around), options.token_in_clear))


def with_token_of(settings: CoreSettings, env: Mapping[str, str]) -> CoreSettings:
    """Add the token that the environment of another process has, if any."""
    return _secret(replace(settings, token=_token(CoreOptions(), Surroundings(env, {}))))


def _secret(settings: CoreSettings) -> CoreSettings:
    """Refuse a token that others could read on its way."""
    if settings.token and not (settings.tls or settings.core.local or settings.token_in_clear):
        raise InvalidError(
            f"token for the core at {settings.core}: it would cross the network in plain text; use TLS (a grpcs://"
            " address or tls=True), or insist with token_in_clear=True"
        )
    return settings


def _token(options: CoreOptions, around: Surroundings) -> str:
    text, source = options.token, "token="
    if not text:
        text, source = around.env.get("ORCA_TOKEN", ""), "ORCA_TOKEN"
    file = around.env.get("ORCA_TOKEN_FILE", "")
    if not text and file:
        source = f"ORCA_TOKEN_FILE {file}"
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise OrcaError(f"{source}: {error}") from None
        if not text:
            raise InvalidError(f"token from {source}: the file is empty")
    if len(text) > _MAX_TOKEN or any(not "!" <= c <= "~" for c in text):
        raise InvalidError(
            f"token from {source}: must be visible ASCII characters without a space, at most {_MAX_TOKEN}"
        )
    return text


@dataclass(frozen=True)
class ProcessorSettings:
    """Where to listen and what to announce."""

    core: CoreSettings
    project: str
    listen: Endpoint
    address: Endpoint | None  # None means where it listens

    def announce(self, port: int, server_tls: bool) -> Endpoint:
        """Give the address for the registration, once the processor listens on a port."""
        if self.address:
            host, announced, tls = self.address.host, self.address.port or port, self.address.tls
        else:
            host = "127.0.0.1" if self.listen.host in ("", "0.0.0.0", "::") else self.listen.host  # noqa: S104
            announced, tls = port, False
        return Endpoint(host, announced, tls or server_tls)


def resolve_processor(options: ProcessorOptions, around: Surroundings) -> ProcessorSettings:
    """Settle where to listen and what to announce."""
    core = resolve_core(options.core, around)
    text = around.first(
        options.address or around.env.get("PROCESSOR_ADDRESS", "") or _address_in_parts(around),
        file="processorConnectionString",
    )
    address = parse_endpoint("processor address", text) if text else None
    listen = parse_endpoint("listen address", options.listen) if options.listen else _default_listen(around, address)
    return ProcessorSettings(core, around.first(options.project, "PROJECT_NAME", file="projectName"), listen, address)


def _address_in_parts(around: Surroundings) -> str:
    host, port = around.env.get("PROCESSOR_HOST", ""), around.env.get("PROCESSOR_EXTERNAL_PORT", "")
    if not host and not port:
        return ""
    port = port or around.env.get("PROCESSOR_PORT", "") or str(DEFAULT_PROCESSOR_PORT)
    return Endpoint(host or "127.0.0.1", parse_port("processor address", port)).host_port


def _default_listen(around: Surroundings, address: Endpoint | None) -> Endpoint:
    """Open all interfaces only for a processor that is to be reached from elsewhere."""
    host, port = "127.0.0.1", DEFAULT_PROCESSOR_PORT
    if address:
        host = host if address.local else "0.0.0.0"  # noqa: S104
        port = address.port or port
    text = around.first("", "PROCESSOR_PORT", file="processorPort")
    return Endpoint(host, parse_port("processor port", text) if text else port)
