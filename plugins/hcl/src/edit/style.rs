//! The style of the text around an element, so that the element is written alike.

use super::plugins::Plugin;
use crate::tree::{Item, Language};

/// The layout of an element.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) language: Language,
    /// True for an element on one line.
    pub(super) inline: bool,
    pub(super) newline: &'static str,
    /// White space before the line that the value begins in.
    pub(super) indent: String,
    /// White space that each level adds.
    pub(super) unit: String,
    /// Spaces after `:` and `,` in JSON.
    pub(super) spaced: bool,
}

impl Style {
    /// The style of a text, for a new plugin in it.
    pub(super) fn of_text(text: &str, language: Language, indent: String, inline: bool) -> Self {
        let spaced = language == Language::Hcl || text.contains("\": ") || !text.contains("\":");
        Self { language, inline, newline: newline(text), indent, unit: unit(text), spaced }
    }

    /// The style of a plugin in the text, for one that is written in its place. Nothing is taken
    /// from the text around, of which ours is a part by then: so an edit of an edited text is the
    /// same as an edit of the text from before.
    ///
    /// [`None`] for an empty plugin, which ours never is.
    pub(super) fn of_plugin(text: &str, language: Language, plugin: &Plugin<'_>) -> Option<Self> {
        let body = plugin.body;
        let first = body.items().first()?;
        let written = text.get(body.at.offset..body.end)?;
        let indent = own_indent(text, body.end.saturating_sub(1))
            .map_or_else(|| indent_at(text, plugin.item.start()), str::to_owned);
        let step = own_indent(text, first.start()).and_then(|inner| inner.strip_prefix(indent.as_str()));
        let unit = step.filter(|step| !step.is_empty()).map_or_else(|| unit(text), str::to_owned);
        let spaced = language == Language::Hcl || is_spaced(text, first);
        Some(Self {
            language,
            inline: !written.contains('\n'),
            newline: newline(written),
            indent,
            unit,
            spaced,
        })
    }

    pub(super) fn deeper(&self) -> Self {
        Self { indent: format!("{}{}", self.indent, self.unit), ..self.clone() }
    }

    /// A new line with its indentation; empty where members have no lines of their own.
    pub(super) fn line(&self) -> String {
        if self.inline { String::new() } else { format!("{}{}", self.newline, self.indent) }
    }
}

/// The white space between the start of a line and this place, when nothing else is there.
///
/// Looks at no more than that white space: a text can be one line of a mebibyte.
pub(super) fn own_indent(text: &str, at: usize) -> Option<&str> {
    let before = text.get(..at)?;
    let line = before.trim_end_matches([' ', '\t']);
    if line.is_empty() || line.ends_with('\n') { before.get(line.len()..) } else { None }
}

/// The white space that the line of this place begins with.
pub(super) fn indent_at(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
}

/// One level of indentation: that of the first line which has one.
pub(super) fn unit(text: &str) -> String {
    let indents =
        text.lines().map(|line| line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()));
    indents.flatten().find(|indent| !indent.is_empty()).unwrap_or("  ").to_owned()
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Tells if there is white space behind the colon of a JSON member.
fn is_spaced(text: &str, member: &Item) -> bool {
    text.get(..member.value.at.offset).is_some_and(|before| before.ends_with([' ', '\t', '\n', '\r']))
}
