//! SPIRE's selectors: the facts about a node that registration entries can ask for.

use crate::binding::{LabelKey, ProvenNode};
use crate::metadata::{MetadataKey, is_printable};
use crate::{HashAlg, NodeState, Registration};

/// The selector values of a node, sorted, each once. SPIRE puts the plugin's name in front
/// (`keylime:`).
///
/// | value | source |
/// | --- | --- |
/// | `agent_id:<id>` | the registrar |
/// | `ak_sha256:<hex>`, `ek_sha256:<hex>` | SHA-256 over the `TPM2B_PUBLIC` that the registrar holds |
/// | `hash_alg:<alg>` | the PCR bank of the quote that was verified |
/// | `verifier_id:<id>`, `runtime_policy:true\|false`, `measured_boot:true\|false`, `tpm_policy_pcr:<n>` | the verifier |
/// | `metadata:<key>:<value>` | the verifier; only for `allowed_metadata_keys` |
///
/// Texts of the verifier that are empty, longer than 255 bytes or not printable give no selector.
pub fn selectors(
    registration: &Registration,
    state: &NodeState,
    hash_alg: HashAlg,
    allowed_metadata_keys: &[MetadataKey],
) -> Vec<String> {
    let mut selectors = vec![
        format!("agent_id:{}", registration.agent_id),
        format!("ak_sha256:{}", registration.ak.sha256()),
        format!("hash_alg:{hash_alg}"),
        format!("runtime_policy:{}", state.runtime_policy),
        format!("measured_boot:{}", state.measured_boot),
    ];
    selectors.extend(registration.ek.as_ref().map(|ek| format!("ek_sha256:{}", ek.sha256())));
    let verifier_id = state.verifier_id.as_deref().filter(|id| is_printable(id));
    selectors.extend(verifier_id.map(|id| format!("verifier_id:{id}")));
    selectors.extend(state.tpm_policy_pcrs.iter().map(|pcr| format!("tpm_policy_pcr:{pcr}")));
    selectors.extend(
        allowed_metadata_keys
            .iter()
            .filter_map(|key| Some(format!("metadata:{key}:{}", state.metadata.get(key)?))),
    );
    selectors.sort_unstable();
    selectors.dedup();
    selectors
}

/// The selector values of the node of Kubernetes that was proven, sorted, each once.
///
/// | value | source |
/// | --- | --- |
/// | `node_name:<name>`, `node_uid:<uid>` | the token of the SPIRE agent's pod, and the apiserver |
/// | `node_label:<key>:<value>` | the apiserver; only for `allowed_node_label_keys` |
pub fn node_selectors(node: &ProvenNode, allowed_label_keys: &[LabelKey]) -> Vec<String> {
    let mut selectors = vec![format!("node_name:{}", node.name), format!("node_uid:{}", node.uid)];
    let labels = allowed_label_keys.iter().filter_map(|key| Some((key, node.label(key)?)));
    let labels = labels.filter(|(_, value)| is_printable(value));
    selectors.extend(labels.map(|(key, value)| format!("node_label:{key}:{value}")));
    selectors.sort_unstable();
    selectors.dedup();
    selectors
}
