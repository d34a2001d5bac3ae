"""TLS is verified, against the name, also though an address is connected to."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from limner.errors import Broken
from tests.limner.web.conftest import Internet, web_to

PUBLIC = "93.184.216.34"


def certificate(folder: Path, name: str) -> Path:
    """Return a file with a self-signed certificate for a name and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def serving_tls(certificate: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Serve one answer per connection; yield the address, and what was sent to it in confidence."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    seen: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", seen
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    with serving_tls(certificate(tmp_path, "service.example")) as (url, seen):
        web = web_to(url, "sk_x", allow_private=True)
        with pytest.raises(Broken, match=r"cannot be reached .*self-signed certificate") as caught:
            web.send("POST", "/orders", submits=True)
        web.close()
    assert not caught.value.may_be_paid
    assert seen == []


@pytest.mark.parametrize(("asked", "is_told"), [("service.example", True), ("other.example", False)])
def test_a_certificate_is_held_to_the_name_and_not_to_the_address(
    tmp_path: Path, internet: Internet, monkeypatch: pytest.MonkeyPatch, asked: str, is_told: bool
) -> None:
    trusted = certificate(tmp_path, "service.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    internet.names[asked] = [(PUBLIC,)]
    with serving_tls(trusted) as (url, seen):
        internet.servers[PUBLIC] = url
        web = web_to(f"https://{asked}", "sk_x")
        if is_told:
            assert web.send("POST", "/orders", submits=True).is_fine
        else:
            with pytest.raises(Broken, match="Hostname mismatch"):
                web.send("POST", "/orders", submits=True)
        web.close()
    assert bool(seen) is is_told
