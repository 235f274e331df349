//! SPIRE's configuration files, in the forms that people write and programs make.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// The form in which SPIRE's configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HCL, as people write it.
    Hcl,
    /// JSON, as SPIRE's Helm chart renders it.
    Json,
    /// HCL, with our plugin's part in a file of its own (`plugin_data_file`).
    DataFile,
}

/// One of our plugins in SPIRE's configuration.
#[derive(Debug, Clone)]
pub struct Attestor {
    /// The plugin's program.
    pub program: PathBuf,
    /// The SHA-256 that SPIRE has to find, in hex.
    pub checksum: Option<String>,
    /// The plugin's own configuration: key and value.
    pub data: Map<String, Value>,
    /// How all of it is written.
    pub form: Form,
}

impl Attestor {
    /// A plugin with the configuration given, a JSON object, in SPIRE's configuration as HCL.
    pub fn new(program: PathBuf, data: Value) -> Self {
        let data = if let Value::Object(data) = data { data } else { Map::new() };
        Self { program, checksum: None, data, form: Form::Hcl }
    }
}

/// A plugin: its type, its name, and what stands in its block.
type Plugin = (&'static str, &'static str, Value);

/// Writes the configuration of SPIRE's server or agent (`part`) to `spire.conf` in `dir`, and gives
/// its path.
pub(super) fn write(
    dir: &Path,
    part: &str,
    settings: &Value,
    plugins: &[Plugin],
    attestor: &Attestor,
) -> Result<PathBuf> {
    let mut plugins = plugins.to_vec();
    plugins.push(("NodeAttestor", "keylime", node_attestor(dir, attestor)?));
    let text = match attestor.form {
        Form::Json => as_json(part, settings, &plugins)?,
        Form::Hcl | Form::DataFile => as_hcl(part, settings, &plugins)?,
    };
    let path = dir.join("spire.conf");
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

fn node_attestor(dir: &Path, attestor: &Attestor) -> Result<Value> {
    let mut block = Map::new();
    block.insert("plugin_cmd".to_owned(), json!(attestor.program));
    if let Some(checksum) = &attestor.checksum {
        block.insert("plugin_checksum".to_owned(), json!(checksum));
    }
    if attestor.form == Form::DataFile {
        let path = dir.join("keylime.conf");
        let mut text = String::new();
        write_block(&mut text, 0, &attestor.data)?;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        block.insert("plugin_data_file".to_owned(), json!(path));
    } else {
        block.insert("plugin_data".to_owned(), Value::Object(attestor.data.clone()));
    }
    Ok(Value::Object(block))
}

/// As the chart: sorted keys, and for each type of plugin a list of objects with one key.
fn as_json(part: &str, settings: &Value, plugins: &[Plugin]) -> Result<String> {
    let mut types = Map::new();
    for (kind, name, block) in plugins {
        types.insert((*kind).to_owned(), json!([{ *name: block }]));
    }
    Ok(serde_json::to_string_pretty(&json!({ part: settings, "plugins": types }))?)
}

fn as_hcl(part: &str, settings: &Value, plugins: &[Plugin]) -> Result<String> {
    let mut text = String::new();
    write_value(&mut text, 0, part, settings)?;
    writeln!(text, "\nplugins {{")?;
    for (kind, name, block) in plugins {
        write_value(&mut text, 1, &format!("{kind} \"{name}\""), block)?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}

fn write_block(text: &mut String, depth: usize, block: &Map<String, Value>) -> Result<()> {
    block.iter().try_for_each(|(key, value)| write_value(text, depth, key, value))
}

/// `key { ... }` or `key = value`; a plain value is written alike in HCL and JSON.
fn write_value(text: &mut String, depth: usize, key: &str, value: &Value) -> Result<()> {
    let indent = "  ".repeat(depth);
    if let Value::Object(block) = value {
        writeln!(text, "{indent}{key} {{")?;
        write_block(text, depth + 1, block)?;
        writeln!(text, "{indent}}}")?;
    } else {
        writeln!(text, "{indent}{key} = {value}")?;
    }
    Ok(())
}
