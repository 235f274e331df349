//! The project's image, as `make image` leaves it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The image's OCI archive.
///
/// # Errors
/// When it has not been made.
pub fn archive() -> Result<PathBuf> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/image/keylime-attestor.oci.tar");
    ensure!(archive.exists(), "failed to find {}: run `make image`", archive.display());
    Ok(archive)
}
