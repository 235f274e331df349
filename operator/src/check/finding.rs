//! One line of a report, and the report.

use keylime_attestor_api::conditions::Reason;
use serde::Serialize;

use super::changes::Change;
use crate::model::problem::Problem;

/// The documents that the anchors lead into.
const ABOUT_SUBJECTS: &str = "operator/docs/check.md";
const ABOUT_REASONS: &str = "operator/docs/conditions.md";

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Failure,
}

/// What a finding is about, in the order of the report; each is a heading of `check.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Apiserver,
    Operator,
    Resource,
    Namespaces,
    Spire,
    Configuration,
    Secrets,
    Keylime,
    Nodes,
    Network,
    Pods,
    Conditions,
    Changes,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) subject: Subject,
    /// The condition and reason by which the operator reports the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    /// A document of this repository, with the anchor.
    pub(super) document: String,
}

/// All lines, and what would change.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    resource: String,
    ok: usize,
    warnings: usize,
    failures: usize,
    findings: Vec<Finding>,
    changes: Vec<Change>,
}

impl Subject {
    #[cfg(test)]
    pub(super) const ALL: [Self; 13] = [
        Self::Apiserver,
        Self::Operator,
        Self::Resource,
        Self::Namespaces,
        Self::Spire,
        Self::Configuration,
        Self::Secrets,
        Self::Keylime,
        Self::Nodes,
        Self::Network,
        Self::Pods,
        Self::Conditions,
        Self::Changes,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Apiserver => "apiserver",
            Self::Operator => "operator",
            Self::Resource => "resource",
            Self::Namespaces => "namespaces",
            Self::Spire => "spire",
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Keylime => "keylime",
            Self::Nodes => "nodes",
            Self::Network => "network",
            Self::Pods => "pods",
            Self::Conditions => "conditions",
            Self::Changes => "changes",
        }
    }
}

impl Finding {
    pub(super) fn ok(subject: Subject, message: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject,
            condition: None,
            reason: None,
            message: message.into(),
            remedy: None,
            document: format!("{ABOUT_SUBJECTS}#{}", subject.as_str()),
        }
    }

    pub(super) fn warning(subject: Subject, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, remedy: Some(remedy.into()), ..Self::ok(subject, message) }
    }

    pub(super) fn failure(subject: Subject, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Failure, remedy: Some(remedy.into()), ..Self::ok(subject, message) }
    }

    /// A problem of the operator's, in its own words.
    pub(super) fn problem(subject: Subject, Problem { reason, message }: &Problem) -> Self {
        Self::reason(Level::Failure, subject, *reason, message)
    }

    /// A reason of a condition, with its message.
    pub(super) fn reason(level: Level, subject: Subject, reason: Reason, message: &str) -> Self {
        Self {
            level,
            condition: Some(reason.condition.as_str().to_owned()),
            reason: Some(reason.name.to_owned()),
            remedy: (level != Level::Ok).then(|| reason.remedy.to_owned()),
            document: format!("{ABOUT_REASONS}#{}", reason.anchor()),
            ..Self::ok(subject, message)
        }
    }
}

impl Report {
    pub(super) fn new(resource: String, findings: Vec<Finding>, changes: Vec<Change>) -> Self {
        let of = |level| findings.iter().filter(|finding| finding.level == level).count();
        let (ok, warnings, failures) = (of(Level::Ok), of(Level::Warning), of(Level::Failure));
        Self { resource, ok, warnings, failures, findings, changes }
    }

    /// The same, with the changes told otherwise.
    pub(super) fn with_changes(&self, changes: Vec<Change>) -> Self {
        Self { resource: self.resource.clone(), findings: self.findings.clone(), changes, ..*self }
    }

    pub(super) const fn fails(&self) -> bool {
        self.failures > 0
    }

    /// For people: a line each, what to do below it, and the changes last.
    pub(super) fn text(&self) -> String {
        let mut text = format!("KeylimeAttestor {}\n\n", self.resource);
        for Finding { level, subject, condition, reason, message, remedy, document } in &self.findings {
            let level = match level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Failure => "failure",
            };
            let reason = match (condition, reason) {
                (Some(condition), Some(reason)) => format!("{condition} {reason}: "),
                _ => String::new(),
            };
            text += &format!("{level:<8} {:<14} {reason}{message}\n", subject.as_str());
            if let Some(remedy) = remedy {
                text += &format!("{:23} do: {remedy}\n{:23} see: {document}\n", "", "");
            }
        }
        for Change { object, diff } in &self.changes {
            text += &format!("\nwould change the {object}:\n{diff}");
        }
        let Self { ok, warnings, failures, changes, .. } = self;
        text + &format!(
            "\n{ok} ok, {warnings} warnings, {failures} failures, {} objects would change\n",
            changes.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_has_its_heading() {
        let document = include_str!("../../docs/check.md");
        for subject in Subject::ALL {
            let heading = format!("\n## {}\n", subject.as_str());
            let heading = heading.to_lowercase();
            assert!(document.to_lowercase().contains(&heading), "check.md lacks {heading}");
        }
    }

    #[test]
    fn each_reason_has_its_row() {
        let document = include_str!("../../docs/conditions.md");
        for reason in keylime_attestor_api::conditions::REASONS {
            let anchor = format!("<a id=\"{}\"></a>", reason.anchor());
            assert_eq!(document.matches(&anchor).count(), 1, "{anchor}");
        }
    }
}
