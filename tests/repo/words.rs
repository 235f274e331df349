//! One thing has one word: what a word replaced stays replaced, in names and in texts.

use std::process::Command;

use anyhow::Result;
use lab::process::output;

use crate::{read, root};

/// Words that were replaced, with those that replaced them. Names are read word by word: `lastPoll`
/// and `last_poll` are both "last poll".
const REPLACED: &[(&str, &str)] = &[
    ("canary", "batch"),
    ("in steps", "in batches"),
    ("parented", "parent IDs"),
    ("action off", "action observe"),
    ("last look", "last poll"),
    ("look duration", "poll duration"),
    ("look errors", "poll errors"),
    ("look again", "poll again, reconcile again"),
    ("take back", "withdraw, on deletion; roll back, a rollout"),
    ("taken back", "withdrawn, on deletion; rolled back, a rollout"),
    ("takes back", "withdraws, on deletion; rolls back, a rollout"),
    ("contest", "fighting"),
    ("fight", "fighting"),
    ("judge", "assess"),
    ("judges", "assesses"),
    ("judged", "assessed"),
    ("judgement", "assessment"),
    ("verdict", "assessment, result, refusal"),
    ("blind", "poll error"),
    ("speechless", "Keylime unavailable"),
    ("complaint", "diagnosis"),
    ("twin", "shared certificate"),
    ("consequences", "node failure"),
];

/// In what a user reads, nobody looks: nodes and Keylime are polled, resources are reconciled.
const REPLACED_FOR_USERS: &[(&str, &str)] =
    &[("look", "poll, reconcile"), ("looks", "polls, reconciles"), ("looked", "polled, reconciled")];

/// Where a user reads.
const FOR_USERS: &[&str] =
    &["charts/", "crds/", "operator/api/src/", "operator/api/testdata/", "operator/docs/"];

/// Where a replaced word is another thing's, or an earlier one's.
const ALLOWED: &[(&str, &str)] = &[
    // This list.
    ("tests/repo/words.rs", ""),
    // To judge a node's evidence is this crate's own word.
    ("plugins/evidence/", "judge"),
    ("plugins/evidence/", "judges"),
    ("plugins/evidence/", "judged"),
    ("plugins/evidence/", "judgement"),
    ("plugins/evidence/", "verdict"),
    // Any enumeration serves to read HCL.
    ("plugins/hcl/", "action off"),
    // A shell function of the lab's own.
    ("tests/lab/cluster/cgroups.sh", "take back"),
];

/// Not a word of ours each: what names a function of the crate `evidence`, and other phrases.
const OTHER_PHRASES: &[&str] = &[
    "judge state",
    "for step in steps",
    "look up",
    "looks up",
    "looked up",
    "look for",
    "looks for",
    "looked for",
];

#[test]
fn replaced_words_stay_replaced() -> Result<()> {
    let listed = output(
        Command::new("git")
            .args([
                "ls-files", "*.rs", "*.md", "*.yaml", "*.yml", "*.json", "*.txt", "*.tpl", "*.sh", "*.hcl",
                "*.conf",
            ])
            .current_dir(root()),
    )?;
    assert!(listed.contains("README.md"), "git lists no files: {listed}");
    let mut found = Vec::new();
    for file in listed.lines().filter(|file| !file.starts_with("tests/testdata/keylime/")) {
        let text = read(file)?;
        for (number, line) in (1..).zip(text.lines()) {
            let words = words(line);
            let replaced = replaced(file).filter(|(word, _)| words.contains(&format!(" {word} ")));
            found.extend(replaced.map(|(word, by)| format!("{file}:{number}: {word}; say {by}")));
        }
    }
    assert!(found.is_empty(), "these words were replaced: {found:#?}");
    Ok(())
}

/// The words that a file may not have.
fn replaced(file: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let for_users = file.ends_with(".md") || FOR_USERS.iter().any(|place| file.starts_with(place));
    let more = if for_users { REPLACED_FOR_USERS } else { &[] };
    let allowed = move |word: &str| {
        ALLOWED
            .iter()
            .any(|(place, allowed)| file.starts_with(place) && (allowed.is_empty() || *allowed == word))
    };
    REPLACED.iter().chain(more).filter(move |(word, _)| !allowed(word))
}

/// A line's words in lower case, each between two blanks. A hump begins a word.
fn words(line: &str) -> String {
    let mut words = " ".to_owned();
    let mut before = ' ';
    for letter in line.chars() {
        let begins = letter.is_uppercase() && before.is_lowercase();
        if (begins || !letter.is_alphabetic()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if letter.is_alphabetic() {
            words.extend(letter.to_lowercase());
        }
        before = letter;
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    for phrase in OTHER_PHRASES {
        let phrase = format!(" {phrase} ");
        // Two of them side by side share a blank.
        while words.contains(&phrase) {
            words = words.replace(&phrase, " ");
        }
    }
    words
}

#[test]
fn names_are_read_word_by_word() {
    assert_eq!(words("lastPollTime: last_poll()"), " last poll time last poll ");
    assert_eq!(words("judge_state(x), looked up"), " x ");
    assert_eq!(words("judge_state, judge_state_again"), " again ");
}
