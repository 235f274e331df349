"""Runs one of Keylime's servers, whose module is the argument, with its runtime folder below KEYLIME_DIR.

In /run/keylime it would leave a socket behind when it is killed. With LAB_PUSH_ECC=1 a verifier in push mode takes ECC
keys, which that of 7.14.3 refuses: it has every agent log in by RSASSA, and takes a key for usable only under a scheme
whose name begins with that of the key's algorithm, which "ecdsa" does not do with "ecc".
"""

import os
import runpy
import sys

from keylime import shared_data


def take_ecc():
    from keylime.tpm.tpm_main import Tpm
    from keylime.verification.tpm_engine import TPMEngine

    # The signature itself is verified by the AK all the same.
    Tpm.SIGN_ALG_TO_TPM = {}
    # What an agent can do is checked again where a key, a scheme and a bank are chosen.
    TPMEngine._validate_tpm_quote_items = lambda engine: None


shared_data._RUNTIME_DIR = os.path.join(os.environ["KEYLIME_DIR"], "run")
if os.environ.get("LAB_PUSH_ECC") == "1":
    take_ecc()
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
