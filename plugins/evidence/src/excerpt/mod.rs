//! The part of a text from outside that an error may repeat.

/// Longest excerpt in characters.
const LIMIT: usize = 40;

/// The start of `text`, quoted, with control characters escaped, so that it can stand in a log line
/// or a gRPC status.
pub(crate) fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(LIMIT).collect();
    let ellipsis = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{ellipsis}")
}

#[cfg(test)]
mod tests;
