//! The project's image, made from the sources as they are: never an old one. Where nothing has
//! changed that takes a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::documents::repository;
use crate::process::output;

/// Where an ELF header tells the machine, by the lower of two bytes, and what it tells.
const E_MACHINE: usize = 18;
const AMD64: u8 = 62;
const ARM64: u8 = 183;

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

    /// The archive of this checkout's image in a folder, as one of two that know each other's plugins:
    /// the other's are the same programs, whose headers say that they are of another architecture.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn made_as_one_of_two(folder: &Path) -> Result<PathBuf> {
        let folders = ["own", "other"].map(|name| folder.join(name));
        for (folder, is_other) in folders.iter().zip([false, true]) {
            fs::create_dir(folder)?;
            for program in Self::made()?.programs()? {
                let mut bytes = fs::read(&program)?;
                let machine = bytes.get_mut(E_MACHINE).context("a program without a header")?;
                if is_other {
                    *machine = if *machine == AMD64 { ARM64 } else { AMD64 };
                }
                fs::write(folder.join(program.file_name().context("no file name")?), bytes)?;
            }
        }
        let script = |name: &str| Command::new(repository().join("operator/image").join(name));
        output(script("checksums.sh").args(&folders))?;
        let archive = folder.join("keylime-attestor.oci.tar");
        let [own, _] = &folders;
        output(script("oci.py").arg(repository().join("Containerfile")).args([own, &archive]))?;
        Ok(archive)
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
