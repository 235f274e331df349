//! The chart's objects at a real apiserver.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use lab::apiserver::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helm::{HELMS, NAMESPACE, at, objects, repository, template, text, value_sets};

#[test]
fn the_apiserver_takes_every_object_and_pod() -> Result<()> {
    let server = prepared()?;
    takes_every_object(&server)?;
    lets_every_pod_into_a_restricted_namespace(&server)
}

/// By the one line of the README.
#[test]
fn the_plain_manifests_install_without_helm() -> Result<()> {
    let server = ApiServer::start()?;
    for namespace in ["spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    let (crds, manifests) = (repository().join("crds"), repository().join("charts/manifests"));
    let files = ["--filename", text(&crds)?, "--filename", text(&manifests)?];
    let apply = ["apply", "--server-side", "--validate=strict", "--warnings-as-errors"];
    server.kubectl(&[&apply, &files[..]].concat())?;
    server.kubectl(&["get", "deployment", "keylime-attestor", "--namespace", NAMESPACE])?;
    Ok(())
}

fn takes_every_object(server: &ApiServer) -> Result<()> {
    let folder = TempDir::new()?;
    for values in value_sets()? {
        for helm in HELMS {
            let rendered = folder.path().join("rendered.yaml");
            fs::write(&rendered, template(helm, &["--values", text(&values)?])?)?;
            let strict = ["--validate=strict", "--warnings-as-errors", "--filename", text(&rendered)?];
            server.kubectl(&[&["apply", "--server-side", "--dry-run=server"], &strict[..]].concat())?;
        }
    }
    Ok(())
}

fn lets_every_pod_into_a_restricted_namespace(server: &ApiServer) -> Result<()> {
    for values in value_sets()? {
        let objects = objects(&template(HELMS[0], &["--values", text(&values)?])?)?;
        let pods: Vec<Value> = objects.iter().filter_map(pod).collect();
        assert_eq!(pods.len(), 2, "the operator's, and the test's");
        for pod in pods {
            create_pod(server, &pod)?;
            for (field, value) in [
                ("/spec/securityContext/runAsNonRoot", json!(false)),
                ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
                ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
                ("/spec/containers/0/securityContext/capabilities/drop", json!([])),
            ] {
                let mut weaker = pod.clone();
                *weaker.pointer_mut(field).with_context(|| format!("no {field} in {pod:#}"))? = value;
                refuse_pod(server, &weaker)?;
            }
            let container = pod.pointer("/spec/containers/0/securityContext/readOnlyRootFilesystem");
            assert_eq!(container, Some(&json!(true)));
        }
    }
    Ok(())
}

/// With the namespaces and the kinds that the objects need. Pods can be tried where the release
/// goes, and nothing is changed by it.
fn prepared() -> Result<ApiServer> {
    let server = ApiServer::start()?;
    for namespace in [NAMESPACE, "spire-edge", "spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    let level = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    server.kubectl(&["label", "namespace", NAMESPACE, &level[0], &level[1]])?;
    for account in ["default", "keylime-attestor", "attestor", "mine"] {
        server.kubectl(&["create", "serviceaccount", account, "--namespace", NAMESPACE])?;
    }
    for kinds in [repository().join("crds"), repository().join("tests/testdata/chart/prometheus-kinds.yaml")]
    {
        server.kubectl(&["apply", "--server-side", "--filename", text(&kinds)?])?;
    }
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?;
    Ok(server)
}

/// The pod that an object is, or makes.
fn pod(object: &Value) -> Option<Value> {
    match at(object, "/kind") {
        "Pod" => Some(object.clone()),
        "Deployment" => Some(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "operator",
                "namespace": at(object, "/metadata/namespace"),
                "labels": object.pointer("/spec/template/metadata/labels")?,
            },
            "spec": object.pointer("/spec/template/spec")?,
        })),
        _ => None,
    }
}

fn refuse_pod(server: &ApiServer, pod: &Value) -> Result<()> {
    match create_pod(server, pod) {
        Ok(answer) => bail!("the pod was let in: {answer}"),
        Err(error) => {
            let answer = format!("{error:#}");
            ensure!(answer.contains("violates PodSecurity \"restricted:latest\""), "{answer}");
            Ok(())
        }
    }
}

fn create_pod(server: &ApiServer, pod: &Value) -> Result<String> {
    let folder = TempDir::new()?;
    let file = folder.path().join("pod.json");
    fs::write(&file, pod.to_string())?;
    server.kubectl(&["create", "--dry-run=server", "--validate=strict", "--filename", text(&file)?])
}
