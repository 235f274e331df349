//! Finds, builds and asks the Go program.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs, process, thread};

use serde_json::{Value, json};

const SOURCES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// One answer for each text.
pub(super) type Answers = Vec<Value>;

/// Asks one program for all texts.
pub(super) fn ask(what: &str, texts: &[impl AsRef<str>]) -> Answers {
    let mut child = Command::new(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Go program starts");
    let requests: String =
        texts.iter().map(|text| format!("{}\n", json!({"do": what, "text": text.as_ref()}))).collect();
    let mut stdin = child.stdin.take().unwrap();
    // Written from a thread of its own, or both ends wait for each other once the pipes are full.
    let writer = thread::spawn(move || stdin.write_all(requests.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the Go program failed: {}", output.status);
    let answers: Answers = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), texts.len());
    answers
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("HCLREF").map_or_else(build, PathBuf::from))
}

/// Builds into `<cache>/keylime-attestor/hclref-<hash of its sources>/` unless it is there. A
/// broken-off build leaves nothing under the final name.
fn build() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/hclref");
    let mut hasher = DefaultHasher::new();
    for name in SOURCES {
        fs::read(sources.join(name))
            .unwrap_or_else(|error| panic!("failed to read {name}: {error}"))
            .hash(&mut hasher);
    }
    let home = || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map_or_else(home, PathBuf::from);
    let folder = cache.join("keylime-attestor").join(format!("hclref-{:016x}", hasher.finish()));
    let program = folder.join("hclref");
    if program.exists() {
        return program;
    }
    fs::create_dir_all(&folder).unwrap();
    let partial = folder.join(format!("hclref.{}", process::id()));
    let built = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&partial)
        .arg(".")
        .current_dir(&sources)
        .status()
        .expect("go is installed (or HCLREF names the program)");
    assert!(built.success(), "go build failed in {}", sources.display());
    fs::rename(&partial, &program).unwrap();
    program
}
