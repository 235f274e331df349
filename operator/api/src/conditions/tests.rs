use std::collections::BTreeSet;

use super::*;

#[test]
fn reasons_are_unique_and_named_as_kubernetes_wants_them() {
    let unique: BTreeSet<_> = REASONS.iter().map(|reason| (reason.condition, reason.name)).collect();
    assert_eq!(unique.len(), REASONS.len());
    for Reason { name, .. } in REASONS {
        assert!(name.starts_with(|first: char| first.is_ascii_uppercase()), "{name}");
        assert!(name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
    }
}

#[test]
fn every_condition_can_be_good_and_bad() {
    for condition in ConditionType::ALL {
        for status in [Status::True, Status::False] {
            let has = REASONS.iter().any(|reason| reason.condition == condition && reason.status == status);
            assert!(has, "{condition} is never {status}");
        }
    }
}

#[test]
fn meaning_and_remedy_are_sentences_that_fit_into_a_table() {
    for Reason { name, meaning, remedy, .. } in REASONS {
        for text in [meaning, remedy] {
            assert!(text.ends_with('.') && !text.contains(['|', '\n']), "{name}: {text}");
        }
    }
    assert_eq!(markdown().lines().count(), REASONS.len() + 2);
}
