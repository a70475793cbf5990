"""The signature as a receiver checks it, and the key that stays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from headrace.domain.errors import HomeUnusable
from headrace.notify.signing import Signer, open_signer, signed_text
from tests.support.receivers import is_authentic

NOW = datetime(2026, 11, 28, tzinfo=UTC)
NOTICE = {
    "type": "Notification",
    "message": "My test message",
    "message_id": "88c726942175432bac921eafd0036163",
    "subject": "demo",
    "timestamp": "2016-08-15T07:29:16Z",
    "topic_urn": "urn:smn:regionId:74dc9e44d0cc4573adfce91cdfdd3ba9:xxxx",
    "unsubscribe_url": "https://example.com/",
    "signature_version": "v1",
}
CONFIRMATION = {**NOTICE, "type": "SubscriptionConfirmation", "subscribe_url": "https://example.com/smn/confirm"}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return open_signer(tmp_path_factory.mktemp("home") / "notice-key.pem", NOW)


def test_the_signed_text_of_the_users_guide() -> None:
    assert signed_text(NOTICE).splitlines() == [
        *("message", "My test message", "message_id", "88c726942175432bac921eafd0036163", "subject", "demo"),
        *("timestamp", "2016-08-15T07:29:16Z"),
        *("topic_urn", "urn:smn:regionId:74dc9e44d0cc4573adfce91cdfdd3ba9:xxxx", "type", "Notification"),
    ]
    assert signed_text(NOTICE).endswith("Notification\n")
    assert "subject" not in signed_text({**NOTICE, "subject": ""})
    assert "subject" not in signed_text(CONFIRMATION)
    assert "subscribe_url\nhttps://example.com/smn/confirm\n" in signed_text(CONFIRMATION)


@pytest.mark.parametrize("body", [NOTICE, CONFIRMATION, {**CONFIRMATION, "type": "UnsubscribeConfirmation"}])
def test_a_receiver_believes_what_was_signed_and_nothing_else(signer: Signer, body: dict[str, str]) -> None:
    signed = {**body, "signature": signer.sign(body)}
    assert is_authentic(signed, signer.certificate_pem)
    for name in ("message", "message_id", "timestamp", "topic_urn"):
        assert not is_authentic({**signed, name: signed[name] + "x"}, signer.certificate_pem)


def test_the_certificate_says_how_it_was_signed(signer: Signer) -> None:
    certificate = x509.load_pem_x509_certificate(signer.certificate_pem.encode())
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072
    assert algorithm is not None
    assert algorithm.name == "sha256"
    certificate.verify_directly_issued_by(certificate)
    assert "PRIVATE" not in signer.certificate_pem


def test_the_key_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notice-key.pem"
    first, second = open_signer(path, NOW), open_signer(path, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["notice-key.pem"]
    assert first.certificate_pem == second.certificate_pem
    assert first.certificate_name == second.certificate_name
    assert is_authentic({**NOTICE, "signature": second.sign(NOTICE)}, first.certificate_pem)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notice-key.pem"
    open_signer(path, NOW)
    whole = path.read_text()
    begin = whole.index("-----BEGIN CERTIFICATE")
    for damaged in ("", whole[:begin], whole[begin:], whole[:500]):
        path.write_text(damaged)
        with pytest.raises(HomeUnusable, match=r"notice-key\.pem"):
            open_signer(path, NOW)


def test_a_certificate_of_another_key_is_told(tmp_path: Path) -> None:
    texts = []
    for name in ("a.pem", "b.pem"):
        open_signer(tmp_path / name, NOW)
        texts.append((tmp_path / name).read_text().partition("-----BEGIN CERTIFICATE"))
    (tmp_path / "c.pem").write_text(texts[0][0] + texts[1][1] + texts[1][2])
    with pytest.raises(HomeUnusable, match="its certificate"):
        open_signer(tmp_path / "c.pem", NOW)


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="cannot be made or read"):
        open_signer(tmp_path / "nowhere" / "notice-key.pem", NOW)
