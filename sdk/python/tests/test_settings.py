"""Options come before the environment, that before orca.json, that before defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import orca
from orca._settings import (
    CoreOptions,
    Endpoint,
    ProcessorOptions,
    ProcessorSettings,
    Surroundings,
    look,
    resolve_core,
    resolve_processor,
)


def settings(env: dict[str, str], file: dict[str, Any] | None = None, **options: Any) -> ProcessorSettings:
    core = CoreOptions(**{k: options.pop(k) for k in ("core", "tls", "token", "token_in_clear") if k in options})
    return resolve_processor(ProcessorOptions(core, **options), Surroundings(env, file or {}))


def test_the_order() -> None:
    env = {"ORCA_CORE": "env:1"}
    file = {"orcaConnectionString": "grpc://file:2", "projectName": "p", "processorPort": 7}
    assert str(settings(env, file, core="option:3").core.core) == "option:3"
    assert str(settings(env, file).core.core) == "env:1"
    assert str(settings({}, file).core.core) == "file:2"
    assert str(settings({}).core.core) == "127.0.0.1:33670"
    assert (settings({}, file).project, settings({"PROJECT_NAME": "q"}, file).project) == ("p", "q")
    assert settings({}, file).listen == Endpoint("127.0.0.1", 7)


@pytest.mark.parametrize(
    ("env", "listen", "announced"),
    [
        ({}, "127.0.0.1:5377", "127.0.0.1:5377"),
        ({"PROCESSOR_PORT": "9"}, "127.0.0.1:9", "127.0.0.1:9"),
        ({"PROCESSOR_ADDRESS": "10.0.0.1:8"}, "0.0.0.0:8", "10.0.0.1:8"),
        ({"PROCESSOR_ADDRESS": "grpcs://host:8", "PROCESSOR_PORT": "9"}, "0.0.0.0:9", "grpcs://host:8"),
        ({"PROCESSOR_HOST": "host"}, "0.0.0.0:5377", "host:5377"),
        ({"PROCESSOR_HOST": "host", "PROCESSOR_EXTERNAL_PORT": "80", "PROCESSOR_PORT": "9"}, "0.0.0.0:9", "host:80"),
        ({"PROCESSOR_ADDRESS": "127.0.0.1:0", "PROCESSOR_PORT": "9"}, "127.0.0.1:9", "127.0.0.1:9"),
        ({"PROCESSOR_ADDRESS": "[::1]:8"}, "127.0.0.1:8", "[::1]:8"),
    ],
)
def test_addresses_of_a_processor(env: dict[str, str], listen: str, announced: str) -> None:
    found = settings(env)
    assert (str(found.listen), str(found.announce(found.listen.port, server_tls=False))) == (listen, announced)


def test_tls() -> None:
    cases: list[tuple[dict[str, str], dict[str, Any], bool]] = [
        ({}, {}, False),
        ({}, {"tls": True}, True),
        ({}, {"core": "grpcs://host:1"}, True),
        ({"ENV": "production"}, {}, True),
        ({"ORCA_ENV": "production"}, {}, True),
        ({"ORCA_ENV": "test", "ENV": "production"}, {}, False),
    ]
    assert [settings(env, **options).core.tls is not None for env, options, _ in cases] == [on for _, _, on in cases]


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    env = {"ORCA_TOKEN_FILE": str(file)}
    assert settings({}, token="t").core.token == "t"
    assert settings({**env, "ORCA_TOKEN": "e"}).core.token == "e"
    assert settings(env).core.token == "from-file"
    for core in ("host:1", "10.0.0.1:1"):
        with pytest.raises(orca.InvalidError, match="it would cross the network in plain text; use TLS"):
            settings({}, core=core, token="t")
        assert settings({}, core=core, token="t", token_in_clear=True).core.token == "t"
        assert settings({}, core=core, token="t", tls=True).core.token == "t"
    with pytest.raises(orca.InvalidError, match=r"token from token=: must be visible ASCII") as caught:
        settings({}, token="secret word")
    assert "secret" not in str(caught.value)
    assert "t0ken" not in repr(settings({}, token="t0ken"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host", "core address 'host': must be host:port, grpc://host:port or grpcs://host:port"),
        ("http://host:1", "must be host:port"),
        ("::1:33", "must be host:port"),
        ("host:x", "port 'x' must be a number from 0 to 65535"),
        ("host:65536", "must be a number from 0 to 65535"),
        ("host:0", "the port must not be 0"),
    ],
)
def test_wrong_addresses(text: str, words: str) -> None:
    with pytest.raises(orca.InvalidError) as caught:
        settings({"ORCA_CORE": text})
    assert words in str(caught.value)


def test_the_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORCA_CORE", raising=False)
    (tmp_path / "orca.json").write_text(json.dumps({"orcaConnectionString": "file:2", "processorPort": None}))
    assert resolve_core(CoreOptions(), look(environment=True)).core == Endpoint("file", 2)
    assert resolve_core(CoreOptions(), look(environment=False)).core == Endpoint("127.0.0.1", 33670)
    for text, words in [("[", "project file orca.json: "), ("[]", "must be a JSON object")]:
        (tmp_path / "orca.json").write_text(text)
        with pytest.raises(orca.InvalidError, match=words):
            look(environment=True)
