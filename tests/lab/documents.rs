//! The fenced blocks of the repository's documents, so that tests run what people copy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// A fenced block of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The language behind the fence; empty for a drawing.
    pub language: String,
    /// The line before the fence.
    pub before: String,
    /// The content, without the indentation of the fence.
    pub text: String,
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of a document of the repository in one language, at least one.
///
/// # Errors
/// When the document cannot be read, or has no such block.
pub fn blocks(document: &str, language: &str) -> Result<Vec<String>> {
    let found = all_blocks(document)?.into_iter().filter(|block| block.language == language);
    let texts: Vec<String> = found.map(|block| block.text).collect();
    ensure!(!texts.is_empty(), "{document} has no block of {language}");
    Ok(texts)
}

/// All blocks of a document of the repository.
///
/// # Errors
/// When the document cannot be read.
pub fn all_blocks(document: &str) -> Result<Vec<Block>> {
    let text = fs::read_to_string(repository().join(document))
        .with_context(|| format!("failed to read {document}"))?;
    let mut blocks = Vec::new();
    let (mut before, mut lines) = ("", text.lines());
    while let Some(line) = lines.next() {
        if let Some((indent, language)) = line.split_once("```") {
            let content = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            let content = content.map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line)));
            blocks.push(Block {
                language: language.to_owned(),
                before: before.trim().to_owned(),
                text: content.collect(),
            });
        }
        before = line;
    }
    Ok(blocks)
}
