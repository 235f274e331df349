"""An agent of Keylime's push model on a software TPM: registers, and pushes quotes to the verifier by its API 3.0.

No registry serves the real one. This one pushes quotes of PCRs alone, no boot log and no IMA list, opens no port, and
keeps its attestation key in agent_data.json as the real one does.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import ssl
import struct
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tpm import Tpm, selection, sized, take

API = "application/vnd.api+json"
SCHEMES = {"rsa": "rsassa", "ecc": "ecdsa"}
SIZES = {"rsa": 2048, "ecc": 256}


class Refused(Exception):
    """An answer that is no success, with the seconds after which to ask again."""

    def __init__(self, status, text, after):
        super().__init__(f"{status}: {text}")
        self.status, self.after = status, after


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def encoded(data):
    return base64.b64encode(data).decode()


def pem(ek):
    """The EK's public key, as the hash of it that is the agent's id has it."""
    if ek[:2] == b"\x00\x01":
        key = rsa.RSAPublicNumbers(65537, int.from_bytes(ek[-256:], "big")).public_key()
    else:
        x, rest = take(ek[-68:])
        x, y = int.from_bytes(x, "big"), int.from_bytes(take(rest)[0], "big")
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def pcr_values(pcrs, values):
    """As tpm2-tools keep them in memory: a selection of up to 16 banks, then lists of up to 8 digests."""
    bank = struct.pack("<HB", 0x000B, 3) + selection(pcrs)[-3:] + bytes(2)
    digests = [struct.pack("<H", len(value)) + value.ljust(64, b"\0") for value in values]
    listed = struct.pack("<I", len(digests)) + b"".join(digests).ljust(8 * 66, b"\0")
    return struct.pack("<I", 1) + bank.ljust(16 * 8, b"\0") + struct.pack("<I", 1) + listed


class Agent:
    def __init__(self, options):
        self.options, self.tpm = options, Tpm(options.tpm)
        self.token = None
        self.booted = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        with self.tpm.connected() as tpm:
            ek, self.ek = tpm.create_ek(options.key)
            self.id = hashlib.sha256(pem(self.ek)).hexdigest()
            private = self.key(tpm, ek)
            ak = tpm.load_ak(ek, self.ak, private)
            self.context = tpm.save(ak)
            self.register(tpm, ak, ek)

    def key(self, tpm, ek):
        """The AK of before, or a new one. The file is written anew either way, as the real agent does."""
        try:
            with open(self.options.data, encoding="utf-8") as file:
                kept = json.load(file)
            self.ak, private = bytes(kept["ak_public"]), bytes(kept["ak_private"])
        except FileNotFoundError:
            self.ak, private = tpm.create_ak(ek, self.options.key)
        data = {
            "ak_hash_alg": "Sha256",
            "ak_sign_alg": {"rsa": "RsaSsa", "ecc": "EcDsa"}[self.options.key],
            "ak_public": list(self.ak),
            "ak_private": list(private),
            "ek_hash": list(self.id.encode()),
        }
        with open(self.options.data, "w", encoding="utf-8") as file:
            json.dump(data, file)
        return private

    def register(self, tpm, ak, ek):
        registrar = http.client.HTTPConnection(*address(self.options.registrar), timeout=20)
        path = f"/v2.6/agents/{self.id}"
        # Address and port mean nothing. The real agent sends some, too.
        keys = {"ek_tpm": encoded(sized(self.ek)), "aik_tpm": encoded(sized(self.ak))}
        body = {**keys, "ip": "127.0.0.1", "port": 9002, "mtls_cert": "disabled"}
        blob = base64.b64decode(ask(registrar, "POST", path, body)["results"]["blob"])
        # tpm2-tools' header, then two TPM2Bs.
        credential, rest = take(blob[8:])
        secret = tpm.activate_credential(ak, ek, credential, take(rest)[0])
        tag = hmac.new(base64.b64encode(secret), self.id.encode(), hashlib.sha384).hexdigest()
        ask(registrar, "PUT", f"{path}/activate", {"auth_tag": tag})
        say(f"registered as {self.id}")

    def by_ak(self, work):
        with self.tpm.connected() as tpm:
            return work(tpm, tpm.load(self.context))

    def verifier(self, method, path, body):
        context = ssl.create_default_context(cafile=self.options.ca)
        connection = http.client.HTTPSConnection(*address(self.options.verifier), timeout=20, context=context)
        try:
            return ask(connection, method, f"/v3.0/{path}", {"data": body}, API, self.token)
        finally:
            connection.close()

    def log_in(self):
        """Proves to the verifier that this TPM has the AK, and gets a token."""
        self.token = None
        supported = [{"authentication_class": "pop", "authentication_type": "tpm_pop"}]
        wanted = {"agent_id": self.id, "authentication_supported": supported}
        session = self.verifier("POST", "sessions", {"type": "session", "attributes": wanted})["data"]
        asked = session["attributes"]["authentication_requested"][0]["chosen_parameters"]
        nonce = base64.b64decode(asked["challenge"])
        message, signature = self.by_ak(lambda tpm, ak: tpm.certify(ak, nonce))
        proof = {**supported[0], "data": {"message": encoded(message), "signature": encoded(signature)}}
        sent = {"agent_id": self.id, "authentication_provided": [proof]}
        answer = self.verifier("PATCH", f"sessions/{session['id']}", {"type": "session", "attributes": sent})
        self.token = answer["data"]["attributes"].get("token")
        if not self.token:
            raise Refused(200, "the verifier does not know this agent", None)

    def attest(self):
        """One attestation. Gives the seconds until the next."""
        if not self.token:
            self.log_in()
        path = f"agents/{self.id}/attestations"
        attributes = {"evidence_supported": [self.capabilities()], "system_info": {"boot_time": self.booted}}
        answer = self.verifier("POST", path, {"type": "attestation", "attributes": attributes})
        asked = answer["data"]["attributes"]["evidence_requested"][0]["chosen_parameters"]
        nonce, pcrs = base64.b64decode(asked["challenge"]), asked["selected_subjects"]["sha256"]

        def quote(tpm, ak):
            return tpm.quote(ak, nonce, pcrs), tpm.read_pcrs(pcrs)

        (message, signature), values = self.by_ak(quote)
        parts = {"subject_data": pcr_values(pcrs, values), "message": message, "signature": signature}
        data = {name: encoded(part) for name, part in parts.items()}
        evidence = {"evidence_class": "certification", "evidence_type": "tpm_quote", "data": data}
        attributes = {"evidence_collected": [evidence]}
        answer = self.verifier("PATCH", f"{path}/latest", {"type": "attestation", "attributes": attributes})
        return answer["meta"]["seconds_to_next_attestation"]

    def capabilities(self):
        algorithm = self.options.key
        scheme = SCHEMES[algorithm]
        key = {
            "key_class": "asymmetric",
            "key_algorithm": algorithm,
            "key_size": SIZES[algorithm],
            "server_identifier": "ak",
            "allowable_signature_schemes": [scheme],
            "allowable_hash_algorithms": ["sha256"],
            "public": encoded(sized(self.ak)),
        }
        capabilities = {
            "component_version": "2.0",
            "signature_schemes": [scheme],
            "hash_algorithms": ["sha256"],
            "available_subjects": {"sha256": list(range(24))},
            "certification_keys": [key],
        }
        return {"evidence_class": "certification", "evidence_type": "tpm_quote", "capabilities": capabilities}

    def run(self):
        pause = 1
        while True:
            try:
                wait = self.attest()
                say("pushed a quote")
                pause = 1
            except (OSError, Refused) as error:
                say(f"the verifier takes no quote: {error}")
                refused = isinstance(error, Refused)
                if refused and error.status in (401, 403):
                    self.token = None
                wait = error.after if refused and error.after is not None else pause
                pause = min(2 * pause, 4)
            time.sleep(wait)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def ask(connection, method, path, body, content_type="application/json", token=None):
    headers = {"Content-Type": content_type, "Accept": content_type}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status not in (200, 201, 202):
        after = answer.getheader("Retry-After")
        raise Refused(answer.status, text or answer.reason, float(after) if after else None)
    return json.loads(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tpm", type=int, required=True, help="port of the software TPM")
    parser.add_argument("--key", choices=SCHEMES, default="rsa", help="algorithm of EK and AK")
    parser.add_argument("--data", required=True, help="agent_data.json, which is made")
    parser.add_argument("--registrar", required=True, help="host and port, without TLS")
    parser.add_argument("--verifier", required=True, help="host and port")
    parser.add_argument("--ca", required=True, help="the verifier's certificate authority")
    Agent(parser.parse_args()).run()
