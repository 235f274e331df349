#!/usr/bin/env python3
"""provenance.py REGISTRY DIGEST FOLDER: prints who made the image and the files of the folder, from what and how, as SLSA's provenance.

$BUILDER and $INVOCATION say who built it, as URIs; without them it was a checkout on somebody's machine.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(registry, digest, folder):
    image = {"name": f"{registry}/keylime-attestor", "digest": {"sha256": digest.removeprefix("sha256:")}}
    files = sorted(pathlib.Path(folder).iterdir())
    commit = git("rev-parse", "HEAD")
    version = subprocess.run([ROOT / "operator/release/version.sh"], check=True, capture_output=True, text=True).stdout.strip()
    print(json.dumps({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [image, *({"name": file.name, "digest": {"sha256": sha256(file)}} for file in files)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:keylime-attestor:make-release:v1",
                "externalParameters": {"version": version, "registry": registry},
                "resolvedDependencies": [
                    {"uri": "git+" + source(), "digest": {"gitCommit": commit}},
                    # Every crate with its checksum, and the C libraries with theirs.
                    *({"uri": file, "digest": {"sha256": sha256(ROOT / file)}} for file in ("Cargo.lock", "operator/image/static-tss.sh")),
                ],
            },
            "runDetails": {
                "builder": {"id": os.environ.get("BUILDER", "urn:keylime-attestor:checkout")},
                "metadata": {"invocationId": os.environ.get("INVOCATION", f"urn:keylime-attestor:checkout:{commit}")},
            },
        },
    }, indent=1))


def source():
    """The address of the sources, where the checkout knows one."""
    return git("config", "--default", "checkout", "--get", "remote.origin.url")


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


main(*sys.argv[1:])
