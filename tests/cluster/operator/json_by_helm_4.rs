//! The usual way: SPIRE by SPIFFE's chart, configured in JSON; Helm 4, which applies on the
//! server's side; mode Overlay.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use lab::cluster::{Cluster, Helm, NODES, Node, Options, World};
use lab::wait;

use super::resource::{self, TIMEOUT, derived, expect_keylime, expect_psat, member, say};
use super::snapshot::{Snapshot, expect_nothing_of_ours};
use super::templates::Watch;
use super::{apiserver_away, audit, failing_rollouts, former_attestor, quick_start};

const HELM: Helm = Helm::V4;
const VALUES: [&str; 2] = ["logLevel=info", "server.agentTTL=30m"];
/// The lifetime of an agent's SVID by then, in seconds.
const AGENT_TTL: u64 = 30 * 60;

/// For servers of another kind, and for enforcement, which the migration has.
const RIGHTS_FOR_OTHERS: [&str; 4] =
    ["get deployments", "patch deployments", "create secrets", "patch secrets"];

#[test]
fn one_resource_has_the_nodes_attested_by_keylime_until_it_is_deleted() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::SPIFFE))?;
    cluster.install_spire(HELM, &[])?;
    expect_psat(&cluster)?;
    say(clock, "SPIRE attests by k8s_psat");

    cluster.install_operator(HELM)?;
    resource::expect_helm_test(&cluster, HELM)?;
    quick_start::start_workloads(&cluster)?;
    let before = Snapshot::without_us(&cluster)?;
    say(clock, "the operator is ready, and workloads have their SVIDs");
    failing_rollouts::of_a_server_without_the_image(&cluster, HELM)?;
    say(clock, "the server's rollout failed and was rolled back");
    failing_rollouts::of_agents_with_the_wrong_secret(&cluster)?;
    say(clock, "the agents' rollout failed and was rolled back");
    quick_start::apply(&cluster, clock)?;
    cluster.validate_configurations()?;
    say(clock, "the resource is Ready, both nodes are attested by Keylime");
    gives_workloads_their_identity(&cluster)?;
    resource::wait_until_settled(&cluster)?;
    assert_eq!(resource::condition(&cluster, "BindingRequired")?["status"], "True");
    say(clock, "tokens are demanded");
    audit::wait_for_an_idle_minute(&cluster)?;
    say(clock, "an idle minute has passed");

    apiserver_away::is_survived(&cluster)?;
    say(clock, "the apiserver went and came");
    refuses_a_node_that_fails(&cluster, NODES)?;
    say(clock, "a node failed, was refused, and came back");

    an_upgrade_that_changes_nothing(&cluster)?;
    an_upgrade_that_changes_values(&cluster)?;
    say(clock, "SPIRE was upgraded");
    resource::upgrade(&cluster, HELM, &[], "\"debug\"")?;
    say(clock, "and upgraded back");

    quick_start::delete(&cluster, clock)?;
    before.expect(&cluster)?;
    expect_nothing_of_ours(&cluster)?;
    say(clock, "the resource is gone, and SPIRE attests by k8s_psat again");

    audit::expect_within_rights(&cluster)?;
    let mut unused = audit::unused_rights(&cluster)?;
    unused.retain(|right| !RIGHTS_FOR_OTHERS.contains(&right.as_str()));
    ensure!(unused.is_empty(), "the chart gives rights that nothing needs: {unused:?}");
    cluster.stop()
}

/// spire-controller-manager makes the entry, and its parent is the agent that attested by Keylime.
fn gives_workloads_their_identity(cluster: &Cluster) -> Result<()> {
    let [node, _] = NODES;
    cluster.start_workload("workload", node)?;
    wait::until("an SVID for the workload", TIMEOUT, || {
        let got = cluster.workload_id("workload")?;
        ensure!(got == "spiffe://example.org/workload", "it is {got}");
        Ok(())
    })
}

/// Its agent has to attest again and is refused, the other one stays; repaired, it is back.
fn refuses_a_node_that_fails(cluster: &Cluster, [failing, passing]: [Node; 2]) -> Result<()> {
    let (lost, kept) = (cluster.keylime_id(failing)?, cluster.keylime_id(passing)?);
    cluster.keylime().fail(failing)?;
    cluster.spire_server(&["agent", "evict", "-spiffeID", &lost])?;
    let pod = cluster.agent_pod(failing)?;
    wait::until("a refused agent", TIMEOUT, || {
        let log = cluster.at_agents(&["logs", &pod, "--previous"])?;
        ensure!(log.contains("is not attested"), "the agent's log is {log}");
        Ok(())
    })?;
    cluster.wait_for_agents(&[kept])?;
    wait::until("a failing node in the status", TIMEOUT, || {
        let failing = member(cluster, "/nodes/failing")?;
        ensure!(failing == 1, "they are {failing}");
        Ok(())
    })?;
    // A node that fails is no rollout that failed: nothing is rolled back.
    assert_eq!(member(cluster, "/agents/0/rollout/state")?, "Complete");
    former_attestor::gives_no_identity(cluster, failing, "workload")?;

    cluster.keylime().repair(failing)?;
    // Kubernetes would start it again by itself, later and later.
    cluster.at_agents(&["delete", &pod, "--wait=false"])?;
    expect_keylime(cluster)
}

/// What SPIRE's objects ask for stays, and so every pod does. The state that Helm writes again is
/// right: there is nothing to correct.
fn an_upgrade_that_changes_nothing(cluster: &Cluster) -> Result<()> {
    cluster.wait_for_spire()?;
    wait::until("the end of the pods that were replaced", TIMEOUT, || {
        let output = "jsonpath={.items[*].metadata.deletionTimestamp}";
        let ending = ["get", "pods", "--output", output];
        let ending = cluster.at_server(&ending)? + &cluster.at_agents(&ending)?;
        ensure!(ending.is_empty(), "they were to end at {ending}");
        Ok(())
    })?;
    let state = || {
        let output = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.metadata.generation}{\"\\n\"}{end}";
        let get = ["get", "statefulsets,daemonsets,configmaps,pods", "--output", output];
        Ok::<_, anyhow::Error>([cluster.at_server(&get)?, cluster.at_agents(&get)?])
    };
    let before = state()?;
    cluster.install_spire(HELM, &[])?;
    assert_eq!(state()?, before);
    Ok(())
}

/// What is new gets into the derived configuration and into force; all the while no pod starts
/// without the plugin.
fn an_upgrade_that_changes_values(cluster: &Cluster) -> Result<()> {
    let watch = Watch::start(cluster)?;
    resource::upgrade(cluster, HELM, &VALUES, "\"info\"")?;
    ensure!(
        derived(cluster, "spire-server", "server.conf")?.contains("\"agent_ttl\": \"30m\""),
        "it has not the new TTL"
    );
    wait::until("agents with the new lifetime", TIMEOUT, || {
        let limit = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + AGENT_TTL;
        let agents = cluster.agents()?;
        // Helm replaces agents and server side by side: whoever came back before the server did has
        // the old lifetime, and attests anew when it is evicted.
        for agent in agents.iter().filter(|agent| agent.expires_at > limit) {
            cluster.spire_server(&["agent", "evict", "-spiffeID", &agent.id])?;
        }
        let renewed = agents.len() == NODES.len() && agents.iter().all(|agent| agent.expires_at <= limit);
        ensure!(renewed, "they are {agents:?}");
        Ok(())
    })?;
    let states = watch.end()?;
    ensure!(states > 10, "{states} states only: nothing was replaced");
    expect_keylime(cluster)
}
