"""Runs the agent of keylime 6.6.0, the last release that has one, against a registrar of 7.14.

The newer registrar reads a JSON body only under Content-Type: application/json, which the old agent does not
send, and wants ek_tpm also where an EK certificate is given, which the old agent then leaves out. With
LAB_AGENT_INFO=1 the agent also answers /agent/info, as agents written in Rust do.
"""

import os

import requests
from keylime import config, json, keylime_agent, registrar_client, web_util

# No tmpfs for secrets: nothing secret is delivered here, and a mount would outlive a killed test.
config.MOUNT_SECURE = False

send = requests.Session.request
do_register = registrar_client.doRegisterAgent


def register(registrar_ip, registrar_port, agent_id, ek_tpm, *args, **kwargs):
    def send_json(session, method, url, **request):
        if isinstance(request.get("data"), str):
            body = json.loads(request["data"])
            if "aik_tpm" in body:
                body["ek_tpm"] = ek_tpm
            request["data"] = json.dumps(body)
            request["headers"] = {**(request.get("headers") or {}), "Content-Type": "application/json"}
        return send(session, method, url, **request)

    requests.Session.request = send_json
    return do_register(registrar_ip, registrar_port, agent_id, ek_tpm, *args, **kwargs)


class HandlerWithInfo(keylime_agent.Handler):
    def do_GET(self):
        if not self.path.split("?")[0].endswith("/agent/info"):
            super().do_GET()
            return
        algorithms = keylime_agent.tpm_instance.defaults
        info = {
            "agent_uuid": self.server.agent_uuid,
            "tpm_hash_alg": str(algorithms["hash"]),
            "tpm_enc_alg": str(algorithms["encrypt"]),
            "tpm_sign_alg": str(algorithms["sign"]),
        }
        web_util.echo_json_response(self, 200, "Success", info)


if __name__ == "__main__":
    registrar_client.doRegisterAgent = register
    if os.environ.get("LAB_AGENT_INFO") == "1":
        keylime_agent.Handler = HandlerWithInfo
    keylime_agent.main()
