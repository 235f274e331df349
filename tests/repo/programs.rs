//! The programs that tests run are on a fresh Debian: they come with it, or the lab installs them.

use std::process::Command;

use anyhow::Result;
use lab::process::output;

use crate::{read, root};

/// Those of Debian's essential packages, and what README asks for.
const THERE: [&str; 12] = [
    "bash",
    "chmod",
    "date",
    "go",
    "mkfifo",
    "nsenter",
    "setpriv",
    "sh",
    "sha256sum",
    "tar",
    "uname",
    "unshare",
];

/// Programs with the package that they come in, where that has another name and packages.sh does
/// not say so itself.
const PACKAGES: [(&str, &str); 3] =
    [("python3", "python3-venv"), ("ss", "ip=iproute2"), ("swtpm_setup", "swtpm-tools")];

/// How a call begins, on this machine and in the lab's namespaces.
const STARTS: [&str; 3] = ["Command::new(\"", "on_node(node)?.args([\"", "in_control_plane()?.args([\""];

#[test]
fn every_program_that_a_test_runs_is_there_or_installed() -> Result<()> {
    let script = read("tests/lab/setup/packages.sh")?;
    let installed = |program: &str| {
        let package =
            PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
        script.split_whitespace().any(|word| word == package || word.split('=').next() == Some(package))
    };
    let listed =
        output(Command::new("git").args(["ls-files", "tests", "plugins", "operator"]).current_dir(root()))?;
    let (mut programs, mut missing) = (0, Vec::new());
    for file in listed.lines().filter(|file| file.ends_with(".rs")) {
        let text = read(file)?;
        for program in STARTS.iter().flat_map(|start| text.split(start).skip(1)) {
            let program = program.split('"').next().unwrap_or_default();
            programs += 1;
            if !program.starts_with('/') && !THERE.contains(&program) && !installed(program) {
                missing.push(format!("{program}, of {file}"));
            }
        }
    }
    assert!(missing.is_empty(), "neither on a fresh Debian nor in packages.sh: {missing:#?}");
    assert!(programs > 20, "{programs} only");
    Ok(())
}
