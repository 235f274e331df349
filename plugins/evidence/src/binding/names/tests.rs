use super::*;

#[test]
fn a_name_stands_for_itself_in_a_path() {
    for name in ["a", "node-1", "ip-10-0-0-1.eu-west-1.compute.internal", "0", &"a".repeat(253)] {
        assert_eq!(name.parse::<ObjectName>().unwrap().as_str(), name);
    }
    for text in [
        "",
        ".",
        "..",
        "a/b",
        "a?b",
        "a#b",
        "A",
        "a_b",
        "-a",
        "a-",
        "a b",
        "a%2f",
        "\u{e4}",
        &"a".repeat(254),
    ] {
        assert!(text.parse::<ObjectName>().is_err(), "{text:?}");
    }
}

#[test]
fn a_uid_has_letters_digits_and_dashes() {
    assert!("5f0b6c1e-8d7a-4a52-9f2c-0d6f1c9f1a11".parse::<Uid>().is_ok());
    for text in ["", "a/b", "a:b", "a b", &"a".repeat(129)] {
        assert!(text.parse::<Uid>().is_err(), "{text:?}");
    }
}

#[test]
fn an_account_is_read_from_the_configuration_and_from_a_user_name() {
    let account: ServiceAccount = "spire-system:spire-agent".parse().unwrap();
    assert_eq!(account.to_string(), "spire-system:spire-agent");
    assert_eq!(ServiceAccount::of_user("system:serviceaccount:spire-system:spire-agent"), Ok(account));
    for text in ["", "spire-agent", ":a", "a:", "a:b:c", "a/b", "A:b"] {
        assert!(text.parse::<ServiceAccount>().is_err(), "{text:?}");
        assert!(ServiceAccount::of_user(&format!("{USER}{text}")).is_err(), "{text:?}");
    }
    for user in ["spire-system:spire-agent", "system:node:a", "system:serviceaccount"] {
        assert!(ServiceAccount::of_user(user).is_err(), "{user}");
    }
}

#[test]
fn a_labels_key_has_no_colon() {
    for key in ["zone", "node-restriction.kubernetes.io/zone", "topology.kubernetes.io/region", "A_b.c-d"] {
        assert_eq!(key.parse::<LabelKey>().unwrap().as_str(), key);
    }
    for text in ["", "a:b", "a/b/c", "/a", "a/", "A.io/x", "a b", &"a".repeat(64)] {
        assert!(text.parse::<LabelKey>().is_err(), "{text:?}");
    }
}
