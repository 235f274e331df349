#!/usr/bin/env python3
"""oci.py CONTAINERFILE FOLDER ARCHIVE: writes FOLDER's programs, and their checksums.json, as an image from scratch, an OCI image layout
in one tar.

Labels, user and entry point are those of the Containerfile's last stage. The same programs give the same bytes: the layer is not
compressed, because a digest would then depend on the zlib at hand. $IMAGE names the image for `ctr images import`,
$SOURCE_DATE_EPOCH is the time it tells, 1970 if not set. Prints name and digest.
"""

import datetime
import hashlib
import io
import json
import os
import pathlib
import shlex
import sys
import tarfile

ARCHITECTURES = {62: "amd64", 183: "arm64"}  # by an ELF header's e_machine
INDEX = "application/vnd.oci.image.index.v1+json"


def main(containerfile, folder, archive):
    last = last_stage(containerfile)
    labels = dict(label.split("=", 1) for label in shlex.split(last["LABEL"]))
    version = labels["org.opencontainers.image.version"]
    name = os.environ.get("IMAGE", f"localhost/keylime-attestor:{version}")
    created = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    files = sorted(pathlib.Path(folder).iterdir())
    programs = [file for file in files if file.suffix != ".json"]
    platform = {"architecture": architecture(programs), "os": "linux"}

    blobs = {}
    layer = tar({file.name: (file.read_bytes(), 0o755 if file in programs else 0o644) for file in files}, created)
    config = {
        "created": datetime.datetime.fromtimestamp(created, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **platform,
        "config": {"User": last["USER"], "Entrypoint": json.loads(last["ENTRYPOINT"]), "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(blobs, "application/vnd.oci.image.config.v1+json", encode(config)),
        "layers": [blob(blobs, "application/vnd.oci.image.layer.v1.tar", layer)],
        "annotations": labels,
    }
    described = {**blob(blobs, manifest["mediaType"], encode(manifest)), "platform": platform}
    write_layout(archive, name, described, blobs, created)
    print(name, described["digest"])


def last_stage(containerfile):
    """The instructions after the last FROM, by name; none but COPY comes twice."""
    text = pathlib.Path(containerfile).read_text().replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    start = max(number for number, (name, _) in enumerate(instructions) if name == "FROM")
    return dict(instructions[start:])


def architecture(programs):
    (machine,) = {int.from_bytes(program.read_bytes()[18:20], "little") for program in programs}
    return ARCHITECTURES[machine]


def write_layout(archive, name, described, blobs, created=0):
    """One thing under one name, an image or an index over several, with the blobs that it needs."""
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**described, "annotations": names}]}
    layout = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": encode(index), **blobs}
    write(archive, tar({path: (content, 0o644) for path, content in layout.items()}, created))


def tar(files, modified):
    """All that varies from machine to machine (owner, time, order) is fixed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), mode, modified
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def blob(blobs, media_type, content):
    """Stores content under its digest; gives its descriptor."""
    blobs[path(digest(content))] = content
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def path(digest):
    """Where an image layout keeps a blob."""
    return "blobs/" + digest.replace(":", "/")


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write(file, content):
    """Nobody ever sees half an archive."""
    part = pathlib.Path(file + ".part")
    part.write_bytes(content)
    part.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
