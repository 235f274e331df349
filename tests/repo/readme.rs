//! The documents say what the programs are, and lead where they say.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result};
use lab::process::output;
use lab::programs;
use serde_json::{Value, json};

use crate::{read, root};

#[test]
fn the_configuration_tables_are_those_of_the_programs() -> Result<()> {
    for (program, document) in [
        ("keylime-attestor-agent", "plugins/agent/README.md"),
        ("keylime-attestor-server", "plugins/server/README.md"),
    ] {
        let table = output(Command::new(programs::built(program)?).arg("configuration"))?;
        let told = read(document)?;
        assert!(told.contains(&table), "{document} lacks what `{program} configuration` prints:\n{table}");
    }
    Ok(())
}

#[test]
fn the_selectors_are_those_that_the_code_makes() -> Result<()> {
    let document = read("plugins/server/README.md")?;
    let rows: Vec<&str> = section(&document, "## Selectors")?
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
    for (name, table) in [
        ("spec", spec_table()?),
        ("conditions", keylime_attestor_api::conditions::markdown()),
        ("nodes", keylime_attestor_api::node_reason::markdown()),
    ] {
        let document = format!("operator/docs/{name}.md");
        let text = read(&document)?;
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (before, rest) = text.split_once(&start).with_context(|| format!("no {start}"))?;
        let (told, after) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(root().join(&document), format!("{before}{start}{table}{end}{after}"))?;
        } else {
            assert_eq!(told, table, "{document} is old: UPDATE_GENERATED=1 cargo test -p lab --test repo");
        }
    }
    Ok(())
}

/// Of every document: a file that a link names is there, and so is the heading.
#[test]
fn links_lead_somewhere() -> Result<()> {
    let listed = output(Command::new("git").args(["ls-files", "*.md"]).current_dir(root()))?;
    assert!(listed.contains("README.md"), "git lists no documents: {listed}");
    let mut wrong = Vec::new();
    for document in listed.lines() {
        let text = read(document)?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") && !leads_somewhere(document, link)? {
                wrong.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these links lead nowhere: {wrong:#?}");
    Ok(())
}

fn leads_somewhere(document: &str, link: &str) -> Result<bool> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let from = root().join(document);
    let folder = from.parent().context("a document is in a folder")?;
    let target = if file.is_empty() { from.clone() } else { folder.join(file) };
    if heading.is_empty() {
        return Ok(target.exists());
    }
    let Ok(text) = fs::read_to_string(&target) else { return Ok(false) };
    Ok(text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading))
}

/// A heading's anchor, as GitHub and GitLab make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|kept| kept.is_alphanumeric() || matches!(kept, ' ' | '-' | '_'));
    kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
}

#[test]
fn the_quick_start_is_one_text() -> Result<()> {
    let resource = read("charts/keylime-attestor/files/quickstart.yaml")?;
    let shown: String = resource.lines().map(|line| format!("   {line}\n")).collect();
    assert!(
        read("README.md")?.contains(&format!("   ```yaml\n{shown}   ```\n")),
        "README.md shows another resource"
    );
    let notes = read("charts/keylime-attestor/templates/NOTES.txt")?;
    assert!(notes.contains("\"files/quickstart.yaml\"") && !notes.contains("kind: KeylimeAttestor"));
    // The Secrets that it names are those that the operator may see.
    let spec: Value = serde_yaml::from_str(&resource)?;
    let text = |path| spec.pointer(path).and_then(Value::as_str).unwrap_or_default();
    for (at, namespace, secret) in [
        (0, text("/metadata/namespace"), text("/spec/keylime/tls/secretName")),
        (1, text("/spec/spire/agents/0/namespace"), text("/spec/keylime/agent/tls/secretName")),
    ] {
        let value = "--set 'rbac.keylimeSecrets";
        let flags = format!("{value}[{at}].namespace={namespace}' {value}[{at}].names={{{secret}}}'");
        for document in
            ["README.md", "charts/keylime-attestor/README.md", "charts/keylime-attestor/templates/NOTES.txt"]
        {
            assert!(read(document)?.contains(&flags), "{document} has no {flags}");
        }
        let right = format!("{{namespace: {namespace}, names: [{secret}]}}");
        assert!(read("charts/keylime-attestor/files/quickstart-values.yaml")?.contains(&right), "no {right}");
    }
    Ok(())
}

#[test]
fn the_readme_is_short() -> Result<()> {
    let lines = read("README.md")?.lines().count();
    assert!(lines <= 150, "the README has {lines} lines: the rest lies with what it describes");
    Ok(())
}

#[test]
fn every_text_of_the_troubleshooting_table_can_appear() -> Result<()> {
    let document = read("plugins/server/README.md")?;
    let mut sources = String::new();
    read_sources(&root().join("plugins"), &mut sources)?;
    let rows: Vec<&str> = section(&document, "## Troubleshooting")?
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
        let is_required =
            schema.get("required").and_then(Value::as_array).is_some_and(|all| all.contains(&json!(name)));
        // Within something that may be left out, it is required with it.
        let parent = path.trim_end_matches("[]");
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        let items = field.get("items").filter(|items| items.get("properties").is_some());
        if field.get("properties").is_some() {
            fields(field, &path, table);
        } else if let Some(items) = items {
            fields(items, &format!("{path}[]"), table);
        } else {
            let about = field.get("description").and_then(Value::as_str).unwrap_or_default();
            let about = about.split_inclusive(". ").next().unwrap_or_default().trim();
            let default = match field.get("default") {
                Some(default) => format!("`{default}`"),
                None if is_required && parent.is_empty() => "**required**".to_owned(),
                None if is_required => format!("**required** in `{parent}`"),
                None => String::new(),
            };
            *table += &format!("| `{path}` | {default} | {about} |\n");
        }
    }
}

fn section<'a>(document: &'a str, heading: &str) -> Result<&'a str> {
    let (_, section) = document.split_once(heading).with_context(|| format!("no heading {heading}"))?;
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
