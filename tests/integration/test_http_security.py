"""Who gets in: Host, Origin, token, CORS, loopback, TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_doors import TOKEN, Served, serve, until

from spice_engine.api.listen import bind
from spice_engine.api.tls import TlsPair, TlsToolMissing, make_tls_pair
from spice_engine.errors import InvalidSettings
from spice_engine.settings import Settings

GOOD = {"Authorization": f"Bearer {TOKEN}"}
V1, V01 = "/api/v1/things", "/api/v0.1/pods"
TRAIN = "/api/v0.1/pods/trader/train"


async def ask(
    served: Served, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str]]:
    url = served.door.url + path
    async with served.client.request(method, url, headers=headers) as response:
        await response.read()
        return response.status, dict(response.headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("localhost.", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("engine.example:8000", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost:80@evil", 403),
        ("[::1", 403),
        ("", 403),
        ("10.0.0.1", 403),
        ("0.0.0.0", 403),
    ],
)
async def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    settings = Settings(http_port=0, allowed_hosts=["engine.example"])
    async with serve(settings) as served:
        for path in ("/health", V01, V1):
            answered, _ = await ask(served, "GET", path, {**GOOD, "Host": host})
            assert answered == status, path


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", TRAIN, {}, 200),
        ("POST", TRAIN, {"Origin": "http://localhost"}, 200),
        ("POST", TRAIN, {"Origin": "http://localhost:3000"}, 403),
        ("POST", TRAIN, {"Origin": "https://evil.example"}, 403),
        ("POST", TRAIN, {"Origin": "null"}, 403),
        ("POST", TRAIN, {"Origin": ""}, 403),
        ("POST", TRAIN, {"Origin": "http://friend.example"}, 200),
        ("POST", TRAIN, {"Origin": "http://friend.example.evil"}, 403),
        ("POST", TRAIN, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", TRAIN, {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", V1, {**GOOD, "Origin": "https://evil.example"}, 403),
        ("DELETE", f"{V1}/1", {**GOOD, "Origin": "https://evil.example"}, 403),
        ("GET", V01, {"Origin": "https://evil.example"}, 200),
        ("GET", "/api/v1/events", {"Origin": "http://evil.example", "Upgrade": "websocket"}, 403),
    ],
)
async def test_foreign_pages_cannot_write(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    settings = Settings(http_port=0, cors_origins=["http://friend.example"])
    async with serve(settings) as served:
        answered, got = await ask(served, method, path, {"Host": "localhost", **headers})
        assert answered == status
        friend = headers.get("Origin") == "http://friend.example"
        assert ("Access-Control-Allow-Origin" in got) is friend


async def test_preflights_are_answered_for_configured_origins_only() -> None:
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    settings = Settings(http_port=0, cors_origins=["http://friend.example"])
    async with serve(settings) as served:
        friend = {"Origin": "http://friend.example", **asks}
        status, headers = await ask(served, "OPTIONS", V1, friend)
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == "http://friend.example"
        assert "Authorization" in headers["Access-Control-Allow-Headers"]
        assert headers["Vary"] == "Origin"
        foe = {"Origin": "http://evil.example", **asks}
        status, headers = await ask(served, "OPTIONS", V1, foe)
        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers
    async with serve() as served:
        status, headers = await ask(served, "OPTIONS", V1, friend)
        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("authorization", "v1", "v01"),
    [
        (None, 401, 200),
        (f"Bearer {TOKEN}", 200, 200),
        (f"bearer {TOKEN}", 200, 200),
        (f"Bearer {TOKEN}x", 401, 401),
        (f"Bearer {TOKEN[:-1]}", 401, 401),
        ("Bearer", 401, 401),
        ("Bearer ünïcode", 401, 401),
        (f"Basic {TOKEN}", 401, 401),
        (TOKEN, 401, 401),
    ],
)
async def test_the_token(authorization: str | None, v1: int, v01: int) -> None:
    async with serve() as served:
        headers = {} if authorization is None else {"Authorization": authorization}
        status, got = await ask(served, "GET", V1, headers)
        assert status == v1
        assert (got.get("WWW-Authenticate", "")[:6] == "Bearer") is (v1 == 401)
        assert (await ask(served, "GET", V01, headers))[0] == v01
        assert (await ask(served, "GET", "/health", headers))[0] == 200


async def test_paths_in_disguise_do_not_slip_past_the_token() -> None:
    async with serve() as served:
        for path in (
            "/api//v1/things",
            "/api/v1/../v1/things",
            "/%61pi/v1/things",
            "/API/v1/things",
        ):
            raw = await served.raw(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            assert raw.split(b" ")[1] in {b"401", b"404"}, path


async def test_loopback_is_open_only_where_set_and_for_the_peer_itself() -> None:
    async with serve() as served:
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            status, _ = await ask(served, "GET", V01, {name: "203.0.113.9"})
            assert status == 401, name
    async with serve(Settings(http_port=0, open_loopback=False)) as served:
        for path in (V01, "/", "/metrics", "/docs", "/nothing", "/ready"):
            assert (await ask(served, "GET", path, {}))[0] == 401, path
        assert (await ask(served, "GET", "/health", {}))[0] == 200
        assert (await ask(served, "GET", V01, GOOD))[0] == 200


def own_address() -> str:
    """An address of this machine that is not loopback, or empty."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("203.0.113.1", 9))  # sends nothing: asks for the route only
            return str(sock.getsockname()[0])
        except OSError:
            return ""


async def test_peers_beyond_loopback_need_the_token_unless_insecure(tmp_path: Path) -> None:
    address = own_address()
    if not address or address.startswith("127."):
        pytest.skip("this machine has no address beyond loopback")
    cert, key = write_pair(tmp_path, "one")
    tls = Settings(http_host="0.0.0.0", http_port=0, tls_cert=str(cert), tls_key=str(key))
    async with serve(tls) as served:
        context = ssl.create_default_context(cafile=str(cert))
        url = f"https://{address}:{served.port}"
        context.check_hostname = False
        for path, status in ((V01, 401), (V1, 401), ("/metrics", 401), ("/health", 200)):
            async with served.client.get(url + path, ssl=context) as response:
                assert response.status == status, path
        async with served.client.get(url + V1, ssl=context, headers=GOOD) as response:
            assert response.status == 200
    async with serve(Settings(http_host="0.0.0.0", http_port=0, insecure=True)) as served:
        url = f"http://{address}:{served.port}"
        for path, status in ((V01, 200), (V1, 401)):
            async with served.client.get(url + path) as response:
                assert response.status == status, path


def test_beyond_loopback_in_the_clear_is_refused() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(InvalidSettings) as caught:
            bind(Settings(http_host=host, http_port=0))
        assert "tls_cert" in caught.value.hint
    bind(Settings(http_host="0.0.0.0", http_port=0, insecure=True)).close()


async def test_security_headers_are_on_every_answer() -> None:
    async with serve() as served:
        for path in ("/", "/health", "/nothing", V1, V01, "/docs"):
            _, headers = await ask(served, "GET", path, {})
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "aiohttp" not in headers["Server"]


# -- TLS


def write_pair(folder: Path, name: str, *, password: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed pair for loopback whose common name is `name`, moved into place at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[Any] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    paths = folder / "cert.pem", folder / "key.pem"
    for path, data in zip(paths, (cert.public_bytes(serialization.Encoding.PEM), pem), strict=True):
        beside = path.with_suffix(".new")
        beside.write_bytes(data)
        beside.rename(path)
    return paths


async def served_name(port: int) -> str:
    """Common name of the certificate the server shows now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    attribute = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )[0]
    return str(attribute.value)


async def test_a_renewed_pair_is_used_without_a_restart_and_a_bad_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = write_pair(tmp_path, "one")
    settings = Settings(http_port=0, tls_cert=str(cert), tls_key=str(key))
    async with serve(settings) as served:
        assert served.door.url.startswith("https://")
        assert served.door._tls is not None  # pyright: ignore[reportPrivateUsage]
        await served.door._tls.stop()  # pyright: ignore[reportPrivateUsage]
        served.door._tls.start(period=0.02)  # pyright: ignore[reportPrivateUsage]
        assert await served_name(served.port) == "one"
        cert.write_text("-----BEGIN CERT")
        await until(lambda: "the old one stays" in caplog.text)
        assert await served_name(served.port) == "one"
        write_pair(tmp_path, "two")
        async with asyncio.timeout(10):
            while await served_name(served.port) != "two":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        context = ssl.create_default_context(cafile=str(cert))
        async with served.client.get(f"{served.door.url}/health", ssl=context) as response:
            assert await response.text() == "ok"


def test_a_pair_that_cannot_be_used_says_which_file(tmp_path: Path) -> None:
    cert, key = write_pair(tmp_path, "one")
    other = tmp_path / "other"
    other.mkdir()
    _, other_key = write_pair(other, "two")
    locked = tmp_path / "locked"
    locked.mkdir()
    locked_cert, locked_key = write_pair(locked, "three", password=b"secret")
    for one, two, wrong in (
        (cert, tmp_path / "none.pem", "none.pem"),
        (tmp_path / "none.pem", key, "none.pem"),
        (cert, other_key, "other"),
        (locked_cert, locked_key, "locked"),
    ):
        with pytest.raises(InvalidSettings) as caught:
            TlsPair(one, two)
        assert caught.value.place is not None
        assert wrong in caught.value.place.file


async def test_a_made_pair_serves_localhost(tmp_path: Path) -> None:
    cert, key = make_tls_pair(tmp_path)
    assert key.stat().st_mode & 0o077 == 0
    settings = Settings(http_port=0, tls_cert=str(cert), tls_key=str(key))
    async with serve(settings) as served:
        context = ssl.create_default_context(cafile=str(cert))
        async with served.client.get(
            f"https://localhost:{served.port}/health", ssl=context
        ) as response:
            assert await response.text() == "ok"
        # A client that speaks in the clear gets nothing, and the door lives on.
        assert b"200" not in await served.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with served.client.get(f"{served.door.url}/health", ssl=context) as response:
            assert response.status == 200


def test_without_openssl_the_refusal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TlsToolMissing, match="openssl"):
        make_tls_pair(tmp_path)
    assert not list(tmp_path.iterdir())
