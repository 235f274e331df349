//! What is made from the chart and for it is up to date. It is written anew by
//! `UPDATE_GENERATED=1 cargo test -p lab --test apiserver chart::generated`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::helm::{HELMS, NAMESPACE, at, chart, objects, read, repository, template, text};
use super::values;

const TABLE: &str = "<!-- Generated from values.yaml by: UPDATE_GENERATED=1 cargo test -p lab --test apiserver chart::generated -->\n\n";
const MANIFESTS: &str = "# Generated from charts/keylime-attestor by: UPDATE_GENERATED=1 cargo test -p lab --test apiserver chart::generated\n";

#[test]
fn the_chart_has_the_crds_of_the_project() -> Result<()> {
    let mut ours = Vec::new();
    for file in crds(&repository().join("crds"))? {
        let crd = read(&repository().join("crds").join(&file))?;
        compare(&chart().join("files").join(&file), &crd)?;
        ours.extend(objects(&crd)?);
    }
    assert_eq!(
        crds(&chart().join("files"))?.len(),
        ours.len(),
        "a kind that is no more leaves no file behind"
    );

    // Whatever the template does with them, the schemas stay the same.
    for helm in HELMS {
        let rendered = objects(&template(helm, &["--show-only", "templates/crds.yaml"])?)?;
        assert_eq!(rendered.len(), ours.len());
        for (rendered, ours) in rendered.iter().zip(&ours) {
            assert_eq!(rendered.pointer("/spec").map(alike), ours.pointer("/spec").map(alike));
            assert_eq!(at(rendered, "/metadata/name"), at(ours, "/metadata/name"));
            assert_eq!(at(rendered, "/metadata/annotations/helm.sh~1resource-policy"), "keep");
        }
    }
    Ok(())
}

/// The chart with the names that the README starts from, but the CRDs, which are in crds/, and the
/// hooks, which are Helm's.
#[test]
fn the_plain_manifests_are_those_of_the_chart() -> Result<()> {
    let labels =
        ["enforce", "warn"].map(|mode| format!("    pod-security.kubernetes.io/{mode}: restricted\n"));
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n");
    let values = repository().join("charts/keylime-attestor/files/quickstart-values.yaml");
    let values = ["--values", text(&values)?];
    let chart = template(HELMS[0], &[&["--set", "crds.install=false", "--no-hooks"], &values[..]].concat())?;
    let manifests = MANIFESTS.to_owned() + &namespace + &labels.concat() + &chart;
    compare(&repository().join("charts/manifests/keylime-attestor.yaml"), &manifests)
}

#[test]
fn the_readme_has_a_table_of_the_values() -> Result<()> {
    let readme = chart().join("README.md");
    let text = read(&readme)?;
    let (before, _) = text.split_once(TABLE).with_context(|| format!("the README has no {TABLE}"))?;
    compare(&readme, &(before.to_owned() + TABLE + &values::table()?))
}

/// The names of the files in a folder that hold CRDs, in order.
fn crds(folder: &Path) -> Result<Vec<String>> {
    let names = folder.read_dir()?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.starts_with("spire.keylime.dev_"));
    names.sort();
    ensure!(!names.is_empty(), "{} has no CRD", folder.display());
    Ok(names)
}

/// With 1 and 1.0 written alike: Helm writes the shorter one.
fn alike(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(alike).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), alike(member))).collect()
        }
        other => other.clone(),
    }
}

fn compare(file: &Path, expected: &str) -> Result<()> {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(file, expected)?;
    }
    let current = fs::read_to_string(file).unwrap_or_default() == expected;
    assert!(
        current,
        "{} is out of date: run UPDATE_GENERATED=1 cargo test -p lab --test apiserver chart::generated",
        file.display()
    );
    Ok(())
}
