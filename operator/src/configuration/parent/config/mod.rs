//! The configuration of `spire-controller-manager` with another `parentIDTemplate`. The text is
//! edited, not written anew: comments, order and every other byte stay. The result is read again,
//! and refused where it means anything else. Pure.

use std::str::FromStr as _;

use serde_json::{Map, Value};
use yaml_edit::YamlFile;

const KEY: &str = "parentIDTemplate";
const KIND: &str = "ControllerManagerConfig";

/// The reason why a configuration is not edited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read it as YAML: {0}")]
    Yaml(#[from] Box<serde_yaml::Error>),
    #[error("expected a mapping of kind {KIND}, as spire-controller-manager reads it, got {came}")]
    Kind {
        /// The kind that it has instead.
        came: String,
    },
    #[error("expected {KEY} to be a text, it is something else")]
    NotText,
    #[error("{KEY} has an action that cannot stand within another, define or block: write it without")]
    Nested,
    #[error("{KEY} cannot be set without touching the rest: write its value without an anchor")]
    NotEditable,
}

/// The template of a configuration; [`None`] for the program's own.
pub(crate) fn parent_id_template(text: &str) -> Result<Option<String>, Error> {
    match read(text)?.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone()).filter(|template| !template.is_empty())),
        Some(_) => Err(Error::NotText),
    }
}

/// The configuration with the template that `replace` makes of the one it has.
pub(crate) fn derive(text: &str, replace: impl Fn(Option<&str>) -> String) -> Result<String, Error> {
    let original = parent_id_template(text)?;
    if original.as_deref().is_some_and(cannot_be_nested) {
        return Err(Error::Nested);
    }
    let template = replace(original.as_deref());
    if original.as_ref() == Some(&template) {
        return Ok(text.to_owned());
    }
    let mut expected = read(text)?;
    expected.insert(KEY.to_owned(), template.clone().into());
    let edited = set(text, &template).ok_or(Error::NotEditable)?;
    match read(&edited) {
        Ok(came) if came == expected => Ok(edited),
        _ => Err(Error::NotEditable),
    }
}

pub(super) fn read(text: &str) -> Result<Map<String, Value>, Error> {
    let value = yaml(text)?;
    let kind = value.get("kind").and_then(Value::as_str).map(str::to_owned);
    match value {
        Value::Object(mapping) if kind.as_deref() == Some(KIND) => Ok(mapping),
        Value::Object(_) => {
            Err(Error::Kind { came: kind.map_or("none".to_owned(), |kind| kind.chars().take(80).collect()) })
        }
        _ => Err(Error::Kind { came: "no mapping".to_owned() }),
    }
}

/// The value of a text, with errors that do not quote the text: they end in a condition's message.
fn yaml(text: &str) -> Result<Value, Box<serde_yaml::Error>> {
    let options = serde_yaml::options! { with_snippet: false };
    serde_yaml::from_str_with_options(text, options).map_err(Box::new)
}

/// True for a template with an action that cannot stand within `if`: Go's template language has
/// two.
fn cannot_be_nested(template: &str) -> bool {
    template.split("{{").skip(1).any(|action| {
        let action = action.trim_start_matches('-').trim_start();
        action.starts_with("define") || action.starts_with("block")
    })
}

/// Sets the template, in the place of the present one or behind the last key.
fn set(text: &str, template: &str) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    file.document()?.as_mapping()?.set(KEY, template);
    Some(file.to_string())
}

#[cfg(test)]
mod tests;
