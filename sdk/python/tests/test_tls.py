"""TLS in both directions, and a token. The key in tests/tls is known to everybody and is for these tests alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import StartCore
from direct import lap, run, window

import orca

TLS = Path(__file__).parent / "tls"
CERTIFICATE, KEY = str(TLS / "certificate.pem"), str(TLS / "key.pem")


def test_tls_and_a_token(start_core: StartCore) -> None:
    core = start_core("--tls-cert", CERTIFICATE, "--tls-key", KEY, "--token", "let-me-in", SSL_CERT_FILE=CERTIFICATE)
    trusted = orca.TLS(ca=CERTIFICATE)
    proc = orca.Processor(
        "racing",
        core=f"grpcs://{core.address}",
        tls=trusted,
        token="let-me-in",
        listen="127.0.0.1:0",
        server_tls=orca.TLS(certificate=CERTIFICATE, key=KEY),
        environment=False,
    )

    @proc.algorithm("Speed", "1.0.0", lap)
    def speed(run: orca.Run) -> float:
        return 1

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, tls=trusted, token="let-me-in", environment=False) as client:
            assert proc.address.startswith("grpcs://127.0.0.1:")
            await proc.registered()
            assert (await client.wait(await client.emit(window())))[speed] == 1
        async with orca.AsyncClient(core.address, tls=trusted, token="wrong", environment=False) as client:
            with pytest.raises(orca.UnauthorizedError, match="gives the core's token with token= or ORCA_TOKEN"):
                await client.emit(window())

    run(work)


def test_certificates_that_are_not_there() -> None:
    with pytest.raises(orca.InvalidError, match="TLS ca 'nowhere.pem': No such file or directory"):
        orca.TLS(ca="nowhere.pem").read()

    async def work() -> None:
        proc = orca.Processor("racing", listen="127.0.0.1:0", server_tls=orca.TLS(), environment=False)
        with pytest.raises(orca.InvalidError, match="server_tls: it needs a certificate and a key"):
            async with proc:
                pass

    run(work)
