//! Keylime Attestor in the cluster, as its users install it: image, chart, and one resource.

use anyhow::{Context as _, Result, ensure};

use super::{Cluster, Helm, Node, SPIRE_NAMESPACE, TIMEOUT};
use crate::image::Image;
use crate::{programs, wait};

/// The release of our chart, and its namespace.
pub const OPERATOR: &str = "keylime-attestor";

/// A `KeylimeAttestor` for the cluster's SPIRE and Keylime, as YAML: the server of this kind, changed by this mode.
pub fn attestor(mode: &str, server: &str) -> String {
    format!(
        "apiVersion: spire.keylime.dev/v1alpha1
kind: KeylimeAttestor
metadata: {{name: spire, namespace: {SPIRE_NAMESPACE}}}
spec:
  keylime:
    verifier: {{host: verifier.keylime.svc}}
    registrar: {{host: registrar.keylime.svc}}
    tls: {{secretName: keylime-admin-client}}
    agent: {{tls: {{secretName: keylime-node-client}}}}
  spire:
    mode: {mode}
    server: {{kind: {server}, name: spire-server}}
    agents: [{{name: spire-agent}}]
"
    )
}

impl Cluster {
    /// Gives the nodes our image, puts Keylime's client certificates beside SPIRE, installs our chart and waits until the operator is ready.
    ///
    /// # Errors
    /// When the image cannot be made, Helm fails, or the operator is not ready in time.
    pub fn install_operator(&self, helm: Helm) -> Result<()> {
        self.load_image(&Image::made()?.archive)?;
        self.keylime().create_secrets(SPIRE_NAMESPACE)?;
        let chart = programs::source("../../charts/keylime-attestor");
        let chart = chart.to_str().context("the chart's path is no text")?;
        let namespace = format!("rbac.keylimeSecrets[0].namespace={SPIRE_NAMESPACE}");
        self.helm(
            helm,
            &[
                "install",
                OPERATOR,
                chart,
                "--namespace",
                OPERATOR,
                "--create-namespace",
                "--set",
                &namespace,
                "--set",
                "rbac.keylimeSecrets[0].names={keylime-admin-client,keylime-node-client}",
            ],
        )?;
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        let deployment = format!("deployment/{OPERATOR}");
        self.kubectl(&["rollout", "status", &deployment, "--namespace", OPERATOR, &timeout])?;
        Ok(())
    }

    /// The name that the agent of `keylime` on a node has.
    ///
    /// # Errors
    /// When the cluster was started without Keylime.
    pub fn keylime_id(&self, node: Node) -> Result<String> {
        Ok(format!("spiffe://example.org/spire/agent/keylime/{}", self.keylime().agent_id(node)?))
    }

    /// Waits until the SPIRE server knows exactly these agents.
    ///
    /// # Errors
    /// When it does not in time; the error has those that it knows.
    pub fn wait_for_agents(&self, ids: &[String]) -> Result<()> {
        wait::until(&format!("the agents {ids:?}"), TIMEOUT, || {
            let mut known: Vec<_> = self.agents()?.into_iter().map(|agent| agent.id).collect();
            known.sort_unstable();
            let mut expected = ids.to_vec();
            expected.sort_unstable();
            ensure!(known == expected, "they are {known:?}");
            Ok(())
        })
    }
}
