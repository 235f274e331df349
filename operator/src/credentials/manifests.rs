//! The Secrets of the credentials, and cert-manager's resources that make the same.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use keylime_attestor_api::names::secret_key;
use kube::api::ObjectMeta;

use super::issue::Pair;
use crate::process::cli::CredentialsArgs;

/// A Secret with a certificate and its key, and the CA where the other side is known by one.
pub(super) fn secret(namespace: &str, name: &str, pair: &Pair, ca: Option<&str>) -> Secret {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let mut data = BTreeMap::from([
        (secret_key::CERTIFICATE.to_owned(), bytes(&pair.certificate)),
        (secret_key::PRIVATE_KEY.to_owned(), bytes(&pair.key)),
    ]);
    data.extend(ca.map(|ca| (secret_key::CA.to_owned(), bytes(ca))));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

/// Secrets as one YAML text.
pub(super) fn yaml(secrets: &[Secret]) -> Result<String> {
    let mut text = String::new();
    for secret in secrets {
        text += "---\n";
        text += &serde_yaml::to_string(secret)?;
    }
    Ok(text)
}

/// cert-manager's resources. They hold no key: that of Keylime's CA has to be in a Secret, where
/// cert-manager alone reads it.
pub(super) fn cert_manager(args: &CredentialsArgs) -> String {
    let CredentialsArgs { server_namespace, agent_namespace, admin_secret, node_secret, .. } = args;
    let hours = u64::from(args.days) * 24;
    let renew = u64::from(args.renew_before) * 24;
    format!(
        "\
# A CA of the nodes' own, which Keylime's agents are to trust, and a client certificate of it.
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {{name: keylime-attestor-self-signed, namespace: {agent_namespace}}}
spec:
  selfSigned: {{}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: keylime-attestor-node-ca, namespace: {agent_namespace}}}
spec:
  isCA: true
  commonName: Keylime Attestor node CA
  secretName: keylime-attestor-node-ca
  duration: 87600h
  privateKey: {{algorithm: ECDSA, size: 256, encoding: PKCS8}}
  issuerRef: {{kind: Issuer, name: keylime-attestor-self-signed}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {{name: keylime-attestor-node-ca, namespace: {agent_namespace}}}
spec:
  ca: {{secretName: keylime-attestor-node-ca}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: {node_secret}, namespace: {agent_namespace}}}
spec:
  commonName: keylime-attestor-node
  secretName: {node_secret}
  duration: {hours}h
  renewBefore: {renew}h
  usages: [digital signature, client auth]
  privateKey: {{algorithm: ECDSA, size: 256, encoding: PKCS8, rotationPolicy: Always}}
  issuerRef: {{kind: Issuer, name: keylime-attestor-node-ca}}
---
# Keylime's own CA issues the one of SPIRE's server. Its certificate and key (cv_ca at the verifier) have to be in the Secret
# keylime-cv-ca beside it, as tls.crt and tls.key; whoever reads that Secret administers Keylime.
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {{name: keylime-cv-ca, namespace: {server_namespace}}}
spec:
  ca: {{secretName: keylime-cv-ca}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: {admin_secret}, namespace: {server_namespace}}}
spec:
  commonName: keylime-attestor-admin
  secretName: {admin_secret}
  duration: {hours}h
  renewBefore: {renew}h
  usages: [digital signature, client auth]
  privateKey: {{algorithm: ECDSA, size: 256, encoding: PKCS8, rotationPolicy: Always}}
  issuerRef: {{kind: Issuer, name: keylime-cv-ca}}
"
    )
}
