//! `crds/` is what the types say. `UPDATE_GENERATED=1 cargo test -p keylime-attestor-api` writes it
//! anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keylime_attestor_api::{AttestedNode, KeylimeAttestor};
use kube::CustomResourceExt;
use serde_json::Value;

/// One file each.
const KINDS: &[fn() -> CustomResourceDefinition] = &[AttestedNode::crd, KeylimeAttestor::crd];

const HEADER: &str =
    "# Generated from operator/api by: UPDATE_GENERATED=1 cargo test -p keylime-attestor-api\n";

#[test]
fn crds_are_what_the_types_say() -> Result<()> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let mut expected: Vec<PathBuf> = Vec::new();
    for kind in KINDS {
        let crd = kind();
        let file = crds.join(format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural));
        compare(&file, &yaml(serde_json::to_value(&crd)?)?)?;
        expected.push(file);
    }
    let mut there = crds.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    there.sort();
    assert_eq!(there, expected, "a kind that is no more leaves no file behind");
    Ok(())
}

#[test]
fn every_field_is_documented() -> Result<()> {
    for kind in KINDS {
        let crd = serde_json::to_value(kind())?;
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert!(schema["properties"]["status"].is_object(), "this is where fields are");
        assert_documented(schema, "");
    }
    Ok(())
}

fn assert_documented(schema: &Value, place: &str) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        let text = field["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{place} is not documented: {text:?}");
        assert_documented(field, &place);
        assert_documented(&field["items"], &place);
    }
}

fn compare(file: &Path, expected: &str) -> Result<()> {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(file, expected)?;
    }
    let current = fs::read_to_string(file).unwrap_or_default() == expected;
    assert!(
        current,
        "{} is out of date: run UPDATE_GENERATED=1 cargo test -p keylime-attestor-api",
        file.display()
    );
    Ok(())
}

fn yaml(mut crd: Value) -> Result<String> {
    join_lines(&mut crd);
    // Each description on one line.
    let options = serde_yaml::ser_options! { folded_wrap_chars: usize::MAX };
    Ok(HEADER.to_owned() + &serde_yaml::to_string_with_options(&crd, options)?)
}

/// A description is a paragraph and not lines as wide as our source.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => *text = text.replace('\n', " "),
                    _ => join_lines(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}
