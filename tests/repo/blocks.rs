//! Every block of a document that somebody may copy is tried by a test, which the line before it
//! names, or says there why no test runs it.

use std::process::Command;

use anyhow::Result;
use lab::documents::{Block, all_blocks};
use lab::process::output;

use crate::{read, root};

#[test]
fn each_block_is_tried_or_says_why_not() -> Result<()> {
    let listed = output(Command::new("git").args(["ls-files", "*.md"]).current_dir(root()))?;
    let mut wrong = Vec::new();
    let mut tried = 0;
    for document in listed.lines() {
        for block in all_blocks(document)?.iter().filter(|block| !block.language.is_empty()) {
            match problem(document, block) {
                None => tried += 1,
                Some(problem) => wrong.push(format!("{document}: {problem}:\n{}", block.text)),
            }
        }
    }
    assert!(wrong.is_empty() && tried > 10, "{tried} blocks are right, these are not: {wrong:#?}");
    Ok(())
}

fn problem(document: &str, block: &Block) -> Option<String> {
    let mark = block.before.strip_prefix("<!-- ").and_then(|mark| mark.strip_suffix(" -->"));
    let expected = "expected <!-- tried by tests/… --> or <!-- not run by a test: … --> before it";
    let Some(mark) = mark else { return Some(expected.to_owned()) };
    if mark.strip_prefix("not run by a test: ").is_some_and(|reason| !reason.is_empty()) {
        return None;
    }
    let Some(test) = mark.strip_prefix("tried by ") else { return Some(expected.to_owned()) };
    match read(test) {
        Ok(source) if source.contains(document) => None,
        Ok(_) => Some(format!("{test} does not read it")),
        Err(error) => Some(error.to_string()),
    }
}
