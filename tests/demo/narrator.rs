//! How a demo talks to a person.

#![expect(clippy::print_stdout, reason = "the demo talks to a person")]

use std::time::Instant;

use anyhow::Result;

/// Says what comes next.
pub(crate) fn heading(number: u8, text: &str) {
    println!("\n{number}. {text}");
}

/// Says a sentence.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Says what was done and how long it took.
pub(crate) fn timed<T>(done: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let result = action()?;
    println!("   {:5.1} s  {done}", begun.elapsed().as_secs_f64());
    Ok(result)
}

/// Prints what a program wrote.
pub(crate) fn quote(title: &str, text: &str) {
    println!("\n   $ {title}");
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        println!("   | {line}");
    }
    println!();
}
