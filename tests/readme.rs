//! The README says what the programs are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result};
use lab::programs;
use serde_json::Value;

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
fn the_tables_of_the_resource_are_those_of_the_operator() -> Result<()> {
    let mut readme = readme()?;
    for (name, table) in [
        ("spec", spec_table()?),
        ("conditions", keylime_attestor_api::conditions::markdown()),
        ("nodes", keylime_attestor_api::node_reason::markdown()),
    ] {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (before, rest) = readme.split_once(&start).with_context(|| format!("no {start}"))?;
        let (told, after) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
        if env::var_os("UPDATE_GENERATED").is_some() {
            readme = format!("{before}{start}{table}{end}{after}");
            fs::write(root().join("README.md"), &readme)?;
        } else {
            assert_eq!(
                told, table,
                "the README's table `{name}` is old: UPDATE_GENERATED=1 cargo test -p lab --test readme"
            );
        }
    }
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

/// Every field of the resource's spec: its path, its default, the first sentence about it.
fn spec_table() -> Result<String> {
    let crd = fs::read_to_string(root().join("crds/spire.keylime.dev_keylimeattestors.yaml"))?;
    let crd: Value = serde_yaml::from_str(&crd)?;
    let spec = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .context("the CRD has no spec")?;
    let mut table = "| field of `spec` | default | |\n| --- | --- | --- |\n".to_owned();
    fields(spec, "", &mut table);
    Ok(table)
}

fn fields(schema: &Value, path: &str, table: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, field) in properties {
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        let items = field.get("items").filter(|items| items.get("properties").is_some());
        if field.get("properties").is_some() {
            fields(field, &path, table);
        } else if let Some(items) = items {
            fields(items, &format!("{path}[]"), table);
        } else {
            let about = field.get("description").and_then(Value::as_str).unwrap_or_default();
            let about = about.split_inclusive(". ").next().unwrap_or_default().trim();
            let default = field.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
            *table += &format!("| `{path}` | {default} | {about} |\n");
        }
    }
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
