#!/usr/bin/env python3
"""index.py NAME ARCHIVE IMAGE...: writes ARCHIVE, an OCI image layout in one tar with an index over images of several architectures.

The images are archives of operator/image/oci.py, one for each architecture. The same images give the same bytes. Prints the index's digest.
"""

import json
import pathlib
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "image"))

sys.dont_write_bytecode = True
import oci


def main(name, archive, *images):
    blobs, manifests = {}, []
    for image in images:
        described, content = read(image)
        labels = json.loads(content[oci.path(described["digest"])])["annotations"]
        manifests.append({key: described[key] for key in ("mediaType", "digest", "size", "platform")})
        blobs |= content
    manifests.sort(key=lambda manifest: manifest["platform"]["architecture"])
    architectures = [manifest["platform"]["architecture"] for manifest in manifests]
    if len(set(architectures)) != len(architectures):
        sys.exit(f"expected one image for each architecture, got {', '.join(architectures)}")
    index = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": manifests, "annotations": labels}
    described = oci.blob(blobs, oci.INDEX, oci.encode(index))
    oci.write_layout(archive, name, described, blobs)
    print(described["digest"])


def read(image):
    """The descriptor of an archive's one image, and its blobs."""
    with tarfile.open(image) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    (described,) = json.loads(files["index.json"])["manifests"]
    blobs = {path: content for path, content in files.items() if path.startswith("blobs/")}
    for path, content in blobs.items():
        if oci.path(oci.digest(content)) != path:
            sys.exit(f"expected the content of {path} in {image}, got another: make the image again")
    return described, blobs


main(*sys.argv[1:])
