"""Encrypts environment variables for a driver, so that nothing between it and the laptop can read or replace them.

Both sides make a key pair for a single hand-over. The laptop's public key travels with the job, the driver's in its
log, and the secret that they agree on (X25519, HKDF-SHA256) encrypts the values (ChaCha20-Poly1305). It depends on the
names of run and job and on both public keys, so an envelope of another time or for another job does not open, and a
reader learns only that some variables were handed over. Private keys are never written anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from evo.errors import UserError

PADDED_BYTES = 4096
# A key seals a single envelope, so that its nonce need not vary.
_NONCE = bytes(12)


class Party:
    """A side of the hand-over, with a key pair of its own.

    Attributes:
        public_key: for the other side, as text.
    """

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public_key = base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def seal(self, values: Mapping[str, str], reader: str, job: str) -> bytes:
        """An envelope that only the reader's private key opens, and only for this job.

        Args:
            reader: public key of the driver.
        """
        text = json.dumps(dict(values)).encode()
        padded = text.ljust(-len(text) % PADDED_BYTES + len(text))  # so that its length says nothing about theirs
        return self._cipher(reader, self.public_key, reader, job).encrypt(_NONCE, padded, job.encode())

    def opened(self, envelope: bytes, sender: str, job: str) -> dict[str, str]:
        """The values.

        Args:
            sender: public key of the laptop, as the job brought it.

        Raises:
            UserError: it is by another sender, for another job, or incomplete.
        """
        try:
            text = self._cipher(sender, sender, self.public_key, job).decrypt(_NONCE, envelope, job.encode())
        except InvalidTag:
            raise UserError("the variables that came were not sealed for this job by its sender") from None
        values: dict[str, str] = json.loads(text)
        return values

    def _cipher(self, other: str, laptop: str, driver: str, job: str) -> ChaCha20Poly1305:
        shared = self._private.exchange(_public(other))
        context = "\n".join(("evo: variables for a driver", job, laptop, driver)).encode()
        return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=None, info=context).derive(shared))


def place_of(driver: str, job: str) -> str:
    """Under which name an envelope for a driver lies among the cluster's packages."""
    return f"_ray_pkg_{hashlib.sha256(f'{job} {driver}'.encode()).hexdigest()[:32]}.zip"


def _public(text: str) -> X25519PublicKey:
    try:
        return X25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise UserError(f"expected a public key of 32 bytes in base64, got {text[:60]!r}") from None
