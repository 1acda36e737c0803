"""Primitives, labelled expansion, signatures and seals: PROTOCOL.md §1 and §3."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from .errors import Refused, check

ZEROS = bytes(32)
TAG = 16
SUITES = {1: AESGCM, 2: ChaCha20Poly1305}
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def digest(*parts: bytes) -> bytes:
    """`H` of the parts one after the other (§1)."""
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC with SHA-256 (§1)."""
    return hmac.digest(key, message, "sha256")


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 §2.2)."""
    return mac(salt, secret)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3)."""
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = mac(key, block + info + bytes([counter]))
        output += block
        counter += 1
    return output[:length]


def labelled(secret: bytes, label: str, context: bytes = b"", length: int = 32) -> bytes:
    """`L(secret, label, context, n)` (§3.1)."""
    name = b"ML1 " + label.encode("ascii")
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    return expand(secret, info, length)


def same(left: bytes, right: bytes) -> bool:
    """Compares two secrets, or values made of them (§1)."""
    return hmac.compare_digest(left, right)


def share_of(scalar: bytes) -> bytes:
    """The X25519 share of a scalar."""
    return X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()


def x25519(scalar: bytes, share: bytes) -> bytes:
    """The shared secret; all zero is refused, at either end (§3.4)."""
    try:
        shared = X25519PrivateKey.from_private_bytes(scalar).exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        raise Refused("ZeroSharedSecret") from None
    check(any(shared), "ZeroSharedSecret")
    return shared


@dataclass(frozen=True)
class Sealer:
    """One AEAD key with its iv (§3.4)."""

    suite: int
    key: bytes
    iv: bytes

    @classmethod
    def labelled(cls, suite: int, secret: bytes, prefix: str, context: bytes = b"") -> Sealer:
        """Derives key and iv under `PREFIX key` and `PREFIX iv`."""
        space = f"{prefix} " if prefix else ""
        key = labelled(secret, f"{space}key", context, 32)
        return cls(suite, key, labelled(secret, f"{space}iv", context, 12))

    def _nonce(self, seq: int) -> bytes:
        counter = bytes(4) + seq.to_bytes(8, "big")
        return bytes(a ^ b for a, b in zip(self.iv, counter, strict=True))

    def seal(self, seq: int, aad: bytes, plaintext: bytes) -> bytes:
        """Encrypts and authenticates."""
        return SUITES[self.suite](self.key).encrypt(self._nonce(seq), plaintext, aad)

    def open(self, seq: int, aad: bytes, sealed: bytes) -> bytes:
        """Authenticates and decrypts."""
        try:
            return SUITES[self.suite](self.key).decrypt(self._nonce(seq), sealed, aad)
        except InvalidTag:
            raise Refused("Unsealed") from None


def parse_point(encoded: bytes) -> ec.EllipticCurvePublicKey:
    """Reads `0x04 | x | y`; any other form is refused (§1)."""
    check(len(encoded) == 65 and encoded[0] == 4, "PublicKey")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
    except ValueError:
        raise Refused("PublicKey") from None


def key_name(public: bytes) -> bytes:
    """The name of a key (§1)."""
    return digest(public)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """ES256 with both values of s (§1, §3.2)."""
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        parse_point(public).verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def signed_content(label: str, transcript: bytes) -> bytes:
    """What `Sign(key, label, hash)` signs (§3.2)."""
    return b" " * 64 + b"ML1 " + label.encode("ascii") + b"\0" + transcript


class SigningKey:
    """A private key of P-256. Its nonces are RFC 6979's, hedged (§3.2)."""

    def __init__(self, scalar: bytes) -> None:
        self.scalar = scalar
        self.public = _multiple(int.from_bytes(scalar, "big"))

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key."""
        return cls((1 + secrets.randbelow(_ORDER - 1)).to_bytes(32, "big"))

    def sign(self, message: bytes, hedge: bytes | None = None) -> bytes:
        """Signs as §3.2 says: hedged, and with the lower s. `hedge` is empty for a plain RFC 6979 nonce."""
        z = int.from_bytes(digest(message), "big") % _ORDER
        hedge = secrets.token_bytes(32) if hedge is None else hedge
        for nonce in _nonces(self.scalar + z.to_bytes(32, "big") + hedge):
            r = int.from_bytes(_multiple(nonce)[1:33], "big") % _ORDER
            s = pow(nonce, -1, _ORDER) * (z + r * int.from_bytes(self.scalar, "big")) % _ORDER
            if r and s:
                return r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")
        raise AssertionError("nonces do not end")


def _multiple(scalar: int) -> bytes:
    point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    return b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def _nonces(seed: bytes):
    """The nonces of RFC 6979 §3.2, `seed` with the additional data of §3.6 at its end."""
    key, value = bytes(32), b"\x01" * 32
    for step in (b"\0", b"\1"):
        key = mac(key, value + step + seed)
        value = mac(key, value)
    while True:
        value = mac(key, value)
        nonce = int.from_bytes(value, "big")
        if 0 < nonce < _ORDER:
            yield nonce
        key = mac(key, value + b"\0")
        value = mac(key, value)
