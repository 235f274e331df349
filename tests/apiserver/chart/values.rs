//! `values.yaml` as the chart's documentation and schema repeat it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::helm::{chart, read};

#[test]
fn the_schema_knows_the_values_and_no_others() -> Result<()> {
    let values: Value = serde_yaml::from_str(&read(&chart().join("values.yaml"))?)?;
    let schema: Value = serde_json::from_str(&read(&chart().join("values.schema.json"))?)?;
    compare(&values, &schema, "")
}

/// The values as a Markdown table: a row for each comment that begins with `# --`.
pub(crate) fn table() -> Result<String> {
    let text = read(&chart().join("values.yaml"))?;
    let values: Value = serde_yaml::from_str(&text)?;
    let documented = documented(&text)?;
    let mut table = "| Value | Default | |\n| --- | --- | --- |\n".to_owned();
    for (path, comment) in &documented {
        let default = values.pointer(&path.replace('.', "/")).with_context(|| format!("no value {path}"))?;
        let path = path.trim_start_matches('.');
        ensure!(!comment.contains('|') && comment.ends_with('.'), "{path}: {comment}");
        table += &format!("| `{path}` | `{default}` | {comment} |\n");
    }
    let told = documented.into_iter().map(|(path, _)| path).collect();
    undocumented(&values, "", &told)?;
    Ok(table)
}

/// Each commented value, with its path as `.image.tag`.
fn documented(text: &str) -> Result<Vec<(String, &str)>> {
    let (mut documented, mut comment) = (Vec::new(), None);
    // The keys that the line is below of, with their indentation.
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(text) = content.strip_prefix("# -- ") {
            comment = Some(text);
        } else if let Some((key, _)) = content.split_once(':').filter(|_| !content.starts_with('#')) {
            let indent = line.len() - content.len();
            above.retain(|(above, _)| *above < indent);
            above.push((indent, key));
            let path: String = above.iter().map(|(_, key)| format!(".{key}")).collect();
            documented.extend(comment.take().map(|comment| (path, comment)));
        }
    }
    ensure!(comment.is_none(), "{comment:?} is about no value");
    Ok(documented)
}

fn undocumented(value: &Value, path: &str, documented: &BTreeSet<String>) -> Result<()> {
    if documented.contains(path) {
        return Ok(());
    }
    let members = value.as_object().filter(|members| !members.is_empty());
    for (name, member) in members.with_context(|| format!("{path} is not documented"))? {
        undocumented(member, &format!("{path}.{name}"), documented)?;
    }
    Ok(())
}

/// The value that Helm itself hands to a chart within a chart, which is none of the chart's own.
const OF_HELM: &str = "global";

fn compare(value: &Value, schema: &Value, path: &str) -> Result<()> {
    let Some(properties) = schema.pointer("/properties").and_then(Value::as_object) else { return Ok(()) };
    ensure!(schema.pointer("/additionalProperties") == Some(&Value::Bool(false)), "{path} takes anything");
    let known: BTreeSet<_> = properties.keys().filter(|key| *key != OF_HELM).collect();
    let members = value.as_object().with_context(|| format!("{path} has no members"))?;
    assert_eq!(members.keys().collect::<BTreeSet<_>>(), known, "{path}");
    for (name, member) in members {
        compare(member, &properties[name], &format!("{path}.{name}"))?;
    }
    Ok(())
}
