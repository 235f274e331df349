//! The certificates in the Secrets that SPIRE's pods mount. Whether the Secrets are there, and
//! whether that of SPIRE's server can be used, validation tells.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::KeylimeAttestor;
use keylime_attestor_api::names::secret_key;

use super::finding::{Finding, Subject};
use crate::certificate::{Certificate, Validity};
use crate::cluster::Cluster;
use crate::model::target::{Asked, Role};

const RENEW: &str = "Issue it anew and replace it in the Secret; the pods take it by themselves.";

pub(super) async fn findings(cluster: &Cluster, resource: &KeylimeAttestor, now: Timestamp) -> Vec<Finding> {
    let keylime = &resource.spec.keylime;
    let mut findings = Vec::new();
    let mut keylime_ca = None;
    for Asked { role, key, keylime_agent, .. } in Asked::all(resource) {
        let name = match &keylime_agent {
            None => Some(keylime.tls.secret_name.as_str()),
            Some(agent) => agent.secret_name(),
        };
        let Some(name) = name else { continue };
        let what = format!("the Secret {}/{name}", key.namespace);
        match cluster.secret(&key.namespace, name).await {
            Ok(Some(secret)) => {
                findings.push(of(&secret, &what, now));
                match role {
                    Role::Server => keylime_ca = entry(&secret, secret_key::CA).map(<[u8]>::to_vec),
                    Role::Agent => findings.extend(on_nodes(&secret, &what, keylime_ca.as_deref(), now)),
                }
            }
            Ok(None) => {}
            Err(error) => findings.push(Finding::warning(
                Subject::Secrets,
                format!("{what} was not read, so that nothing is known of its certificate: {error}"),
                "Check with the right to get it.",
            )),
        }
    }
    findings
}

/// Until when a Secret's certificate counts.
fn of(secret: &Secret, what: &str, now: Timestamp) -> Finding {
    let certificate = entry(secret, secret_key::CERTIFICATE).and_then(Certificate::read);
    let Some(certificate) = certificate else {
        return Finding::failure(
            Subject::Secrets,
            format!("{what} has no certificate in {} that can be read", secret_key::CERTIFICATE),
            "Put a PEM certificate there.",
        );
    };
    let Certificate { subject, not_before, not_after, .. } = &certificate;
    let until = format!("{what}: the certificate of {subject}");
    match certificate.validity(now) {
        Validity::Valid => Finding::ok(Subject::Secrets, format!("{until} ends at {not_after}")),
        Validity::EndsSoon => {
            Finding::warning(Subject::Secrets, format!("{until} ends soon, at {not_after}"), RENEW)
        }
        Validity::Ended => Finding::failure(Subject::Secrets, format!("{until} ended at {not_after}"), RENEW),
        Validity::NotYet => Finding::failure(
            Subject::Secrets,
            format!("{until} counts from {not_before} only"),
            "Wait until then, set clocks right, or issue another.",
        ),
    }
}

/// The problems of the Secret on the nodes: its key, and who has issued it.
fn on_nodes(secret: &Secret, what: &str, keylime_ca: Option<&[u8]>, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(certificate) = entry(secret, secret_key::CERTIFICATE).and_then(Certificate::read) else {
        return findings;
    };
    if !entry(secret, secret_key::PRIVATE_KEY).is_some_and(|key| certificate.fits(key)) {
        let (cert, key) = (secret_key::CERTIFICATE, secret_key::PRIVATE_KEY);
        findings.push(Finding::failure(
            Subject::Secrets,
            format!("{what}: {key} is missing, or is not the key of {cert}"),
            "Put a certificate and its own key there.",
        ));
    }
    if keylime_ca.is_some_and(|ca| certificate.is_issued_by(ca, now)) {
        findings.push(Finding::failure(
            Subject::Secrets,
            format!("{what} is on every node, and its certificate is of Keylime's own CA: whoever has a node administers Keylime with it"),
            "Give the nodes a certificate of a CA of their own, which Keylime's agents trust and its servers do not.",
        ));
    }
    findings
}

fn entry<'s>(secret: &'s Secret, key: &str) -> Option<&'s [u8]> {
    Some(secret.data.as_ref()?.get(key)?.0.as_slice())
}
