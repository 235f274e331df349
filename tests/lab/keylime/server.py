"""Runs one of Keylime's servers, whose module is the argument, with its runtime folder below KEYLIME_DIR.

In /run/keylime it would leave a socket behind when it is killed.
"""

import os
import runpy
import sys

from keylime import shared_data

shared_data._RUNTIME_DIR = os.path.join(os.environ["KEYLIME_DIR"], "run")
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
