//! The version has its home in Cargo.toml; what repeats it agrees.

use std::process::Command;

use anyhow::{Context as _, Result};
use lab::process::output;

use crate::{read, root};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_version_is_one() -> Result<()> {
    let printed = output(&mut Command::new(root().join("operator/release/version.sh")))?;
    assert_eq!(printed.trim(), VERSION, "of Cargo.toml");
    for chart in ["keylime-attestor", "keylime-attestor-crds"] {
        let file = format!("charts/{chart}/Chart.yaml");
        assert_eq!(after(&file, &["\nversion: ", "\nappVersion: "])?, [VERSION; 2], "{file}");
    }
    assert_eq!(after("Containerfile", &["image.version=\""])?, [VERSION]);

    let manifests = "charts/manifests/keylime-attestor.yaml";
    let told = after(manifests, &["app.kubernetes.io/version: \"", "localhost/keylime-attestor:"])?;
    assert!(told.len() > 10 && told.iter().all(|version| version == VERSION), "{manifests}: {told:?}");
    Ok(())
}

#[test]
fn the_changelog_begins_with_this_version() -> Result<()> {
    let heading = after("operator/docs/changelog.md", &["\n## "])?;
    assert_eq!(heading.first().map(String::as_str), Some(VERSION));
    Ok(())
}

/// What is behind each of these texts in a file, up to a quote, a blank or the line's end.
fn after(file: &str, texts: &[&str]) -> Result<Vec<String>> {
    let content = read(file)?;
    let mut found = Vec::new();
    for text in texts {
        let rest = content.split(text).skip(1);
        let begins = found.len();
        found.extend(rest.filter_map(|rest| Some(rest.split(['"', '\'', ' ', '\n']).next()?.to_owned())));
        (found.len() > begins).then_some(()).with_context(|| format!("{file} has no {text:?}"))?;
    }
    Ok(found)
}
