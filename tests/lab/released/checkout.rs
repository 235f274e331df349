//! A copy of the checkout as it would be committed for a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::Registry;
use crate::image::copy_checkout;
use crate::process::output;
use crate::programs::installed;

/// What a release's own commits are made by.
const COMMIT: &str = "git init --quiet && git add --all \
                      && git -c user.name=lab -c user.email=lab@localhost commit --quiet --message release";
/// A copy of this project, committed with a version of its own. It goes when it is dropped.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    /// Its version.
    pub version: String,
}

impl Checkout {
    /// A copy with this version; another than today's has another CRD, too.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn of(version: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        copy_checkout(folder.path())?;
        let checkout = Self { folder, version: version.to_owned() };
        if version != env!("CARGO_PKG_VERSION") {
            output(&mut checkout.script("version.sh", &[version])?)?;
            checkout.change_the_crd()?;
        }
        output(Command::new("sh").args(["-c", COMMIT]).current_dir(checkout.path()))?;
        Ok(checkout)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder of programs that are none, but for what tells their architecture.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn programs(&self, architecture: &str) -> Result<PathBuf> {
        let machine = match architecture {
            "amd64" => 62,
            _ => 183,
        };
        let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        program.extend([machine, 0]);
        program.extend(format!("{} for {architecture}", self.version).as_bytes());
        let folder = self.path().join("target/programs").join(architecture);
        fs::create_dir_all(&folder)?;
        for name in ["agent", "operator", "quoter", "server"] {
            fs::write(folder.join(format!("keylime-attestor-{name}")), &program)?;
        }
        Ok(folder)
    }

    /// A script of the release's that is not run yet, with the release's tools.
    ///
    /// # Errors
    /// When those are not installed.
    pub fn script(&self, name: &str, args: &[&str]) -> Result<Command> {
        let mut script = Command::new(self.path().join("operator/release").join(name));
        script.args(args).current_dir(self.path()).env("HOME", self.path().join("target"));
        // Cargo's own home is found by HOME, where nothing else names it.
        if let (None, Some(home)) = (std::env::var_os("CARGO_HOME"), std::env::home_dir()) {
            script.env("CARGO_HOME", home.join(".cargo")).env("RUSTUP_HOME", home.join(".rustup"));
        }
        script.env("PATH", path()?);
        Ok(script)
    }

    /// Makes the release of the programs in these folders, one for each architecture.
    ///
    /// # Errors
    /// When it is refused; the error says why.
    pub fn release(&self, registry: &Registry, programs: &[PathBuf]) -> Result<Dist> {
        self.release_as(&self.version, registry, programs)
    }

    /// The same where a version is asked for that may be another.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub fn release_as(&self, version: &str, registry: &Registry, programs: &[PathBuf]) -> Result<Dist> {
        let mut script = self.script("release.sh", &[version])?;
        output(script.args(programs).env("REGISTRY", registry.address()))?;
        Ok(Dist { folder: self.path().join("target/dist").join(version), version: version.to_owned() })
    }

    /// Pushes the release, with these settings of publish.sh; what was pushed.
    ///
    /// # Errors
    /// When that fails.
    pub fn publish(&self, registry: &Registry, settings: &[(&str, &str)]) -> Result<String> {
        let mut script = self.script("publish.sh", &[&self.version])?;
        script.env("REGISTRY", registry.address()).env("PLAIN_HTTP", "1");
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
            ensure!(changed != text, "the CRD has no such text any more");
            fs::write(crd, changed)?;
        }
        Ok(())
    }
}

/// With the programs that the set-up installed first.
fn path() -> Result<String> {
    let mut folders = vec![installed("crane")?];
    folders.extend(installed("cosign").ok());
    folders.extend(installed("cargo-cyclonedx")?.canonicalize()?.parent().map(Path::to_owned));
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Ok(format!("{}:{}", folders.join(":"), std::env::var("PATH")?))
}

/// The files of a release.
#[derive(Debug)]
pub struct Dist {
    /// Where they are.
    pub folder: PathBuf,
    /// Its version.
    pub version: String,
}

impl Dist {
    /// The file of the release that ends so.
    pub fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("keylime-attestor-{}{ending}", self.version))
    }

    /// That file, which is JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn json(&self, ending: &str) -> Result<Value> {
        let file = self.file(ending);
        let text = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("failed to read {}", file.display()))
    }

    /// The digest of the image, as the provenance has it.
    ///
    /// # Errors
    /// When it has none.
    pub fn digest(&self) -> Result<String> {
        let provenance = self.json(".provenance.json")?;
        let digest = provenance.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
        Ok(format!("sha256:{}", digest.context("the provenance names no image")?))
    }
}
