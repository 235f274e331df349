use std::time::Duration;

use serde_json::json;

use super::*;

fn owner() -> Owner {
    Owner { namespace: "n".to_owned(), name: "spire".to_owned() }
}

fn correction() -> Step {
    Step::Configure {
        object: json!({"metadata": {"namespace": "n", "name": "spire-agent-keylime"}}),
        correction: true,
    }
}

fn due() -> Next {
    Next { steps: vec![correction()], ..Next::default() }
}

#[test]
fn who_reverts_again_and_again_is_waited_for() {
    let (memory, gathered, now) = (Memory::default(), Gathered::default(), Instant::now());
    for _ in 0..5 {
        let (next, problems) = held_back(&memory, &owner(), &gathered, due(), now);
        assert_eq!((next.steps.as_slice(), problems), (&[correction()][..], Vec::new()));
        corrected(&memory, &owner(), &next.steps, now);
    }
    let (next, problems) = held_back(&memory, &owner(), &gathered, due(), now);
    assert_eq!((next.steps.as_slice(), next.again), (&[][..], Some(Duration::from_secs(10))));
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.reason, FIGHTING);
    assert!(problem.message.contains("ConfigMap n/spire-agent-keylime"), "{}", problem.message);

    // The turn comes, and when nothing is reverted any longer it is over.
    let (next, _) = held_back(&memory, &owner(), &gathered, due(), now + Duration::from_secs(10));
    assert_eq!(next.steps, [correction()]);
    let later = now + Duration::from_secs(60);
    let (_, calm) = held_back(&memory, &owner(), &gathered, Next::default(), later);
    assert_eq!(calm, []);
}

#[test]
fn what_is_written_for_the_first_time_is_no_correction() {
    let (memory, now) = (Memory::default(), Instant::now());
    let first =
        Step::Configure { object: json!({"metadata": {"namespace": "n", "name": "x"}}), correction: false };
    for _ in 0..10 {
        corrected(&memory, &owner(), std::slice::from_ref(&first), now);
    }
    let next = Next { steps: vec![first], ..Next::default() };
    let (next, problems) = held_back(&memory, &owner(), &Gathered::default(), next, now);
    assert_eq!((next.steps.len(), problems), (1, Vec::new()));
}
