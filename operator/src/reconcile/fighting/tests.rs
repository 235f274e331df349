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

fn due() -> Plan {
    Plan { steps: vec![correction()], ..Plan::default() }
}

#[test]
fn who_reverts_again_and_again_is_waited_for() {
    let (memory, gathered, now) = (Memory::default(), Gathered::default(), Instant::now());
    for _ in 0..5 {
        let (plan, problems) = held_back(&memory, &owner(), &gathered, due(), now);
        assert_eq!((plan.steps.as_slice(), problems), (&[correction()][..], Vec::new()));
        corrected(&memory, &owner(), &plan.steps, now);
    }
    let (plan, problems) = held_back(&memory, &owner(), &gathered, due(), now);
    assert_eq!((plan.steps.as_slice(), plan.requeue), (&[][..], Some(Duration::from_secs(10))));
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.reason, FIGHTING);
    assert!(problem.message.contains("ConfigMap n/spire-agent-keylime"), "{}", problem.message);

    // The correction has its turn, and the problem ends when nothing is reverted any longer.
    let (plan, _) = held_back(&memory, &owner(), &gathered, due(), now + Duration::from_secs(10));
    assert_eq!(plan.steps, [correction()]);
    let later = now + Duration::from_secs(60);
    let (_, calm) = held_back(&memory, &owner(), &gathered, Plan::default(), later);
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
    let plan = Plan { steps: vec![first], ..Plan::default() };
    let (plan, problems) = held_back(&memory, &owner(), &Gathered::default(), plan, now);
    assert_eq!((plan.steps.len(), problems), (1, Vec::new()));
}
