//! The unit of systemd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Result, ensure};
use lab::documents::repository;
use lab::programs;
use tempfile::TempDir;

const NAME: &str = "keylime-attestor-quoter.service";

/// The unit, changed by `edit`, with the built program in place of the installed one.
fn unit(edit: impl Fn(String) -> String) -> Result<(TempDir, PathBuf)> {
    let text = fs::read_to_string(repository().join("plugins/quoter").join(NAME))?;
    let program = programs::built("keylime-attestor-quoter")?;
    let installed = "/usr/local/bin/keylime-attestor-quoter";
    ensure!(text.matches(&format!("ExecStart={installed}\n")).count() == 1, "{text}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(NAME);
    fs::write(&file, edit(text.replace(installed, &program.display().to_string())))?;
    Ok((folder, file))
}

/// Whether `systemd-analyze` succeeded, and what it said.
fn analyze(arguments: &[&str], file: &Path) -> io::Result<(bool, String)> {
    let output = Command::new("systemd-analyze").args(arguments).arg(file).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() -> Result<()> {
    let (_folder, file) = unit(|text| text)?;
    let (verified, said) = analyze(&["verify"], &file)?;
    ensure!(verified && said.is_empty(), "{said}");
    // It would have said so: of an unknown key, and of a value that is none.
    for (key, other, expected) in [
        ("DevicePolicy=", "DevicesPolicy=", "'DevicesPolicy'"),
        ("UMask=0077", "UMask=none", "Failed to parse mode value"),
    ] {
        let (_folder, file) = unit(|text| text.replace(key, other))?;
        let (_, said) = analyze(&["verify"], &file)?;
        ensure!(said.contains(expected), "{said}");
    }
    Ok(())
}

/// By systemd's own measure, from 0 (safe) to 100. What is left: the host's files and the device.
#[test]
fn the_unit_leaves_the_quoter_little() -> Result<()> {
    let (_folder, file) = unit(|text| text)?;
    let measure = ["security", "--no-pager", "--offline=true", "--threshold=10"];
    let (safe, said) = analyze(&measure, &file)?;
    ensure!(safe, "{said}");
    let (_folder, file) = unit(|text| text.replace("CapabilityBoundingSet=\n", ""))?;
    let (safe, said) = analyze(&measure, &file)?;
    ensure!(!safe, "{said}");
    Ok(())
}
