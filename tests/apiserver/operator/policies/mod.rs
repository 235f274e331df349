//! What the chart's admission policies refuse to the operator's account, though it has the right.
//! That they let pass what the operator writes is shown by every other test of it.

mod changes;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::process::Process;
use lab::programs::installed;
use lab::wait;
use serde_json::json;

use changes::{AGENT, ALIAS, Change, NODE, THEIRS, all, install, mounts_the_quoter};

use super::account::{ACCOUNT, IMAGE};
use super::site::{Site, TIMEOUT};
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_never_writes_is_refused_to_its_account_alone() -> Result<()> {
    let site = prepared().await?;
    let changes = all();
    for change in &changes {
        let answer = change.run(&site, ACCOUNT).err().with_context(|| format!("{change:?} was let pass"))?;
        let answer = format!("{answer:#}");
        ensure!(answer.contains("ValidatingAdmissionPolicy 'keylime-attestor-"), "{change:?}: {answer}");
        change.run(&site, "admin").with_context(|| format!("{change:?} is refused to others"))?;
    }
    mounts_the_quoter().run(&site, ACCOUNT)?;
    // Without the policies the account may do all of it.
    site.kubectl(&["delete", "validatingadmissionpolicybinding", "--all"])?;
    for change in &changes {
        wait::until("the policies to be gone", TIMEOUT, || change.run(&site, ACCOUNT))
            .with_context(|| format!("{change:?}"))?;
    }
    Ok(())
}

/// Nodes may know it by its digest alone. Where they call it by another name, an administrator has
/// to say so.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_installs_from_its_own_image_by_tag_or_digest() -> Result<()> {
    let site = prepared().await?;
    let digest = format!("sha256:{}", "0".repeat(64));
    for image in [
        IMAGE,
        &format!("registry.example/keylime-attestor@{digest}"),
        &format!("docker.io/registry.example/keylime-attestor@{digest}"),
    ] {
        install(json!({"image": image})).run(&site, ACCOUNT).with_context(|| image.to_owned())?;
    }
    let refused = install(json!({"image": "mirror.example/keylime-attestor:1"})).run(&site, ACCOUNT);
    let refused = refused.map_err(|error| format!("{error:#}"));
    for part in [IMAGE, "mirror.example/keylime-attestor:1", "plugin.image"] {
        ensure!(refused.as_ref().is_err_and(|text| text.contains(part)), "{part} is not in {refused:?}");
    }
    // The image of a pod that an older operator made stays where it is.
    let older = install(json!({"image": "registry.example/older:1"}));
    site.kubectl(&["patch", AGENT, "--patch", &older.patch.to_string()])?;
    Change::of(AGENT, json!({"metadata": {"labels": {"spire.keylime.dev/attestor-name": "x"}}}))
        .run(&site, ACCOUNT)
}

/// A warning would say that an expression fails where it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_type_checker_finds_nothing() -> Result<()> {
    let site = Site::start_alone("type-check").await?;
    let mut controller = Command::new(installed("cluster-programs/kube-controller-manager")?);
    controller.arg("--kubeconfig").arg(site.server.kubeconfig());
    controller.args([
        "--controllers=validatingadmissionpolicy-status-controller",
        "--leader-elect=false",
        "--secure-port=0",
    ]);
    let mut controller = Process::start("kube-controller-manager", site.dir.path(), &mut controller)?;
    let checked = |name: &str| {
        let policy = site.get(&format!("validatingadmissionpolicy/{name}"))?;
        let checked = policy.pointer("/status/typeChecking").cloned();
        checked.with_context(|| format!("{name} has not been checked"))
    };
    let wrong = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "wrong"},
        "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}]},
            "validations": [{"expression": "object.spec.no == 1"}]}});
    site.apply(&wrong)?;
    for (name, found) in [
        ("wrong", true),
        ("keylime-attestor-nodes", false),
        ("keylime-attestor-workloads", false),
        ("keylime-attestor-config-maps", false),
        ("keylime-attestor-static-entries", false),
    ] {
        let result = controller.wait_until("the type check", Duration::from_secs(120), || checked(name))?;
        ensure!(result["expressionWarnings"].is_array() == found, "{name}: {result:#}");
    }
    controller.stop()
}

/// A site with a SPIRE, a Node and ConfigMaps of others, where the policies are in force.
async fn prepared() -> Result<Site> {
    let site = Site::start_alone("policies").await?;
    let mut objects = spire::json(&site.namespace);
    for item in objects["items"].as_array_mut().context("no items")? {
        let Some(pod) = item.pointer_mut("/spec/template/spec") else { continue };
        pod["initContainers"] = json!([{"name": "theirs", "image": "theirs"}]);
        pod["containers"][0]["env"] = json!([{"name": "THEIRS", "value": "x"}]);
        pod["containers"][0]["command"] = json!(["theirs"]);
    }
    site.apply(&objects)?;
    site.make_node("other", "other-1", "10.0.8.2")?;
    site.patch(NODE, &json!({"spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}]}}))?;
    for name in ["theirs", "theirs-keylime"] {
        site.kubectl(&["create", "configmap", name, "--from-literal=a=b"])?;
    }
    for name in ["keylime-attestor-x", "theirs"] {
        site.apply(&json!({"apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterStaticEntry", "metadata": {"name": name},
            "spec": {"spiffeID": "spiffe://example.org/keylime-attestor/node/lab/u", "parentID": "spiffe://example.org/spire/server",
                "selectors": ["keylime:node_uid:u"]}}))?;
    }
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    for object in [NODE, AGENT, THEIRS] {
        let change = Change::of(object, labelled.clone());
        site.wait("the policies to be in force", |site| Ok(change.run(site, ACCOUNT).is_err()))?;
    }
    let entry = Change::of(ALIAS, json!({"spec": {"admin": true}}));
    site.wait("the policy on entries to be in force", |site| Ok(entry.run(site, ACCOUNT).is_err()))?;
    Ok(site)
}
