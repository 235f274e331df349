//! `make demo`: on a real Kubernetes with a real SPIRE and a real Keylime, one chart and one
//! resource have every node attested by its TPM. A node that fails loses its identity within
//! seconds, and has it back when it is repaired. Deleting the resource gives SPIRE back what it
//! had. Only the TPMs are software. All of it runs in namespaces of this machine, and is gone at
//! the end.

mod narrator;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, Helm, NODES, Node, OPERATOR, Options, World, quick_start};
use lab::wait;

use crate::narrator::{heading, quote, say, timed};

const TIMEOUT: Duration = Duration::from_secs(120);

/// The resource's fields beyond the README's quick start.
const ENFORCEMENT: &str = "  enforcement: {action: Evict}
  nodes: {interval: 5s}
";

/// So much of a condition's message is shown.
const WIDTH: usize = 200;

/// The pod of a workload, on the node that fails.
const WORKLOAD: &str = "workload";

/// What the summary tells.
struct Told {
    /// From `kubectl apply` until both nodes were attested.
    attested_after: Duration,
    /// The identity of a node.
    id: String,
    /// From Keylime failed the node until SPIRE's server had evicted the agent of the failing node.
    evicted_after: Duration,
    /// Why that agent was refused when it attested anew.
    refusal: String,
    /// From `kubectl delete` until SPIRE was as before.
    back_after: Duration,
}

fn main() -> Result<()> {
    let begun = Instant::now();
    say("Keylime Attestor on Kubernetes: SPIRE's nodes are attested by Keylime and their TPMs.
Kubernetes (two nodes), SPIRE, Keylime and Helm are real; the TPMs are software.");

    let cluster = start()?;
    let told = tell(&cluster)?;
    timed("everything is ended, and its files are removed", || cluster.stop())?;
    print_summary(&told, begun.elapsed());
    Ok(())
}

fn start() -> Result<Cluster> {
    heading(1, "A cluster whose nodes Keylime watches, and SPIRE as SPIFFE's chart installs it");
    let cluster = timed("Kubernetes is up; on each node Keylime's agent is enrolled, and passes", || {
        Cluster::start(&Options::of(World::SPIFFE))
    })?;
    timed("SPIRE is installed by Helm: a server, and an agent on each node", || {
        cluster.install_spire(Helm::V4, &[])
    })?;
    timed("its agents have attested by k8s_psat, which says nothing about what the nodes run", || {
        cluster.wait_for_agents(&ids(|node| cluster.psat_id(node))?)
    })?;
    show_agents(&cluster)?;
    Ok(cluster)
}

fn tell(cluster: &Cluster) -> Result<Told> {
    heading(2, "One chart");
    timed("helm install keylime-attestor charts/keylime-attestor", || cluster.install_operator(Helm::V4))?;

    heading(3, "One resource");
    let attested_after = apply(cluster)?;

    heading(4, "A workload gets its identity");
    fetch_identity_of_a_workload(cluster)?;

    heading(5, "Somebody tampers with a node");
    let (evicted_after, refusal) = tamper(cluster, NODES)?;

    heading(6, "The node is repaired");
    repair(cluster, NODES)?;

    heading(7, "The resource is deleted");
    let back_after = delete(cluster)?;
    let [node, _] = NODES;
    Ok(Told { attested_after, id: cluster.keylime_id(node)?, evicted_after, refusal, back_after })
}

fn apply(cluster: &Cluster) -> Result<Duration> {
    let resource = quick_start()? + ENFORCEMENT;
    quote("kubectl apply -f -", &resource);
    let begun = Instant::now();
    cluster.apply(&resource)?;
    timed(
        "the operator has changed SPIRE's server, then its agents: kubectl wait --for=condition=Ready",
        || cluster.at_server(&["wait", "--for=condition=Ready", "kla/spire", "--timeout=120s"]),
    )?;
    let keylime = ids(|node| cluster.keylime_id(node))?;
    timed("both nodes are attested by Keylime", || wait_for(cluster, &keylime))?;
    let took = begun.elapsed();
    evict_others(cluster, &keylime)?;
    say("           (what k8s_psat had attested stays listed until its SVIDs end, or is evicted, as here)");
    show_agents(cluster)?;
    timed("the operator has seen it: kubectl wait --for=condition=NodesAttested", || {
        wait_for_nodes(cluster)
    })?;
    show_nodes(cluster)?;
    quote("kubectl describe kla spire", &conditions(&cluster.at_server(&["describe", "kla", "spire"])?)?);
    Ok(took)
}

fn fetch_identity_of_a_workload(cluster: &Cluster) -> Result<()> {
    let [node, _] = NODES;
    cluster.start_workload(WORKLOAD, node)?;
    let id = timed("a pod on the node has its X509-SVID", || {
        wait::until("an SVID", TIMEOUT, || cluster.workload_id(WORKLOAD))
    })?;
    say(&format!("   It is {id}, by an entry of spire-controller-manager's."));
    Ok(())
}

/// Gives how long the failing node kept its agent, and the reason that this agent was told then.
fn tamper(cluster: &Cluster, [failing, passing]: [Node; 2]) -> Result<(Duration, String)> {
    timed("something unknown was measured into PCR 23 of node1; Keylime fails the node", || {
        cluster.keylime().fail(failing)
    })?;
    let failed = Instant::now();
    timed("SPIRE's server has evicted the node's agent by itself", || {
        cluster.wait_for_agents(&[cluster.keylime_id(passing)?])
    })?;
    let evicted_after = failed.elapsed();
    let refusal = timed("the agent attested anew, was refused, and ended", || refusal(cluster, failing))?;
    timed("the workload on the node gets no SVID any longer, and the operator tells of the node", || {
        wait::until("a workload without identity", TIMEOUT, || {
            let id = cluster.workload_id(WORKLOAD);
            ensure!(id.is_err(), "it still gets {id:?}");
            expect_one_failing(cluster)
        })
    })?;
    quote("kubectl logs (SPIRE's agent on node1)", &refusal);
    show_agents(cluster)?;
    show_nodes(cluster)?;
    let events = ["events", "--for", &format!("attestednode/{}", failing.name)];
    quote(&format!("kubectl {}", events.join(" ")), &cluster.kubectl(&events)?);
    Ok((evicted_after, refusal))
}

/// Why SPIRE's server refused the agent on a node, by the log of its pod.
fn refusal(cluster: &Cluster, node: Node) -> Result<String> {
    let pod = cluster.agent_pod(node)?;
    wait::until("a refused agent", TIMEOUT, || {
        let log = cluster.at_agents(&["logs", &pod])? + &cluster.at_agents(&["logs", &pod, "--previous"])?;
        let line =
            log.lines().rev().find(|line| line.contains("code = PermissionDenied desc = nodeattestor"));
        let (_, text) =
            line.and_then(|line| line.split_once("nodeattestor(keylime): ")).context("no refusal")?;
        Ok(text.split('"').next().unwrap_or_default().to_owned())
    })
}

fn repair(cluster: &Cluster, [failing, _]: [Node; 2]) -> Result<()> {
    timed("PCR 23 is as it should be; Keylime attested again, and passes the node", || {
        cluster.keylime().repair(failing)
    })?;
    timed("Kubernetes started its SPIRE agent again, and that has attested by itself", || {
        cluster.wait_for_agents(&ids(|node| cluster.keylime_id(node))?)
    })?;
    timed("the workload has its SVID again, and the operator has seen the node recover", || {
        wait::until("an SVID", TIMEOUT, || cluster.workload_id(WORKLOAD))?;
        wait_for_nodes(cluster)
    })?;
    show_nodes(cluster)
}

fn delete(cluster: &Cluster) -> Result<Duration> {
    let begun = Instant::now();
    timed("kubectl delete kla spire: SPIRE's agents, then its server have back what they had", || {
        cluster.at_server(&["delete", "kla/spire", "--timeout=120s"])
    })?;
    let psat = ids(|node| cluster.psat_id(node))?;
    timed("its agents have attested by k8s_psat", || wait_for(cluster, &psat))?;
    let took = begun.elapsed();
    evict_others(cluster, &psat)?;
    show_agents(cluster)?;
    let left = ["get", "configmaps", "--selector", "app.kubernetes.io/managed-by=keylime-attestor-operator"];
    let left = cluster.kubectl(&[&left[..], &["--all-namespaces", "--output", "name"]].concat())?;
    ensure!(left.is_empty(), "the operator left {left}");
    timed("helm uninstall keylime-attestor", || {
        cluster.helm(Helm::V4, &["uninstall", OPERATOR, "--namespace", OPERATOR])
    })?;
    Ok(took)
}

fn print_summary(told: &Told, took: Duration) {
    let Told { attested_after, id, evicted_after, refusal, back_after } = told;
    say(&format!(
        "\nWhat you saw, in {:.0} s:
  - Nothing of SPIRE was edited by hand. {:.0} s after one `kubectl apply`, both nodes had identities like
    {id},
    because their TPMs signed a fresh challenge, and Keylime says that they run what they should.
  - A workload on such a node got its own identity from it.
  - {:.0} s after Keylime failed a node, SPIRE took its identity away, with nobody there, and gave it no new one:
    {refusal}
    Kubernetes tells of it in the AttestedNode, in the resource, in Events and metrics.
  - Once it was repaired, node and workload got their identities back by themselves.
  - {:.0} s after the resource was deleted, SPIRE was as before.
All that was started is ended now, and its files are removed.",
        took.as_secs_f64(),
        attested_after.as_secs_f64(),
        evicted_after.as_secs_f64(),
        back_after.as_secs_f64(),
    ));
}

/// Waits until these agents are among those that SPIRE's server knows.
fn wait_for(cluster: &Cluster, ids: &[String]) -> Result<()> {
    wait::until("the agents", TIMEOUT, || {
        let agents = cluster.agents()?;
        ensure!(ids.iter().all(|id| agents.iter().any(|agent| agent.id == *id)), "there are {agents:?}");
        Ok(())
    })
}

/// Agents whose nodes attest otherwise now are listed until their SVIDs end, or an administrator
/// evicts them.
fn evict_others(cluster: &Cluster, ids: &[String]) -> Result<()> {
    for agent in cluster.agents()?.iter().filter(|agent| !ids.contains(&agent.id)) {
        cluster.spire_server(&["agent", "evict", "-spiffeID", &agent.id])?;
    }
    cluster.wait_for_agents(ids)
}

fn show_agents(cluster: &Cluster) -> Result<()> {
    quote("spire-server agent list", &cluster.spire_server(&["agent", "list"])?);
    Ok(())
}

/// Shows the operator's `AttestedNode`s.
fn show_nodes(cluster: &Cluster) -> Result<()> {
    quote("kubectl get kla", &cluster.at_server(&["get", "kla"])?);
    quote("kubectl get attestednodes", &cluster.kubectl(&["get", "attestednodes"])?);
    Ok(())
}

fn wait_for_nodes(cluster: &Cluster) -> Result<()> {
    cluster.at_server(&["wait", "--for=condition=NodesAttested", "kla/spire", "--timeout=120s"])?;
    Ok(())
}

/// The resource is written after its `AttestedNode`s.
fn expect_one_failing(cluster: &Cluster) -> Result<()> {
    let failing =
        cluster.at_server(&["get", "kla", "spire", "--output", "jsonpath={.status.nodes.failing}"])?;
    ensure!(failing == "1", "there are {failing}");
    Ok(())
}

/// The part of a description that says how it is. One condition goes on with a template.
fn conditions(description: &str) -> Result<String> {
    let lines = description.lines().skip_while(|line| line.trim() != "Conditions:");
    let lines = lines.filter(|line| {
        ["Conditions:", "Message:", "Reason:", "Status:", "Type:"]
            .iter()
            .any(|part| line.trim().starts_with(part))
    });
    let text: Vec<_> = lines.map(|line| line.chars().take(WIDTH).collect::<String>()).collect();
    ensure!(!text.is_empty(), "it has no conditions: {description}");
    Ok(text.join("\n"))
}

fn ids(id: impl Fn(Node) -> Result<String>) -> Result<Vec<String>> {
    NODES.into_iter().map(id).collect()
}
