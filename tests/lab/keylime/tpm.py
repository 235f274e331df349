"""The commands of a TPM 2.0 that an agent in push mode needs, sent to a software TPM on 127.0.0.1.

A software TPM takes one connection after the other, so that what is between `connected` and its end is not disturbed,
and has three places for keys: what was loaded in between is flushed at its end, which SIGTERM waits for.
"""

import contextlib
import os
import signal
import socket
import struct

ENDORSEMENT, NULL, PASSWORD = 0x4000000B, 0x40000007, 0x40000009
SHA256 = 0x000B
# TPM2_PolicySecret of the endorsement hierarchy, as the TCG's EK templates demand it.
EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
# By algorithm: type, parameters and unique of the TCG's EK template, and of an AK.
EKS = {
    "rsa": (0x0001, "000600800043" "0010" "0800" "00000000", struct.pack(">H", 256) + bytes(256)),
    "ecc": (0x0023, "000600800043" "0010" "0003" "0010", 2 * (struct.pack(">H", 32) + bytes(32))),
}
AKS = {
    "rsa": (0x0001, "0010" "0014000b" "0800" "00000000", bytes(2)),
    "ecc": (0x0023, "0010" "0018000b" "0003" "0010", bytes(4)),
}
EK_ATTRIBUTES, AK_ATTRIBUTES = 0x000300B2, 0x00050072
# TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY: the same command is sent again.
AGAIN = (0x908, 0x90A, 0x922)
NOTHING_SECRET = bytes.fromhex("000400000000")


def sized(data):
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def take(data):
    """The content of the TPM2B at the start, and the rest."""
    (size,) = struct.unpack_from(">H", data)
    return data[2 : 2 + size], data[2 + size :]


def selection(pcrs):
    """A TPML_PCR_SELECTION of the bank of SHA-256."""
    mask = sum(1 << pcr for pcr in pcrs)
    return struct.pack(">IHB", 1, SHA256, 3) + mask.to_bytes(3, "little")


def public(attributes, policy, kind, parameters, unique):
    return struct.pack(">HHI", kind, SHA256, attributes) + sized(policy) + bytes.fromhex(parameters) + unique


class Tpm:
    def __init__(self, port):
        self.port = port

    @contextlib.contextmanager
    def connected(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as self.stream:
                self.loaded = []
                try:
                    yield self
                finally:
                    for handle in self.loaded:
                        self.command(0x165, struct.pack(">I", handle))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def command(self, code, body, tag=0x8001):
        while True:
            self.stream.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)
            _, size, status = struct.unpack(">HII", self.read(10))
            rest = self.read(size - 10)
            if not status:
                return rest
            if status not in AGAIN:
                raise RuntimeError(f"the TPM answers {status:#x} to command {code:#x}")

    def authorised(self, code, handles, sessions, parameters, returns_handle=False):
        """A command with a session for each of its first handles; its answer without the sessions'."""
        area = b"".join(struct.pack(">IHBH", session, 0, 0, 0) for session in sessions)
        body = b"".join(struct.pack(">I", handle) for handle in handles)
        body += struct.pack(">I", len(area)) + area + parameters
        answer = self.command(code, body, 0x8002)
        start = 4 if returns_handle else 0
        (size,) = struct.unpack_from(">I", answer, start)
        return answer[:start] + answer[start + 4 : start + 4 + size]

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.stream.recv(size - len(data))
            if not part:
                raise RuntimeError("the TPM closed the connection")
            data += part
        return data

    def keep(self, answer):
        (handle,) = struct.unpack_from(">I", answer)
        self.loaded.append(handle)
        return handle, answer[4:]

    def create_ek(self, algorithm):
        """Its handle, and its TPMT_PUBLIC."""
        template = sized(public(EK_ATTRIBUTES, EK_POLICY, *EKS[algorithm]))
        parameters = NOTHING_SECRET + template + sized(b"") + bytes(4)
        handle, rest = self.keep(self.authorised(0x131, [ENDORSEMENT], [PASSWORD], parameters, True))
        return handle, take(rest)[0]

    def create_ak(self, ek, algorithm):
        """Its TPMT_PUBLIC, and its private part."""
        template = sized(public(AK_ATTRIBUTES, b"", *AKS[algorithm]))
        parameters = NOTHING_SECRET + template + sized(b"") + bytes(4)
        private, rest = take(self.authorised(0x153, [ek], [self.ek_session()], parameters))
        return take(rest)[0], private

    def load_ak(self, ek, ak_public, ak_private):
        parameters = sized(ak_private) + sized(ak_public)
        handle, _ = self.keep(self.authorised(0x157, [ek], [self.ek_session()], parameters, True))
        return handle

    def ek_session(self):
        """A session in which the EK's policy is satisfied. It ends with its use."""
        body = struct.pack(">II", NULL, NULL) + sized(os.urandom(16)) + sized(b"") + struct.pack(">BHH", 1, 0x10, SHA256)
        (session,) = struct.unpack_from(">I", self.command(0x176, body))
        self.authorised(0x151, [ENDORSEMENT, session], [PASSWORD], 3 * sized(b"") + bytes(4))
        return session

    def activate_credential(self, ak, ek, credential, secret):
        sessions = [PASSWORD, self.ek_session()]
        return take(self.authorised(0x147, [ak, ek], sessions, sized(credential) + sized(secret)))[0]

    def certify(self, ak, nonce):
        """That the AK is in this TPM, by the AK itself: a TPMS_ATTEST and a TPMT_SIGNATURE."""
        return take(self.authorised(0x148, [ak, ak], [PASSWORD, PASSWORD], sized(nonce) + struct.pack(">H", 0x10)))

    def quote(self, ak, nonce, pcrs):
        """A TPMS_ATTEST and a TPMT_SIGNATURE."""
        return take(self.authorised(0x158, [ak], [PASSWORD], sized(nonce) + struct.pack(">H", 0x10) + selection(pcrs)))

    def read_pcrs(self, pcrs):
        """The values of no more than eight PCRs, in their order."""
        answer = self.command(0x17E, selection(pcrs))
        (count,) = struct.unpack_from(">I", answer, 14)
        values, rest = [], answer[18:]
        for _ in range(count):
            value, rest = take(rest)
            values.append(value)
        return values

    def save(self, handle):
        """What `load` takes to have the key again, without its parent."""
        return self.command(0x162, struct.pack(">I", handle))

    def load(self, context):
        return self.keep(self.command(0x161, context))[0]
