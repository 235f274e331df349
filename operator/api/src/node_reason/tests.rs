use std::collections::BTreeSet;

use super::*;

#[test]
fn reasons_are_read_back_and_each_state_has_one() {
    for reason in NodeReason::ALL {
        assert_eq!(NodeReason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(NodeReason::parse("Other"), None);
    let states: BTreeSet<_> = NodeReason::ALL.iter().map(|reason| reason.state()).collect();
    assert_eq!(states, NodeState::ALL.into_iter().collect());
}

#[test]
fn meaning_and_remedy_are_sentences_that_fit_into_a_table() {
    for reason in NodeReason::ALL {
        for text in [reason.meaning(), reason.remedy()].into_iter().chain(reason.remedy_in_push_mode()) {
            assert!(text.ends_with('.') && !text.contains(['|', '\n']), "{reason:?}: {text}");
        }
    }
    assert_eq!(markdown().lines().count(), NodeReason::ALL.len() + 2);
}
