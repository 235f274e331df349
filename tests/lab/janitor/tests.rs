//! Nothing that the lab starts or writes outlives the test that wanted it, however that ends.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, panic, thread};

use crate::process::Process;
use crate::{janitor, wait};
use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Set in the test process that gets killed.
const VICTIM: &str = "LAB_VICTIM";

#[test]
fn a_dropped_process_takes_its_children_with_it() -> Result<()> {
    let (process, _dir, child) = process_with_a_child()?;
    drop(process);
    wait_until_gone(&child)
}

#[test]
fn a_panicking_test_leaves_nothing() -> Result<()> {
    let (process, dir, child) = process_with_a_child()?;
    let folder = dir.path().to_owned();
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _held = (process, dir);
        panic::resume_unwind(Box::new(()));
    }));
    assert!(panicked.is_err());
    wait_until_gone(&child)?;
    wait_until_gone(&folder)
}

#[test]
fn a_killed_test_leaves_nothing() -> Result<()> {
    if env::var_os(VICTIM).is_some() {
        let (_process, dir, child) = process_with_a_child()?;
        println!("\nVICTIM {} {}", child.display(), dir.path().display());
        loop {
            thread::park();
        }
    }

    let mut test = Command::new(env::current_exe()?)
        .args(["--exact", "janitor::tests::a_killed_test_leaves_nothing", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(test.stdout.take().context("no output")?).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("VICTIM ").map(str::to_owned));
    let line = line.context("the test to be killed says nothing")?;
    let (child, folder) = line.split_once(' ').context("the test to be killed says something else")?;
    ensure!(Path::new(child).exists() && Path::new(folder).exists(), "nothing could be left: {line}");

    test.kill()?;
    test.wait()?;
    wait_until_gone(Path::new(child))?;
    wait_until_gone(Path::new(folder))
}

#[test]
fn a_vain_wait_shows_the_log() -> Result<()> {
    let dir = janitor::folder("leftovers")?;
    let mut process =
        Process::start("shell", dir.path(), Command::new("sh").args(["-c", "echo good-bye; exit 3"]))?;
    let error = process.wait_for_log("hello", TIMEOUT).expect_err("it says hello");
    let error = format!("{error:#}");
    assert!(error.contains("good-bye") && error.contains("exit status: 3"), "{error}");
    Ok(())
}

/// A process that asks for no end by itself and takes none; its folder; and the folder in /proc of
/// its child.
fn process_with_a_child() -> Result<(Process, TempDir, PathBuf)> {
    let dir = janitor::folder("leftovers")?;
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo child $$; read -r never < \"$1/never\"' sh \"$1\"; wait";
    ensure!(Command::new("mkfifo").arg(dir.path().join("never")).status()?.success(), "no fifo");
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(dir.path());
    let mut process = Process::start("shell", dir.path(), &mut command)?;
    process.wait_for_log("child", TIMEOUT)?;
    let log = process.log()?;
    let id = log.trim().strip_prefix("child ").with_context(|| format!("it says {log:?}"))?;
    let child = Path::new("/proc").join(id);
    ensure!(child.exists(), "the child does not run");
    Ok((process, dir, child))
}

/// A zombie is gone: only its parent's interest is left.
fn wait_until_gone(path: &Path) -> Result<()> {
    wait::until(&format!("{} gone", path.display()), TIMEOUT, || {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        ensure!(!path.exists() || status.contains("\nState:\tZ"), "it is there");
        Ok(())
    })
}
