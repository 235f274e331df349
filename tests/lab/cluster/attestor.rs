//! Keylime Attestor in the cluster, as its users install it: image, chart, and one resource.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Cluster, Helm, Node, TIMEOUT, World};
use crate::documents::repository;
use crate::image::Image;
use crate::{programs, wait};

/// The release of our chart, and its namespace.
pub const OPERATOR: &str = "keylime-attestor";

/// The resource of the README's quick start, word for word.
///
/// # Errors
/// When the README has none.
pub fn quick_start() -> Result<String> {
    let readme = repository().join("README.md");
    let readme =
        fs::read_to_string(&readme).with_context(|| format!("failed to read {}", readme.display()))?;
    let mut blocks = readme.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let block =
        blocks.find(|block| block.contains("kind: KeylimeAttestor")).context("the README has no resource")?;
    let indent = block.len() - block.trim_start().len();
    Ok(block.lines().map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect())
}

impl Cluster {
    /// A `KeylimeAttestor` for the cluster's SPIRE and Keylime, as YAML: the server of this kind,
    /// changed by this mode.
    pub fn attestor(&self, mode: &str, server: &str) -> String {
        let World { server: namespace, agents, .. } = self.world;
        format!(
            "apiVersion: spire.keylime.dev/v1alpha1
kind: KeylimeAttestor
metadata: {{name: spire, namespace: {namespace}}}
spec:
  keylime:
    verifiers: [{{host: verifier.keylime.svc}}]
    registrar: {{host: registrar.keylime.svc}}
    tls: {{secretName: keylime-admin-client}}
    agent: {{tls: {{secretName: keylime-node-client}}}}
  spire:
    mode: {mode}
    server: {{kind: {server}, name: spire-server}}
    agents: [{{name: spire-agent, namespace: {agents}}}]
"
        )
    }

    /// Gives the nodes our image, puts Keylime's client certificates beside SPIRE, installs our
    /// chart and waits until the operator is ready.
    ///
    /// # Errors
    /// When the image cannot be made, Helm fails, or the operator is not ready in time.
    pub fn install_operator(&self, helm: Helm) -> Result<()> {
        self.install_operator_from(helm, &Image::made()?.archive)
    }

    /// The same from another archive of the image.
    ///
    /// # Errors
    /// When Helm fails, or the operator is not ready in time.
    pub fn install_operator_from(&self, helm: Helm, archive: &Path) -> Result<()> {
        self.load_image(archive)?;
        self.keylime().create_secrets()?;
        self.set_operator(helm, &[])
    }

    /// Installs our chart, or upgrades it, with these values besides those that a cluster needs,
    /// and waits until the operator is ready.
    ///
    /// # Errors
    /// When Helm fails, or the operator is not ready in time.
    pub fn set_operator(&self, helm: Helm, values: &[&str]) -> Result<()> {
        let World { server, agents, .. } = self.world;
        let chart = programs::source("../../charts/keylime-attestor");
        let chart = chart.to_str().context("the chart's path is no text")?;
        let mut args = vec!["upgrade", "--install", OPERATOR, chart];
        args.extend(["--namespace", OPERATOR, "--create-namespace"]);
        let namespaces: Vec<_> = self.world.namespaces().collect();
        // As the README has it, also where both are one namespace.
        let needed = [
            format!("namespaces={{{}}}", namespaces.join(",")),
            format!("rbac.keylimeSecrets[0].namespace={server}"),
            "rbac.keylimeSecrets[0].names={keylime-admin-client}".to_owned(),
            format!("rbac.keylimeSecrets[1].namespace={agents}"),
            "rbac.keylimeSecrets[1].names={keylime-node-client}".to_owned(),
            format!("admissionPolicy.inPlace={{{server}/spire-server,{agents}/spire-agent}}"),
        ];
        args.extend(
            needed
                .iter()
                .map(String::as_str)
                .chain(values.iter().copied())
                .flat_map(|value| ["--set", value]),
        );
        self.helm(helm, &args)?;
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        let deployment = format!("deployment/{OPERATOR}");
        self.kubectl(&["rollout", "status", &deployment, "--namespace", OPERATOR, &timeout])?;
        Ok(())
    }

    /// The name that the agent of `keylime` on a node has.
    ///
    /// # Errors
    /// When there is no file with it.
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
