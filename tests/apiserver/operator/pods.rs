//! Pods as their controllers and kubelets would make them.

use anyhow::Result;
use serde_json::json;

use super::site::Site;
use super::spire;

/// Makes the pod of a SPIRE agent on a node, with our overlay or without.
pub(crate) fn start_agent(site: &Site, pod: &str, node: &str, hash: Option<&str>) -> Result<()> {
    let mut object = spire::pod(&site.namespace, pod, "spire-agent", hash.unwrap_or_default());
    if hash.is_none() {
        object["metadata"]["annotations"] = json!({});
    }
    object["spec"]["nodeName"] = json!(node);
    site.apply_with(&object, &["--server-side"])
}

/// Says that a pod is ready.
pub(crate) fn ready(site: &Site, pod: &str) -> Result<()> {
    site.patch_status(&format!("pod/{pod}"), &json!({"conditions": [{"type": "Ready", "status": "True"}]}))
}

/// Says that a pod has an address.
pub(crate) fn address(site: &Site, pod: &str, ip: &str) -> Result<()> {
    site.patch_status(&format!("pod/{pod}"), &json!({"podIP": ip, "podIPs": [{"ip": ip}]}))
}
