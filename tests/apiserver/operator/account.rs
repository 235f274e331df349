//! The account that the operator of each test has: with every right, and held by the chart's
//! admission policies to what the operator writes. So every write of every test is tried on them.

use std::fs;

use anyhow::{Context as _, Result};
use lab::apiserver::ApiServer;
use serde_json::json;
use tempfile::TempDir;

use crate::chart::helm::{HELMS, objects, template};

/// As whom the operator writes.
pub(crate) const ACCOUNT: &str = "system:serviceaccount:keylime-attestor:keylime-attestor";
/// The image of the plugins.
pub(crate) const IMAGE: &str = "registry.example/keylime-attestor:1";
/// The namespaces of the tests with mode InPlace.
const IN_PLACE: [&str; 7] = [
    "in-place",
    "in-place-edits",
    "in-place-ssa",
    "one-map-in-place",
    "policies",
    "refused-in-place",
    "told-in-place",
];
const TEMPLATES: [&str; 4] =
    ["admission/config-maps", "admission/nodes", "admission/static-entries", "admission/workloads"];

/// Makes the policies and the account's rights.
pub(crate) fn install(server: &ApiServer) -> Result<()> {
    let edited = IN_PLACE
        .map(|namespace| ["spire", "spire-agent", "spire-server"].map(|name| format!("{namespace}/{name}")));
    let edited = format!("admissionPolicy.inPlace={{{}}}", edited.concat().join(","));
    let image = format!("plugin.image={IMAGE}");
    let files = TEMPLATES.map(|file| format!("templates/{file}.yaml"));
    let shown = files.iter().flat_map(|file| ["--show-only", file]);
    let args: Vec<&str> = ["--set", &edited, "--set", &image].into_iter().chain(shown).collect();
    let rendered = objects(&template(HELMS[0], &args)?)?;
    let folder = TempDir::new()?;
    let file = folder.path().join("chart.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": rendered}).to_string())?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    server.kubectl(&["create", "--validate=strict", "--filename", file])?;
    let user = format!("--user={ACCOUNT}");
    server.kubectl(&["create", "clusterrolebinding", "operator", "--clusterrole=cluster-admin", &user])?;
    Ok(())
}
