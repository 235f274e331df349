#!/usr/bin/env python3
"""sbom.py IMAGE DIGEST: prints what the programs of the image are made of, as one CycloneDX document.

The crates are those that cargo-cyclonedx finds for each program on each architecture; the C libraries are those of
operator/image/static-tss.sh and what a static program has of the C library and the compiler of the machine that this runs on.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"]
PROGRAMS = [f"keylime-attestor-{name}" for name in ("agent", "operator", "quoter", "server")]
# That program alone has them whole; the server plugin reads TPM structures by the first.
TSS_USERS = {"keylime-attestor-quoter", "keylime-attestor-server"}


def main(image, digest):
    version = run([ROOT / "operator/release/version.sh"]).strip()
    components, depends = {}, {}
    with tempfile.TemporaryDirectory() as copy:
        # It writes beside each Cargo.toml.
        run(["sh", "-c", 'git ls-files -z | tar --null --files-from=- --create | tar --extract --directory "$0"', copy])
        for target in TARGETS:
            command = ["cargo-cyclonedx", "cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]
            run([*command, "--describe", "binaries", "--target", target], cwd=copy)
            for program in PROGRAMS:
                (found,) = pathlib.Path(copy).glob(f"**/{program}_bin.cdx.json")
                add(json.loads(found.read_text().replace(f"{copy}/", "")), program, version, components, depends)
    libraries = [*c_libraries(), *toolchain()]
    for library in libraries:
        components[library["bom-ref"]] = library
        for program in PROGRAMS:
            if library["name"] not in ("tpm2-tss", "mbedtls") or program in TSS_USERS:
                depends[program].add(library["bom-ref"])
    image_ref = f"pkg:oci/keylime-attestor@{digest}?repository_url={image}"
    depends[image_ref] = set(PROGRAMS)
    print(json.dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image_ref)}",
        "version": 1,
        "metadata": {"component": {
            "type": "container", "bom-ref": image_ref, "name": "keylime-attestor", "version": version, "purl": image_ref,
            "licenses": [{"expression": "Apache-2.0"}],
            "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
        }},
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(depends[ref])} for ref in sorted(depends)],
    }, indent=1, sort_keys=True))


def add(bom, program, version, components, depends):
    """What one program is made of on one architecture. The program itself is its crate's only binary."""
    root = bom["metadata"]["component"]["bom-ref"]
    name = lambda ref: program if ref == root else ref
    components[program] = {
        "type": "application", "bom-ref": program, "name": program, "version": version, "licenses": [{"expression": "Apache-2.0"}],
    }
    for component in bom["components"]:
        components[component["bom-ref"]] = component
    for dependency in bom["dependencies"]:
        depends.setdefault(name(dependency["ref"]), set()).update(name(ref) for ref in dependency.get("dependsOn", []))


def c_libraries():
    script = (ROOT / "operator/image/static-tss.sh").read_text()
    (release,) = re.findall(r"^release=(\w+)$", script, re.M)
    for package, variable, licence in (("mbedtls", "mbedtls", "Apache-2.0 OR GPL-2.0-or-later"), ("tpm2-tss", "tss", "BSD-2-Clause")):
        (version,) = re.findall(rf"^{variable}=([\w.]+)$", script, re.M)
        (checksum,) = re.findall(rf"^{variable}_sha256=(\w{{64}})$", script, re.M)
        purl = f"pkg:deb/debian/{package}@{version}?arch=source&distro={release}"
        yield {**library(package, version, purl, licence), "hashes": [{"alg": "SHA-256", "content": checksum}]}


def toolchain():
    """What every static program has in it, besides crates."""
    glibc = run(["dpkg-query", "--show", "--showformat", "${Version}", "libc6-dev"])
    yield library("glibc", glibc, f"pkg:deb/debian/glibc@{glibc}?arch=source", "LGPL-2.1-or-later")
    gcc = run(["dpkg-query", "--show", "--showformat", "${source:Version}", "libgcc-s1"])
    yield library("libgcc", gcc, f"pkg:deb/debian/gcc@{gcc}?arch=source", "GPL-3.0-or-later WITH GCC-exception-3.1")
    rust = run(["rustc", "--version"], cwd=ROOT).split()[1]
    yield library("rust-std", rust, f"pkg:generic/rust-std@{rust}", "MIT OR Apache-2.0")


def library(name, version, purl, licence):
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "licenses": [{"expression": licence}]}


def run(command, cwd=ROOT):
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


main(*sys.argv[1:])
