//! What builds come from is named by its content, not by a tag that somebody moves.

use anyhow::Result;
use lab::process::output;

use crate::{read, root};

#[test]
fn base_images_and_actions_are_named_by_their_content() -> Result<()> {
    let listed = output(
        std::process::Command::new("git")
            .args(["ls-files", "Containerfile", ".github/workflows"])
            .current_dir(root()),
    )?;
    let (mut pinned, mut wrong) = (0, Vec::new());
    for file in listed.lines() {
        for line in read(file)?.lines() {
            let Some(source) = source(line) else { continue };
            let at = source.rsplit_once('@').map(|(_, at)| at.trim_start_matches("sha256:"));
            match at {
                Some(at) if at.len() >= 40 && at.bytes().all(|byte| byte.is_ascii_hexdigit()) => pinned += 1,
                _ => wrong.push(format!("{file}: {line}")),
            }
        }
    }
    assert!(wrong.is_empty(), "without a digest, or the hash of a commit: {wrong:#?}");
    assert!(pinned > 5, "{pinned} only");
    Ok(())
}

/// What a line builds from; none but `scratch` is nothing.
fn source(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("- ");
    let rest = ["FROM ", "uses: ", "container: ", "image: "].iter().find_map(|key| line.strip_prefix(key))?;
    // A job is named `image`, too: its name has nothing behind it.
    let source = rest.split_whitespace().next()?;
    (source != "scratch").then_some(source)
}
