//! Who released something is seen by its signatures, by cosign with a key. What the workflow does
//! without one needs Sigstore's services, and is tried nowhere here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::image::Image;
use lab::process::output;
use lab::programs::installed;
use lab::released::{Checkout, Registry};

const PASSWORD: (&str, &str) = ("COSIGN_PASSWORD", "a password");

/// The image that `make image` made, as it would be released.
#[test]
#[ignore = "cosign takes minutes to build: make release-test"]
fn a_release_is_verified_by_the_key_that_signed_it() -> Result<()> {
    let registry = Registry::start()?;
    let checkout = Checkout::of(env!("CARGO_PKG_VERSION"))?;
    let keys = [checkout.path().join("target/ours"), checkout.path().join("target/another")];
    for key in &keys {
        fs::create_dir_all(key)?;
        let mut generate = Command::new(installed("cosign/cosign")?);
        output(generate.arg("generate-key-pair").current_dir(key).envs([PASSWORD]))?;
    }
    let [ours, another] = keys;
    let program = Image::made()?.program("keylime-attestor-operator")?;
    let programs = program.parent().context("a program in no folder")?;
    let dist = checkout.release(&registry, &[programs.to_owned()])?;
    let key = ours.join("cosign.key").display().to_string();
    checkout.publish(&registry, &[("SIGN", &key), PASSWORD])?;

    let verify = |key: &Path| {
        let folder = dist.folder.display().to_string();
        let mut script = checkout.script("verify.sh", &[&dist.version, &folder])?;
        script.env("REGISTRY", registry.address()).env("PLAIN_HTTP", "1").env("KEY", key.join("cosign.pub"));
        output(&mut script)
    };
    let verified = verify(&ours)?;
    ensure!(verified.contains(&dist.digest()?), "{verified}");
    let refused = verify(&another).err().context("another's key is as good")?;
    ensure!(format!("{refused:#}").contains("signature"), "{refused:#}");

    // Somebody changes a file, and its sum with it.
    let manifests = dist.file(".yaml");
    fs::write(&manifests, fs::read_to_string(&manifests)? + "---\n")?;
    let refused = verify(&ours).err().context("a changed file passes")?;
    ensure!(format!("{refused:#}").contains("FAILED"), "{refused:#}");
    let sums =
        output(Command::new("sh").args(["-c", "sha256sum keylime* CHANGELOG.md"]).current_dir(&dist.folder))?;
    fs::write(dist.folder.join("SHA256SUMS"), sums)?;
    verify(&ours).err().context("a changed sum passes")?;

    // What has the tag now was signed by nobody.
    let other = Checkout::of(env!("CARGO_PKG_VERSION"))?;
    other.release(&registry, &[other.programs("amd64")?])?;
    other.publish(&registry, &[("SIGN", "no")])?;
    let refused = verify(&ours).err().context("an image of somebody else passes")?;
    ensure!(format!("{refused:#}").contains("no signatures found"), "{refused:#}");
    Ok(())
}
