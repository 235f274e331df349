#!/usr/bin/env python3
"""Writes an OCI image archive of a few files, without a Docker engine: the same files give the same digest.

    image.py NAME OUT.tar --entrypoint PROGRAM [--entrypoint ARGUMENT]... SOURCE:PATH...
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import tarfile

EPOCH = "1970-01-01T00:00:00Z"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the image's name with its tag, as pods give it")
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("--entrypoint", action="append", required=True)
    parser.add_argument("files", nargs="+", metavar="SOURCE:PATH", help="a program and its place in the image")
    args = parser.parse_args()

    blobs = {}
    layer = add(blobs, layer_of(dict(reversed(file.split(":")) for file in args.files)))
    config = add(blobs, to_json({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "config": {"Entrypoint": args.entrypoint, "WorkingDir": "/"},
        "created": EPOCH,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }))
    manifest = add(blobs, to_json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
    }))
    index = to_json({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            **manifest,
            # The name under which containerd's import stores the image.
            "annotations": {"io.containerd.image.name": args.name},
        }],
    })
    write(args.archive, {"oci-layout": to_json({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs})


def layer_of(sources):
    """The layer's tar: the programs, executable by everyone, and the folders above them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folders = {folder for path in sources for folder in pathlib.PurePosixPath(path).parents if folder.name}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(str(folder).lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, source in sorted(sources.items()):
            put(tar, path.lstrip("/"), pathlib.Path(source).read_bytes(), 0o755)
    return buffer.getvalue()


def add(blobs, content):
    digest = hashlib.sha256(content).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = content
    return {"digest": f"sha256:{digest}", "size": len(content)}


def write(archive, files):
    part = archive.with_suffix(".part")
    with tarfile.open(part, mode="w") as tar:
        for path, content in files.items():
            put(tar, path, content, 0o644)
    part.rename(archive)


def put(tar, path, content, mode):
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def to_json(value):
    return json.dumps(value, sort_keys=True).encode()


if __name__ == "__main__":
    main()
