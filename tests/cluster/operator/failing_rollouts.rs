//! Rollouts that fail for what people get wrong: what is said about it, and that SPIRE has what it
//! had before.

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, Helm};
use lab::fake_keylime::pki::Ca;
use lab::wait;
use tempfile::TempDir;

use super::resource::{TIMEOUT, condition, expect_psat};

/// Short, because nothing here comes right by waiting; long enough for a container to end and be
/// started again.
const ROLLOUT: &str = "  rollout: {progressDeadline: 40s}\n";
const NO_IMAGE: &str = "localhost/keylime-attestor:misspelt";
/// A pod's own overlay, or nothing.
const HASH: &str = "jsonpath={.spec.template.metadata.annotations.spire\\.keylime\\.dev/content-hash}";

/// The server's pod, a StatefulSet's, cannot get the image of the plugins. Kubernetes would leave
/// it like that forever.
pub(crate) fn of_a_server_without_the_image(cluster: &Cluster, helm: Helm) -> Result<()> {
    cluster.set_operator(helm, &[&format!("plugin.image={NO_IMAGE}")])?;
    cluster.apply(&(cluster.attestor("Overlay", "StatefulSet") + ROLLOUT))?;
    let message = wait_for_rollback(cluster, "ServerRolledOut")?;
    ensure!(message.contains("pod spire-server-0: container keylime-attestor-install: "), "{message}");
    ensure!(message.contains("ImagePull") && message.contains(NO_IMAGE), "{message}");

    wait::until("the server's pod from before", TIMEOUT, || {
        let pod = cluster.at_server(&["get", "pod", "spire-server-0", "--output", "json"])?;
        ensure!(!pod.contains("keylime-attestor"), "it is {pod}");
        Ok(())
    })?;
    cluster.wait_for_spire()?;
    assert_eq!(cluster.at_server(&["get", "statefulset", "spire-server", "--output", HASH])?, "");
    let agents = cluster.at_agents(&["get", "daemonset", "spire-agent", "--output", "json"])?;
    ensure!(!agents.contains("keylime-attestor"), "the agents were changed without the server: {agents}");
    expect_psat(cluster)?;
    cluster.set_operator(helm, &[])
}

/// The first agent shows a certificate that no Keylime agent takes: it tries on and on, and its log
/// says why.
pub(crate) fn of_agents_with_the_wrong_secret(cluster: &Cluster) -> Result<()> {
    let folder = TempDir::new()?;
    let nobodys = Ca::new()?.write_client(folder.path())?;
    cluster.keylime().create_secret(cluster.world.agents, "keylime-node-client", &nobodys)?;
    cluster.apply(&(cluster.attestor("Overlay", "StatefulSet") + ROLLOUT))?;
    let message = wait_for_rollback(cluster, "AgentsRolledOut")?;
    ensure!(message.contains("pod spire-agent-"), "{message}");
    ensure!(message.contains("Keylime agent"), "{message}");

    cluster.wait_for_spire()?;
    assert_eq!(cluster.at_agents(&["get", "daemonset", "spire-agent", "--output", HASH])?, "");
    let server = cluster.at_server(&["get", "statefulset", "spire-server", "--output", HASH])?;
    ensure!(!server.is_empty(), "the server did nothing wrong and lost its overlay");
    expect_psat(cluster)?;
    cluster.keylime().create_secrets()
}

/// Degraded's message, once the rollout is rolled back.
fn wait_for_rollback(cluster: &Cluster, step: &str) -> Result<String> {
    wait::until(&format!("{step} to be RolledBack"), TIMEOUT, || {
        let (rolled, mut degraded) = (condition(cluster, step)?, condition(cluster, "Degraded")?);
        let all = [&rolled, &degraded].into_iter().all(|condition| condition["reason"] == "RolledBack");
        ensure!(all, "they are {rolled} and {degraded}");
        Ok(serde_json::from_value(degraded["message"].take())?)
    })
}
