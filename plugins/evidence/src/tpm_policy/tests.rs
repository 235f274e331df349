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
