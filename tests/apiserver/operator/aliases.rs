//! Node aliases: the parents of workloads where agents prove their Node.

use anyhow::{Context as _, Result, ensure};
use lab::fake_keylime::Node;
use serde_json::{Value, json};

use super::binding::grant;
use super::pods;
use super::site::Site;
use super::spire::{self, MANAGER, MANAGER_KEY};

const CHART: &str = include_str!("../../../operator/testdata/controller-manager/chart.yaml");
const TEMPLATE: &str = "/keylime-attestor/node/{{ .ClusterName }}/{{ .NodeMeta.UID }}";
const AGENT: &str = "daemonset/spire-agent";
const SERVER: &str = "statefulset/spire-server";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_its_former_agent_s_alias_until_it_attests_by_keylime_and_again_at_the_end() -> Result<()>
{
    let mut site = site("aliases", CHART).await?;
    let before = site.spire()?;
    site.make_node("alias-a", "alias-a", "")?;
    site.make_node("alias-b", "alias-b", "")?;
    site.attest(json!({"attestation": {"binding": "Prefer"}}))?;
    let operator = site.operator()?;
    site.wait("SPIRE's server to be changed", |site| Ok(site.hash(SERVER)?.is_some()))?;
    for node in ["alias-a", "alias-b"] {
        ensure!(
            kinds(&site, node)? == ["former", "proven"],
            "the server changed before {:?}",
            kinds(&site, node)?
        );
    }
    site.roll_out_until("ParentIDsConfigured", "Aliased")?;
    ensure!(site.text("spire-controller-manager-keylime", MANAGER_KEY)?.contains(TEMPLATE));
    the_entry_is_what_the_controller_manager_reads(&site)?;

    // A Node that joins, and one whose agent attests by Keylime.
    site.make_node("alias-c", "alias-c", "")?;
    site.wait("a new node's alias", |site| Ok(kinds(site, "alias-c")? == ["former", "proven"]))?;
    site.roll_out_until("AgentsRolledOut", "RolledOut")?;
    let hash = site.hash(AGENT)?.context("no overlay")?;
    site.keylime.add(Node { id: "alias-a".to_owned(), ..Node::recorded() });
    pods::start_agent(&site, "alias-a", "alias-a", Some(&hash))?;
    pods::ready(&site, "alias-a")?;
    site.wait("the former agent's alias to go", |site| {
        Ok(!kinds(site, "alias-a")?.contains(&"former".to_owned()))
    })?;
    ensure!(kinds(&site, "alias-b")? == ["former", "proven"]);
    // No token came, and the agent at Keylime is known.
    ensure!(kinds(&site, "alias-a")? == ["named", "proven"], "{:?}", kinds(&site, "alias-a")?);
    // What somebody takes away comes back.
    let name = entries(&site, "alias-b")?[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    site.kubectl(&["delete", "clusterstaticentry", &name])?;
    site.wait("an alias to be made anew", |site| Ok(kinds(site, "alias-b")? == ["former", "proven"]))?;

    site.delete()?;
    site.wait("the agents to go back", |site| Ok(site.hash(AGENT)?.is_none()))?;
    ensure!(kinds(&site, "alias-a")?.contains(&"former".to_owned()), "its agent would not be taken in");
    site.kubectl(&["delete", "pod", "alias-a"])?;
    site.let_go()?;
    for node in ["alias-a", "alias-b", "alias-c"] {
        ensure!(kinds(&site, node)?.is_empty(), "an alias is left");
    }
    site.is_as(&before)?;
    operator.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_they_cannot_stand_in_marks_on_nodes_do_and_the_reason_is_told() -> Result<()> {
    let text = CHART.replace("clusterStaticEntries: true", "clusterStaticEntries: false");
    let mut site = site("unaliased", &text).await?;
    site.attest(json!({"attestation": {"binding": "Prefer"}}))?;
    let operator = site.operator()?;
    site.roll_out_until("ParentIDsConfigured", "Overlaid")?;
    let message = site.condition("ParentIDsConfigured")?.1;
    ensure!(message.contains("reconcile.clusterStaticEntries"), "{message}");
    ensure!(site.text("spire-controller-manager-keylime", MANAGER_KEY)?.contains("keylime-agent-id"));

    // Its owner mends it.
    site.apply(&spire::config_map(&site.namespace, MANAGER, MANAGER_KEY, CHART))?;
    site.roll_out_until("ParentIDsConfigured", "Aliased")?;
    operator.stop()
}

/// With spire-controller-manager beside a SPIRE server that can have tokens reviewed.
async fn site(namespace: &str, text: &str) -> Result<Site> {
    let site = Site::start(namespace).await?;
    site.apply(&spire::with_manager(spire::json(namespace), text, json!({}))?)?;
    grant(&site)?;
    let mut pod = spire::pod(namespace, "spire-server-0", "spire-server", "");
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    site.apply(&pod)?;
    Ok(site)
}

fn the_entry_is_what_the_controller_manager_reads(site: &Site) -> Result<()> {
    let uid = site.get("node/alias-a")?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let [former, proven] = &entries(site, "alias-a")?[..] else { anyhow::bail!("not two entries") };
    let spec = |selectors: Value| {
        json!({"className": "spire-server-spire", "parentID": "spiffe://example.org/spire/server",
            "selectors": selectors, "spiffeID": format!("spiffe://example.org/keylime-attestor/node/example-cluster/{uid}")})
    };
    let psat = json!(["k8s_psat:cluster:example-cluster", format!("k8s_psat:agent_node_uid:{uid}")]);
    ensure!(former["spec"] == spec(psat), "{:#}", former["spec"]);
    ensure!(proven["spec"] == spec(json!([format!("keylime:node_uid:{uid}")])), "{:#}", proven["spec"]);
    ensure!(proven["metadata"]["ownerReferences"][0]["uid"] == uid.as_str());
    Ok(())
}

/// The entries of a Node, by name.
fn entries(site: &Site, node: &str) -> Result<Vec<Value>> {
    let label = format!("spire.keylime.dev/attestor-namespace={}", site.namespace);
    let all = site.kubectl(&["get", "clusterstaticentries", "--selector", &label, "--output=json"])?;
    let mut all: Value = serde_json::from_str(&all)?;
    let all = all["items"].as_array_mut().context("no list")?;
    Ok(all.drain(..).filter(|entry| entry["metadata"]["ownerReferences"][0]["name"] == node).collect())
}

/// The ends of their names.
fn kinds(site: &Site, node: &str) -> Result<Vec<String>> {
    let names = entries(site, node)?;
    let end = |entry: &Value| entry["metadata"]["name"].as_str()?.rsplit('-').next().map(str::to_owned);
    Ok(names.iter().filter_map(end).collect())
}
