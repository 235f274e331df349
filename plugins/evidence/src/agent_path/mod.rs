//! From a node's id to its SPIFFE ID.

use std::str::FromStr;

use crate::AgentId;
use crate::excerpt::excerpt;

/// Longest template in bytes.
const TEMPLATE_MAX_LEN: usize = 1024;
/// Longest SPIFFE ID in bytes (SPIFFE-ID, 2.3).
const SPIFFE_ID_MAX_LEN: usize = 2048;

/// The `agent_path_template`: the path of a node's SPIFFE ID below `/spire/agent`.
///
/// The part of Go's text/template that such paths need: literal text, `{{ .PluginName }}`, `{{
/// .TrustDomain }}` and `{{ .AgentID }}`, with or without the blanks. `.AgentID` must occur:
/// without it all nodes would share one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPathTemplate(Vec<Piece>);

/// The reason why a text is no [`AgentPathTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAgentPathTemplate {
    /// Longer than 1,024 bytes.
    #[error("the template has {length} bytes; at most {TEMPLATE_MAX_LEN} are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
    /// An action that is not one of the three.
    #[error(
        "the template has {came}; only {{{{ .PluginName }}}}, {{{{ .TrustDomain }}}} and {{{{ .AgentID }}}} are allowed"
    )]
    Action {
        /// The start of it, quoted.
        came: String,
    },
    /// `{{` without `}}`.
    #[error("the template has {{{{ without }}}} after it")]
    Unclosed,
    /// `.AgentID` does not occur.
    #[error("the template has no {{{{ .AgentID }}}}; without it all nodes would share one SPIFFE ID")]
    NoAgentId,
}

/// The reason why a template, a trust domain and a plugin name make no SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAgentPath {
    /// The path is not one that SPIFFE allows.
    #[error(
        "the agent path {path} is no SPIFFE path: it {problem}; it starts with / and has segments of A-Z a-z 0-9 . _ - that are not empty, . or .."
    )]
    Path {
        /// The start of the path, quoted.
        path: String,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// A SPIFFE ID longer than 2,048 bytes.
    #[error("the SPIFFE ID has {length} bytes; at most {SPIFFE_ID_MAX_LEN} are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
}

/// A name that a plugin cannot have: SPIRE makes it a segment of its agents' SPIFFE IDs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plugin name {came} {problem}; one or more of A-Z a-z 0-9 . _ - are expected, and neither . nor .."
)]
pub struct InvalidPluginName {
    came: String,
    problem: &'static str,
}

/// Checks a plugin's name by SPIRE's rules for a segment of a path.
///
/// # Errors
/// [`InvalidPluginName`] with the rule that the name breaks.
pub fn check_plugin_name(name: &str) -> Result<(), InvalidPluginName> {
    check_segment(name).map_err(|problem| InvalidPluginName { came: excerpt(name), problem })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    PluginName,
    TrustDomain,
    AgentId,
}

impl AgentPathTemplate {
    /// The default: `/{{ .PluginName }}/{{ .AgentID }}`.
    pub const DEFAULT: &'static str = "/{{ .PluginName }}/{{ .AgentID }}";

    /// Reads a template.
    ///
    /// # Errors
    /// The action that is not understood, with those that are.
    pub fn parse(template: &str) -> Result<Self, InvalidAgentPathTemplate> {
        if template.len() > TEMPLATE_MAX_LEN {
            return Err(InvalidAgentPathTemplate::TooLong { length: template.len() });
        }
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (action, after) = after.split_once("}}").ok_or(InvalidAgentPathTemplate::Unclosed)?;
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::from_action(action)?);
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        if !pieces.contains(&Piece::AgentId) {
            return Err(InvalidAgentPathTemplate::NoAgentId);
        }
        Ok(Self(pieces))
    }

    /// The SPIFFE ID `spiffe://<trust domain>/spire/agent<path>`. `trust_domain` is a valid trust
    /// domain name.
    ///
    /// Two agent ids never give the same SPIFFE ID.
    ///
    /// # Errors
    /// [`InvalidAgentPath`] for a path that breaks SPIFFE's rules or is too long. None after
    /// [`check`](Self::check) has passed with the same arguments.
    pub fn render(
        &self,
        trust_domain: &str,
        plugin_name: &str,
        agent_id: &AgentId,
    ) -> Result<String, InvalidAgentPath> {
        let path = self.path(trust_domain, plugin_name, agent_id.as_str());
        check_path(&path).map_err(|problem| InvalidAgentPath::Path { path: excerpt(&path), problem })?;
        let spiffe_id = format!("spiffe://{trust_domain}/spire/agent{path}");
        if spiffe_id.len() > SPIFFE_ID_MAX_LEN {
            return Err(InvalidAgentPath::TooLong { length: spiffe_id.len() });
        }
        Ok(spiffe_id)
    }

    /// Checks that [`render`](Self::render) succeeds for every agent id. For configuration time.
    ///
    /// # Errors
    /// As [`render`](Self::render), for the longest agent id.
    pub fn check(&self, trust_domain: &str, plugin_name: &str) -> Result<(), InvalidAgentPath> {
        let longest = AgentId::longest();
        self.render(trust_domain, plugin_name, &longest).map(drop)
    }

    /// The same SPIFFE ID in another template language: `trust_domain` and `agent_id` are that
    /// language's words for the two. The result is not checked.
    pub fn translate(&self, trust_domain: &str, plugin_name: &str, agent_id: &str) -> String {
        format!("spiffe://{trust_domain}/spire/agent{}", self.path(trust_domain, plugin_name, agent_id))
    }

    fn path(&self, trust_domain: &str, plugin_name: &str, agent_id: &str) -> String {
        let texts = self.0.iter().map(|piece| match piece {
            Piece::Literal(literal) => literal,
            Piece::PluginName => plugin_name,
            Piece::TrustDomain => trust_domain,
            Piece::AgentId => agent_id,
        });
        texts.collect()
    }
}

impl FromStr for AgentPathTemplate {
    type Err = InvalidAgentPathTemplate;

    fn from_str(template: &str) -> Result<Self, Self::Err> {
        Self::parse(template)
    }
}

impl Piece {
    fn from_action(action: &str) -> Result<Self, InvalidAgentPathTemplate> {
        match action.trim_matches([' ', '\t']) {
            ".PluginName" => Ok(Self::PluginName),
            ".TrustDomain" => Ok(Self::TrustDomain),
            ".AgentID" => Ok(Self::AgentId),
            _ => Err(InvalidAgentPathTemplate::Action { came: excerpt(&format!("{{{{{action}}}}}")) }),
        }
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let segments = path.strip_prefix('/').ok_or("does not start with /")?;
    segments.split('/').try_for_each(check_segment)
}

/// The rules for a segment of a SPIFFE ID's path (SPIFFE-ID, 2.2).
fn check_segment(segment: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match segment {
        "" => Err("has an empty segment"),
        "." | ".." => Err("has a segment . or .."),
        _ if !segment.bytes().all(allowed) => Err("has a character that SPIFFE does not allow"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
