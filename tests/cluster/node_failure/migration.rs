//! From k8s_psat to Keylime and back, node by node, while spire-controller-manager makes the
//! workloads' entries.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Helm, NODES, Node, OPERATOR, Options, World};
use lab::wait;

use super::seen::{
    TIMEOUT, agent_pod, condition, expect_all_attested, expect_listed, expect_ready, is_listed, patch,
    resource, say,
};
use crate::operator::audit;
use crate::operator::identities::{self, meanwhile};

/// What the resource says beyond the usual; it goes on where that ends, in spec.spire.
const MORE: &str = "    controllerManager: {}
  nodes: {interval: 5s}
  enforcement: {action: Evict, interval: 2s}
  rollout: {batchSize: 1, progressDeadline: 45s}
";

#[test]
fn nodes_move_one_by_one_and_workloads_keep_their_identities() -> Result<()> {
    let clock = Instant::now();
    let cluster = Cluster::start(&Options::of(World::BY_HAND.managing_entries()))?;
    cluster.install_spire(Helm::V4, &[])?;
    cluster.install_operator(Helm::V4)?;
    // It makes its own anew.
    cluster.kubectl(&["delete", "secret", "keylime-attestor-report", "--namespace", OPERATOR])?;
    for node in NODES {
        cluster.start_workload(&workload(node), node)?;
        expect_identity(&cluster, node)?;
    }
    say(clock, "workloads on both nodes have their SVIDs by k8s_psat");

    let workloads = NODES.map(|node| (workload(node), node));
    let workloads = workloads.each_ref().map(|(name, node)| (name.as_str(), *node));
    let meanwhile = |what: &str, happens: &dyn Fn() -> Result<()>| {
        meanwhile((&cluster, clock), &workloads, what, happens)
    };
    meanwhile("a rollback", &|| a_wrong_key_stops_the_first_step(&cluster, NODES))?;
    say(clock, "the first node's key was wrong: it is back, and the other was not touched");

    meanwhile("node by node", &|| the_rest_follows_the_first(&cluster, NODES))?;
    say(clock, "both nodes are attested by Keylime");

    meanwhile("the end of other attestors", &|| no_other_attestor_is_left(&cluster))?;
    say(clock, "SPIRE's server admits nodes by Keylime alone");

    meanwhile("the deletion", &|| {
        cluster.at_server(&["delete", "kla/spire", "--timeout=240s"])?;
        NODES.into_iter().try_for_each(|node| expect_listed(&cluster, &cluster.psat_id(node)?))
    })?;
    say(clock, "workloads on both nodes have their SVIDs by k8s_psat again");

    audit::expect_within_rights(&cluster)?;
    let unused = audit::unused_rights(&cluster)?;
    for right in ["create secrets", "patch secrets"] {
        ensure!(!unused.contains(right), "nothing needs the right to {right}");
    }
    cluster.stop()
}

/// The registrar holds a key for the first node that its TPM does not have.
fn a_wrong_key_stops_the_first_step(cluster: &Cluster, [first, second]: [Node; 2]) -> Result<()> {
    let (keylime, untouched) = (cluster.keylime(), uid(cluster, second)?);
    let right = keylime.registered_key(first)?;
    keylime.register_key(first, &keylime.registered_key(second)?)?;
    apply(cluster)?;
    wait::until("a migration that is rolled back", TIMEOUT, || {
        let resource = resource(cluster)?;
        let degraded = condition(&resource, "Degraded")?;
        ensure!(degraded["status"] == "True", "it is {degraded}");
        let rollout = &resource["status"]["agents"][0]["rollout"];
        ensure!(rollout["state"] == "RolledBack", "it is {rollout}");
        Ok(())
    })?;
    expect_identity(cluster, first)?;
    expect_identity(cluster, second)?;
    ensure!(uid(cluster, second)? == untouched, "the SPIRE agent of {} was replaced", second.name);
    ensure!(!is_listed(cluster, &cluster.keylime_id(first)?)?, "{} was attested by Keylime", first.name);
    keylime.register_key(first, &right)?;
    // What has failed is tried again when something of it changes.
    cluster.at_server(&["delete", "kla/spire", "--timeout=120s"])?;
    ensure!(uid(cluster, second)? == untouched, "the SPIRE agent of {} was replaced", second.name);
    Ok(())
}

/// As soon as a node has moved, and when all have, workloads have their identities; a node is not
/// touched before those ahead of it are attested.
fn the_rest_follows_the_first(cluster: &Cluster, [first, second]: [Node; 2]) -> Result<()> {
    let (moved, waiting) = (cluster.keylime_id(first)?, uid(cluster, second)?);
    apply(cluster)?;
    wait::until("the second node's turn", TIMEOUT, || {
        // In this order: what is seen later has happened later.
        let waits = uid(cluster, second)? == waiting;
        let first_is_there = is_listed(cluster, &moved)?;
        ensure!(waits || first_is_there, "{} was touched before {} was attested", second.name, first.name);
        ensure!(first_is_there, "{} is not attested yet", first.name);
        Ok(())
    })?;
    expect_identity(cluster, first)?;
    expect_all_attested(cluster)?;
    expect_ready(cluster)?;
    for node in NODES {
        expect_identity(cluster, node)?;
    }
    Ok(())
}

/// What the former attestor had admitted is evicted, and workloads keep their identities.
fn no_other_attestor_is_left(cluster: &Cluster) -> Result<()> {
    patch(cluster, r#"{"spire": {"attestors": "Exclusive"}}"#)?;
    wait::until("Keylime alone", TIMEOUT, || {
        let resource = resource(cluster)?;
        let bypass = condition(&resource, "BypassPossible")?;
        ensure!(bypass["reason"] == "KeylimeAlone", "it is {bypass}");
        let agents = cluster.agents()?;
        ensure!(agents.iter().all(|agent| agent.attestation_type == "keylime"), "they are {agents:?}");
        Ok(())
    })?;
    expect_all_attested(cluster)?;
    for node in NODES {
        expect_identity(cluster, node)?;
    }
    Ok(())
}

fn apply(cluster: &Cluster) -> Result<()> {
    cluster.apply(&(cluster.attestor("Overlay", "StatefulSet") + MORE))?;
    Ok(())
}

fn workload(node: Node) -> String {
    format!("workload-{}", node.name)
}

fn expect_identity(cluster: &Cluster, node: Node) -> Result<()> {
    identities::expect_identity(cluster, &workload(node))
}

fn uid(cluster: &Cluster, node: Node) -> Result<String> {
    let pod = agent_pod(cluster, node)?;
    Ok(pod["metadata"]["uid"].as_str().context("a pod without uid")?.to_owned())
}
