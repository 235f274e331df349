//! The README says what the programs are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::programs;

#[test]
fn the_configuration_tables_are_those_of_the_programs() -> Result<()> {
    let readme = readme()?;
    for program in ["keylime-attestor-agent", "keylime-attestor-server"] {
        let printed = Command::new(programs::built(program)?).arg("configuration").output()?.stdout;
        let table = String::from_utf8(printed)?;
        assert!(readme.contains(&table), "the README lacks what `{program} configuration` prints:\n{table}");
    }
    Ok(())
}

#[test]
fn the_selectors_are_those_that_the_code_makes() -> Result<()> {
    let readme = readme()?;
    let rows: Vec<&str> = section(&readme, "## Selectors")?
        .lines()
        .filter_map(|line| line.strip_prefix("| `keylime:")?.split([':', '`']).next())
        .collect();
    let source = fs::read_to_string(root().join("plugins/evidence/src/selector.rs"))?;
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut made: Vec<&str> =
        code.split("format!(\"").skip(1).filter_map(|made| made.split(':').next()).collect();
    let mut told = rows.clone();
    made.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, made);
    Ok(())
}

#[test]
fn every_text_of_the_troubleshooting_table_can_appear() -> Result<()> {
    let readme = readme()?;
    let mut sources = String::new();
    read_sources(&root().join("plugins"), &mut sources)?;
    let rows: Vec<&str> = section(&readme, "## Troubleshooting")?
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(rows.len() > 10, "{rows:?}");
    for text in rows {
        for part in text.split(" … ") {
            assert!(sources.contains(part), "no program says {part:?}");
        }
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn readme() -> Result<String> {
    Ok(fs::read_to_string(root().join("README.md"))?)
}

fn section<'a>(readme: &'a str, heading: &str) -> Result<&'a str> {
    let (_, section) = readme.split_once(heading).with_context(|| format!("the README has no {heading}"))?;
    Ok(section.split("\n## ").next().unwrap_or_default())
}

fn read_sources(folder: &Path, sources: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
