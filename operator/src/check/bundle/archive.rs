//! The archive: its files, its bound, and the list of what is in it and what is not.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;
use tar::{Builder, Header};

use super::redact::redact;

/// The folder of all files.
const FOLDER: &str = "keylime-attestor-bundle";

/// Most bytes of all files together, not compressed.
const MOST: usize = 64 << 20;

/// Files that are collected. Several objects of a kind and namespace are the documents of one file.
#[derive(Default)]
pub(super) struct Archive {
    files: BTreeMap<String, String>,
    bytes: usize,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct LeftOut {
    what: String,
    why: String,
}

#[derive(Serialize)]
struct Contents<'a> {
    version: &'static str,
    files: BTreeMap<&'a str, usize>,
    left_out: &'a [LeftOut],
}

/// A file that is not there yet, for its owner alone.
pub(super) fn create(file: &Path) -> Result<File> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.with_context(|| format!("failed to make {}: give a file that is not there yet", file.display()))
}

impl Archive {
    /// Adds to a file, as far as there is room.
    pub(super) fn add(&mut self, path: &str, text: String) {
        if self.bytes.saturating_add(text.len()) > MOST {
            return self.left_out(path, &format!("the bundle would have more than {MOST} bytes"));
        }
        self.bytes += text.len();
        self.files.entry(path.to_owned()).or_default().push_str(&text);
    }

    /// Adds an object, as it is shown.
    pub(super) fn value(&mut self, kind: &str, object: &Value) {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        let folder = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        match serde_yaml::to_string(object) {
            Ok(text) => self.add(&format!("objects/{folder}{kind}.yaml"), format!("---\n{text}")),
            Err(error) => self.left_out(kind, &error.to_string()),
        }
    }

    pub(super) fn left_out(&mut self, what: &str, why: &str) {
        self.left_out.push(LeftOut { what: redact(what), why: redact(why) });
    }

    pub(super) fn summary(&self) -> String {
        let (files, left_out) = (self.files.len(), self.left_out.len());
        format!(
            "{files} files; its contents.yaml says what is not in it ({left_out}). Read it before you send it"
        )
    }

    pub(super) fn write(self, file: File) -> Result<()> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.len())).collect();
        let version = env!("CARGO_PKG_VERSION");
        let contents = Contents { version, files, left_out: &self.left_out };
        let contents = serde_yaml::to_string(&contents)?;
        let mut builder = Builder::new(GzEncoder::new(file, Compression::default()));
        append(&mut builder, "contents.yaml", &contents)?;
        for (path, text) in &self.files {
            append(&mut builder, path, text)?;
        }
        let mut file = builder.into_inner()?.finish()?;
        Ok(file.flush()?)
    }
}

fn append(builder: &mut Builder<impl io::Write>, path: &str, text: &str) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    builder.append_data(&mut header, format!("{FOLDER}/{path}"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_says_so() {
        let mut archive = Archive::default();
        archive.add("a", "x".repeat(MOST));
        archive.add("b", "x".to_owned());
        assert!(!archive.files.contains_key("b"));
        assert!(archive.left_out.iter().any(|left| left.what == "b" && left.why.contains("more than")));
    }

    #[test]
    fn no_file_is_overwritten() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = create(file.path()).unwrap_err().to_string();
        assert!(error.contains("a file that is not there yet"), "{error}");
    }
}
