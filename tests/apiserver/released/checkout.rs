//! A copy of the checkout as it would be committed for a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::image::copy_checkout;
use lab::process::output;
use lab::programs::installed;
use serde_json::Value;
use tempfile::TempDir;

use super::registry::Registry;

/// What a release's own commits are made by.
const COMMIT: &str = "git init --quiet && git add --all \
                      && git -c user.name=lab -c user.email=lab@localhost commit --quiet --message release";
pub(super) struct Checkout {
    folder: TempDir,
    pub(super) version: String,
}

impl Checkout {
    pub(super) fn of(version: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        copy_checkout(folder.path())?;
        let checkout = Self { folder, version: version.to_owned() };
        if version != env!("CARGO_PKG_VERSION") {
            output(&mut checkout.script("version.sh", &[version]))?;
            checkout.change_the_crd()?;
        }
        output(Command::new("sh").args(["-c", COMMIT]).current_dir(checkout.path()))?;
        Ok(checkout)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// An image of a program that is none, but for what tells its architecture.
    pub(super) fn image(&self, architecture: &str) -> Result<PathBuf> {
        let machine = match architecture {
            "amd64" => 62,
            _ => 183,
        };
        let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        program.extend([machine, 0]);
        program.extend(format!("{} for {architecture}", self.version).as_bytes());
        let programs = self.path().join("target/images").join(architecture);
        fs::create_dir_all(&programs)?;
        fs::write(programs.join("keylime-attestor-operator"), program)?;
        self.image_of(&programs, architecture)
    }

    /// An image of the programs in a folder.
    pub(super) fn image_of(&self, programs: &Path, name: &str) -> Result<PathBuf> {
        let archive = self.path().join("target").join(name).with_extension("oci.tar");
        fs::create_dir_all(self.path().join("target"))?;
        let mut script = Command::new(self.path().join("operator/image/oci.py"));
        output(script.arg("Containerfile").args([programs, &archive]).current_dir(self.path()))?;
        Ok(archive)
    }

    /// Runs a script of the release's with the release's tools.
    pub(super) fn script(&self, name: &str, args: &[&str]) -> Command {
        let mut script = Command::new(self.path().join("operator/release").join(name));
        script.args(args).current_dir(self.path()).env("HOME", self.path().join("target"));
        // Cargo's own home is found by HOME, where nothing else names it.
        if let (None, Some(home)) = (std::env::var_os("CARGO_HOME"), std::env::home_dir()) {
            script.env("CARGO_HOME", home.join(".cargo")).env("RUSTUP_HOME", home.join(".rustup"));
        }
        script
    }

    pub(super) fn release(&self, registry: &Registry, images: &[PathBuf]) -> Result<Dist> {
        self.release_as(&self.version, registry, images)
    }

    pub(super) fn release_as(&self, version: &str, registry: &Registry, images: &[PathBuf]) -> Result<Dist> {
        let mut script = self.script("release.sh", &[version]);
        output(script.args(images).env("REGISTRY", registry.address()).env("PATH", path()?))?;
        Ok(Dist { folder: self.path().join("target/dist").join(version), version: version.to_owned() })
    }

    pub(super) fn publish(&self, registry: &Registry, settings: &[(&str, &str)]) -> Result<String> {
        let mut script = self.script("publish.sh", &[&self.version]);
        script.env("REGISTRY", registry.address()).env("PLAIN_HTTP", "1").env("PATH", path()?);
        script.env("HELM", installed("cluster-tools/helm4")?).envs(settings.iter().copied());
        output(&mut script)
    }

    /// Something that an upgrade must bring.
    fn change_the_crd(&self) -> Result<()> {
        for folder in ["crds", "charts/keylime-attestor/files"] {
            let crd = self.path().join(folder).join("spire.keylime.dev_keylimeattestors.yaml");
            let text = fs::read_to_string(&crd)?;
            let changed = text
                .replace("description: How the operator changes SPIRE\n", "description: The next text.\n");
            anyhow::ensure!(changed != text, "the CRD has no such text any more");
            fs::write(crd, changed)?;
        }
        Ok(())
    }
}

/// With the programs that the set-up installed first.
pub(super) fn path() -> Result<String> {
    let mut folders = vec![installed("crane")?];
    folders.extend(installed("cosign").ok());
    folders.extend(installed("cargo-cyclonedx")?.canonicalize()?.parent().map(Path::to_owned));
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Ok(format!("{}:{}", folders.join(":"), std::env::var("PATH")?))
}

/// The files of a release.
pub(super) struct Dist {
    pub(super) folder: PathBuf,
    pub(super) version: String,
}

impl Dist {
    /// The file of the release that ends so.
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("keylime-attestor-{}{ending}", self.version))
    }

    pub(super) fn json(&self, ending: &str) -> Result<Value> {
        let file = self.file(ending);
        let text = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("failed to read {}", file.display()))
    }

    /// The digest of the image, as the provenance has it.
    pub(super) fn digest(&self) -> Result<String> {
        let provenance = self.json(".provenance.json")?;
        let digest = provenance.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
        Ok(format!("sha256:{}", digest.context("the provenance names no image")?))
    }
}
