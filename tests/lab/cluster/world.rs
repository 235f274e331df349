//! The worlds that SPIRE lives in: what a test says it is in decides where SPIRE's parts are, what
//! is enforced there, and who runs as whom.

use std::fmt::Write as _;

use crate::spire::Release;

/// Where SPIRE is installed, and how.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The namespace of its server, and of the resource.
    pub server: &'static str,
    /// The namespace of its agents.
    pub agents: &'static str,
    /// Its version.
    pub release: Release,
    /// True if each pod with the label `spiffe=enabled` gets an entry `spiffe://example.org/NAME`,
    /// by spire-controller-manager.
    pub manages_entries: bool,
    /// True if Pod Security enforces `restricted` where the server is.
    restricted: bool,
    /// The chart's values.
    values: &'static [&'static str],
}

impl World {
    /// As SPIFFE's chart makes it with its recommendations: two namespaces, of which that of the
    /// server admits `restricted` pods only; security contexts on containers; agents that are not
    /// root; spire-controller-manager in the server's pod.
    pub const SPIFFE: Self = Self {
        server: "spire-server",
        agents: "spire-system",
        release: Release::USUAL,
        manages_entries: true,
        restricted: true,
        values: &[],
    };

    /// As people write it by hand: one namespace that admits every pod, security contexts on pods,
    /// agents that are root, entries made by people.
    pub const BY_HAND: Self = Self {
        server: "spire-system",
        agents: "spire-system",
        release: Release::USUAL,
        manages_entries: false,
        restricted: false,
        values: &["securityContexts=pod", "agent.runAsUser=0"],
    };

    /// This world with a release of SPIRE.
    #[must_use]
    pub const fn with(self, release: Release) -> Self {
        Self { release, ..self }
    }

    /// The same, where spire-controller-manager makes the entries.
    #[must_use]
    pub const fn managing_entries(self) -> Self {
        Self { manages_entries: true, ..self }
    }

    /// Its namespaces, each once.
    pub fn namespaces(&self) -> impl Iterator<Item = &'static str> {
        let other = Some(self.agents).filter(|agents| *agents != self.server);
        [self.server].into_iter().chain(other)
    }

    /// The manifests of its namespaces.
    pub(super) fn manifests(&self) -> String {
        let level = |namespace| match (self.restricted, namespace == self.server) {
            (true, true) => "{pod-security.kubernetes.io/enforce: restricted}",
            (true, false) => "{pod-security.kubernetes.io/enforce: privileged}",
            (false, _) => "{}",
        };
        self.namespaces().fold(String::new(), |mut text, name| {
            let _ = writeln!(text, "---\napiVersion: v1\nkind: Namespace");
            let _ = writeln!(text, "metadata: {{name: {name}, labels: {}}}", level(name));
            text
        })
    }

    /// The chart's values, as Helm's `--set` takes them.
    pub(super) fn values(&self) -> Vec<String> {
        let own = [
            format!("namespaces.server={}", self.server),
            format!("namespaces.agents={}", self.agents),
            format!("image.tag={}", self.release),
            format!("controllerManager.enabled={}", self.manages_entries),
        ];
        self.values.iter().map(|&value| value.to_owned()).chain(own).collect()
    }
}
