//! The expansion of variables by SPIRE in its configuration, before it reads it.

use hcl::edit::Variables;

/// The expansion by SPIRE's arguments, as Go's flag package reads them: the last `-expandEnv`
/// counts.
pub(super) fn of_arguments<'w>(words: impl Iterator<Item = &'w str>) -> Variables {
    let flags = words.take_while(|word| *word != "--");
    let given = flags.filter_map(|word| {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
        match name.strip_prefix("expandEnv")? {
            "" => Some(true),
            value => value
                .strip_prefix('=')
                .map(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")),
        }
    });
    if given.last().unwrap_or(false) { Variables::Expanded } else { Variables::Kept }
}

#[cfg(test)]
mod tests;
