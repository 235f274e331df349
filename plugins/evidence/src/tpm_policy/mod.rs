//! The PCRs in a node's TPM policy.

use std::collections::BTreeSet;

use serde_json::Value;

/// The PCRs (0 to 23) that a `tpm_policy` gives at least one allowed value for.
///
/// Keylime's verifier writes the policy as a JSON object in a string: `{"15": ["<hex>", …], "mask":
/// "0x8000"}`. Entries that cannot be read name no PCR: the numbers become selectors, so that
/// leaving one out can take rights away but never give any.
pub fn tpm_policy_pcrs(policy: &str) -> BTreeSet<u8> {
    let Ok(Value::Object(members)) = serde_json::from_str(policy) else {
        return BTreeSet::new();
    };
    let is_checked = |values: &Value| values.as_array().is_some_and(|values| !values.is_empty());
    (0..24).filter(|pcr| members.get(&pcr.to_string()).is_some_and(is_checked)).collect()
}

#[cfg(test)]
mod tests;
