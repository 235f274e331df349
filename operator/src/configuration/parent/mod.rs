//! The parent that `spire-controller-manager` gives a pod's entry: the agent that Keylime attested,
//! where the node has one. Pure.

pub(crate) mod aliases;
pub(crate) mod config;

use evidence::AgentPathTemplate;
use keylime_attestor_api::KeylimeAttestorSpec;
use keylime_attestor_api::names::{annotation, label};

/// The default template of `spire-controller-manager`: the agents of SPIRE's own attestor for
/// Kubernetes.
const DEFAULT: &str =
    "spiffe://{{ .TrustDomain }}/spire/agent/k8s_psat/{{ .ClusterName }}/{{ .NodeMeta.UID }}";

/// The agents that Keylime attests, as a resource names them.
#[derive(Clone, Debug)]
pub(crate) struct Parents<'a> {
    path: AgentPathTemplate,
    plugin_name: &'a str,
}

impl<'a> Parents<'a> {
    /// The agents of a resource; [`None`] where its path template cannot be read.
    pub(crate) fn of(spec: &'a KeylimeAttestorSpec) -> Option<Self> {
        let path = AgentPathTemplate::parse(&spec.attestation.agent_path_template).ok()?;
        Some(Self { path, plugin_name: &spec.spire.plugin_name })
    }

    /// The `parentIDTemplate` for nodes that attest by Keylime and, by the original one, for those
    /// that do not; where it is `exclusive`, these have none.
    ///
    /// No variable is used: with `-expand-env` a dollar sign would be the environment's.
    pub(crate) fn template(&self, original: Option<&str>, exclusive: bool) -> String {
        let original = original.unwrap_or(DEFAULT);
        if self.are_known_to(original) {
            return original.to_owned();
        }
        let label = format!("index .NodeMeta.Labels \"{}\"", label::NODE_AGENT_ID);
        let annotation = format!("index .NodeMeta.Annotations \"{}\"", annotation::SPIFFE_ID);
        let by_label =
            self.path.translate("{{ .TrustDomain }}", self.plugin_name, &format!("{{{{ {label} }}}}"));
        [
            format!("{{{{ if {label} }}}}{by_label}"),
            format!("{{{{ else if {annotation} }}}}{{{{ {annotation} }}}}"),
            if exclusive { String::new() } else { format!("{{{{ else }}}}{original}") },
            "{{ end }}".to_owned(),
        ]
        .concat()
    }

    /// True for a template that names them already: by the operator's label or annotation on the
    /// Nodes, or by a path with the plugin's name.
    pub(crate) fn are_known_to(&self, template: &str) -> bool {
        let id = self.path.translate("", self.plugin_name, "\0");
        let path = id.trim_start_matches("spiffe://").split('\0').next().unwrap_or_default();
        template.contains(label::NODE_AGENT_ID)
            || template.contains(annotation::SPIFFE_ID)
            || path.contains(self.plugin_name) && template.contains(path)
    }
}

#[cfg(test)]
mod tests;
