//! The Secrets that SPIRE's pods mount: one that is not there, and one that the operator may not
//! look for.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::site::Site;
use super::spire;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_there_or_not_seen_is_told_before_a_pod_waits_for_it() -> Result<()> {
    let mut site = Site::start("secrets").await?;
    site.apply(&spire::json(&site.namespace))?;
    let user = "somebody-without-secrets";
    site.apply(&rights(&site.namespace, user))?;
    site.attest(json!({"keylime": {"agent": {"tls": {"secretName": "keylime-nod"}}}}))?;
    let operator = site.operator_as(user)?;

    let message = site.wait_for("ConfigurationApplied", "SecretForbidden")?;
    for secret in ["keylime-client", "keylime-nod"] {
        let grant = format!("rbac.keylimeSecrets, as {{namespace: secrets, names: [{secret}]}}");
        ensure!(message.contains(&grant), "{grant} is not in {message}");
    }
    ensure!(
        site.hash("statefulset/spire-server")?.is_none() && site.hash("daemonset/spire-agent")?.is_none()
    );

    // What it may look for is looked for; nothing else tells of a right.
    grant(&site, user, "keylime-client")?;
    site.wait("the server's Secret to be seen", |site| {
        let (_, message) = site.condition("ConfigurationApplied")?;
        Ok(message.contains("keylime-nod") && !message.contains("keylime-client"))
    })?;
    grant(&site, user, "keylime-nod")?;
    let message = site.wait_for("ConfigurationApplied", "SecretNotFound")?;
    ensure!(message.contains("keylime-nod"), "{message}");
    ensure!(site.hash("daemonset/spire-agent")?.is_none());

    site.apply(&site.secret("keylime-nod")?)?;
    site.make_ready()?;
    operator.stop()
}

fn grant(site: &Site, user: &str, secret: &str) -> Result<()> {
    let name = format!("--resource-name={secret}");
    site.kubectl(&["create", "role", secret, "--verb=get", "--resource=secrets", &name])?;
    let (role, user) = (format!("--role={secret}"), format!("--user={user}"));
    site.kubectl(&["create", "rolebinding", secret, &role, &user]).map(drop)
}

/// Everything but Secrets.
fn rights(namespace: &str, user: &str) -> Value {
    let rule = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["*"]});
    let group = "rbac.authorization.k8s.io/v1";
    let name = format!("{namespace}-without-secrets");
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": group, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [
            rule("", &["configmaps", "pods", "pods/log", "nodes", "events"]),
            rule("apps", &["*"]), rule("spire.keylime.dev", &["*"]), rule("events.k8s.io", &["*"]),
            rule("coordination.k8s.io", &["*"]),
        ]},
        {"apiVersion": group, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]},
    ]})
}
