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
mod tests {
    use super::*;

    #[test]
    fn pcrs_with_values_are_named() {
        let policy = r#"{"15": ["00"], "0": ["00", "01"], "23": ["00"], "mask": "0x808001"}"#;
        assert_eq!(tpm_policy_pcrs(policy), BTreeSet::from([0, 15, 23]));
        assert_eq!(tpm_policy_pcrs(r#"{"mask": "0x0"}"#), BTreeSet::new());
    }

    #[test]
    fn what_is_not_understood_names_no_pcr() {
        for policy in [
            "",
            "[]",
            "null",
            "{",
            r#"{"24": ["00"], "-1": ["00"], "01": ["00"], "1": [], "2": "00", "3": null}"#,
        ] {
            assert_eq!(tpm_policy_pcrs(policy), BTreeSet::new(), "{policy}");
        }
    }
}
