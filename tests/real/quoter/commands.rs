//! What the program does beside quoting, in the pods of the chart's DaemonSet.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use lab::agent_data::KeyKind;
use lab::process::output;
use lab::programs;

use super::Lab;

fn run(args: &[&str], file: &Path) -> Result<String> {
    output(Command::new(programs::built("keylime-attestor-quoter")?).args(args).arg(file))
}

/// What a failed probe shows in the pod's Events.
#[test]
fn the_probe_fails_where_no_nonce_could_be_quoted_and_says_why() -> Result<()> {
    let mut lab = Lab::start(KeyKind::P256)?;
    let socket = lab.quoter.socket();
    let probe = || run(&["check", "--socket"], &socket);
    let fails = |expected: &str| {
        let answer = probe().map_err(|error| format!("{error:#}"));
        ensure!(answer.as_ref().is_err_and(|answer| answer.contains(expected)), "{answer:?}");
        Ok(())
    };
    probe()?;
    fs::remove_file(lab.quoter.agent_data())?;
    fails("it does not exist; start Keylime's agent once, which makes it")?;
    lab.key.write(&lab.quoter.agent_data())?;
    probe()?;
    lab.quoter.stop()?;
    fails("no quoter answers at")
}

/// Needs root, as the init container does.
#[test]
fn a_folder_is_given_to_a_user_and_nothing_in_it_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (given, inside) = (folder.path().join("given"), folder.path().join("given/inside"));
    fs::create_dir(&given)?;
    fs::write(&inside, "")?;
    for _again in 0..2 {
        run(&["own-folder", "--uid=985", "--gid=1001"], &given)?;
        let found = fs::metadata(&given)?;
        assert_eq!((found.uid(), found.gid()), (985, 1001));
    }
    assert_eq!(fs::metadata(&inside)?.uid(), 0);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/etc", &link)?;
    for other in [&inside, &link] {
        let error = run(&["own-folder", "--uid=985", "--gid=1001"], other).expect_err("it was given");
        ensure!(format!("{error:#}").contains("expected a folder"), "{error:#}");
    }
    assert_eq!(fs::metadata("/etc")?.uid(), 0);
    Ok(())
}
