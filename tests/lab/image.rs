//! The project's image, made from the sources as they are: never an old one. Where nothing has
//! changed that takes a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Result, anyhow, ensure};

use crate::documents::repository;
use crate::process::output;

/// The files that `make image` leaves.
#[derive(Debug)]
pub struct Image {
    /// The folder of its programs.
    folder: PathBuf,
    /// The OCI archive.
    pub archive: PathBuf,
}

impl Image {
    /// Makes the image of a checkout; cargo's target folder is the environment's, or in the
    /// checkout.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn make(checkout: &Path, target: Option<&Path>) -> Result<Self> {
        let mut script = Command::new(checkout.join("operator/image/image.sh"));
        if let Some(target) = target {
            script.env("CARGO_TARGET_DIR", target);
        }
        output(&mut script)?;
        let made = checkout.join("target/image");
        Ok(Self { folder: made.join("programs"), archive: made.join("keylime-attestor.oci.tar") })
    }

    /// The image of this checkout, made once a process.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn made() -> Result<&'static Self> {
        static IMAGE: LazyLock<Result<Image>> = LazyLock::new(|| Image::make(&repository(), None));
        IMAGE.as_ref().map_err(|error| anyhow!("{error:#}"))
    }

    /// The files of its programs.
    ///
    /// # Errors
    /// When there are none.
    pub fn programs(&self) -> Result<Vec<PathBuf>> {
        let programs =
            fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        // Beside them is checksums.json.
        let programs: Vec<PathBuf> = programs.into_iter().filter(|path| path.extension().is_none()).collect();
        ensure!(!programs.is_empty(), "there is no program in {}", self.folder.display());
        Ok(programs)
    }

    /// The file of one of its programs.
    ///
    /// # Errors
    /// When it is not among them.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        ensure!(file.exists(), "there is no {name} in {}", self.folder.display());
        Ok(file)
    }
}

/// Copies what is, or would be, committed of this project into a folder.
///
/// # Errors
/// When that cannot be done.
pub fn copy_checkout(folder: &Path) -> Result<()> {
    let script =
        "git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C \"$0\"";
    output(Command::new("sh").args(["-c", script]).arg(folder).current_dir(repository()))?;
    Ok(())
}
