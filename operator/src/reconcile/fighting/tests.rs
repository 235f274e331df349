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
        let mut next = due();
        assert_eq!(enter(&memory, &owner(), &gathered, &mut next, now), []);
        assert_eq!(next.steps, [correction()]);
        leave(&memory, &owner(), &next.steps, now);
    }
    let mut next = due();
    let problems = enter(&memory, &owner(), &gathered, &mut next, now);
    assert_eq!((next.steps.as_slice(), next.again), (&[][..], Some(Duration::from_secs(10))));
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.reason, FIGHTING);
    assert!(problem.message.contains("ConfigMap n/spire-agent-keylime"), "{}", problem.message);

    // The turn comes, and when nothing is reverted any longer it is over.
    let mut next = due();
    enter(&memory, &owner(), &gathered, &mut next, now + Duration::from_secs(10));
    assert_eq!(next.steps, [correction()]);
    let calm = enter(&memory, &owner(), &gathered, &mut Next::default(), now + Duration::from_secs(60));
    assert_eq!(calm, []);
}

#[test]
fn what_is_written_for_the_first_time_is_no_correction() {
    let (memory, now) = (Memory::default(), Instant::now());
    let first =
        Step::Configure { object: json!({"metadata": {"namespace": "n", "name": "x"}}), correction: false };
    for _ in 0..10 {
        leave(&memory, &owner(), std::slice::from_ref(&first), now);
    }
    let mut next = Next { steps: vec![first], ..Next::default() };
    assert_eq!(enter(&memory, &owner(), &Gathered::default(), &mut next, now), []);
    assert_eq!(next.steps.len(), 1);
}
