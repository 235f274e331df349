use keylime_attestor_api::RolloutState::{Complete, RolledBack, Withdrawing};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{
    config_map, gathered, now, object, read, replace, reported, resource, status, workload,
};
use crate::model::workload::owner_labels;

const SERVER: Kind = Kind::StatefulSet;
const AGENT: Kind = Kind::DaemonSet;

fn both() -> Gathered {
    let mut gathered = gathered(&resource(json!({})));
    for kind in [SERVER, AGENT] {
        gathered.ours.push(workload(kind, 3, 3));
    }
    gathered.our_maps.push(config_map("spire-system", "spire-agent-keylime", "agent.conf", ""));
    gathered
}

/// A workload without our overlay, with its pods so far.
fn taken(gathered: &mut Gathered, kind: Kind, updated: i32) {
    gathered.ours.retain(|workload| workload.key.kind != kind);
    replace(gathered, kind, updated, updated, None);
}

fn due(gathered: &Gathered, server: RolloutState, agent: RolloutState, ago: i64) -> Vec<String> {
    due_in(AGENTS_FIRST, gathered, server, agent, ago)
}

fn due_in(
    order: [Role; 2],
    gathered: &Gathered,
    server: RolloutState,
    agent: RolloutState,
    ago: i64,
) -> Vec<String> {
    let previous = status(reported(SERVER, server, "h", 0, ago), vec![reported(AGENT, agent, "h", 0, ago)]);
    match withdrawal(gathered, &previous, None, order, now()) {
        Withdrawal::Done => vec!["done".to_owned()],
        Withdrawal::Going(plan) => {
            let mut said: Vec<String> = plan
                .steps
                .iter()
                .map(|step| match step {
                    Step::Withdraw { workload, .. } => format!("withdraw {}", workload.name),
                    Step::Delete { name, .. } => format!("delete {name}"),
                    other => format!("{other:?}"),
                })
                .collect();
            let waits = plan.rollouts.iter().filter(|(_, rollout)| rollout.state == Withdrawing);
            said.extend(waits.map(|(key, _)| format!("{} waits", key.name)));
            said
        }
    }
}

#[test]
fn where_the_server_does_not_admit_the_agents_otherwise_it_is_first() {
    let due = |gathered: &Gathered, server| due_in(SERVER_FIRST, gathered, server, Complete, 9);
    let mut gathered = both();
    assert_eq!(due(&gathered, Complete), ["withdraw spire-server", "spire-server waits"]);
    taken(&mut gathered, SERVER, 1);
    assert_eq!(due(&gathered, Withdrawing), ["spire-server waits"]);
    taken(&mut gathered, SERVER, 3);
    assert_eq!(due(&gathered, Withdrawing), ["withdraw spire-agent", "spire-agent waits"]);
}

#[test]
fn the_agents_are_first_then_the_server_then_what_is_ours() {
    let mut gathered = both();
    assert_eq!(due(&gathered, Complete, Complete, 9), ["withdraw spire-agent", "spire-agent waits"]);
    taken(&mut gathered, AGENT, 1);
    assert_eq!(due(&gathered, Complete, Withdrawing, 9), ["spire-agent waits"]);
    taken(&mut gathered, AGENT, 3);
    assert_eq!(due(&gathered, Complete, Withdrawing, 9), ["withdraw spire-server", "spire-server waits"]);
    taken(&mut gathered, SERVER, 0);
    assert_eq!(due(&gathered, Withdrawing, Withdrawing, 9), ["spire-server waits"]);
    taken(&mut gathered, SERVER, 3);
    assert_eq!(due(&gathered, Withdrawing, Withdrawing, 9), ["delete spire-agent-keylime"]);
    gathered.our_maps.clear();
    assert_eq!(due(&gathered, Withdrawing, Withdrawing, 9), ["done"]);
}

#[test]
fn what_is_gone_or_going_or_was_never_ours_is_not_waited_for() {
    let mut absent = both();
    absent.ours.clear();
    absent.our_maps.clear();
    absent.found.values_mut().for_each(|found| found.workload = None);
    assert_eq!(due(&absent, Complete, Complete, 9), ["done"]);

    let mut going = both();
    going.our_maps.clear();
    going.ours.iter_mut().for_each(|workload| workload.deleting = true);
    going.found.values_mut().for_each(|found| found.workload.as_mut().unwrap().deleting = true);
    assert_eq!(due(&going, Complete, Complete, 9), ["done"]);

    let mut never = both();
    never.our_maps.clear();
    taken(&mut never, AGENT, 0);
    taken(&mut never, SERVER, 0);
    assert_eq!(due(&never, RolledBack, RolledBack, 9), ["done"]);
}

#[test]
fn a_crash_between_taking_and_reporting_loses_no_wait() {
    let mut gathered = both();
    taken(&mut gathered, AGENT, 1);
    assert_eq!(due(&gathered, Complete, Complete, 9), ["spire-agent waits"]);
}

#[test]
fn what_moved_in_batches_under_somebody_elses_strategy_goes_back_in_batches() {
    let due = |pods: Value, batch_size| {
        let mut gathered = both();
        taken(&mut gathered, AGENT, 1);
        let mut live = object(AGENT, 1, 3);
        crate::fixture::merge(&mut live, &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
        let found = gathered.found.values_mut().find(|found| found.role == Role::Agent).unwrap();
        found.workload = Some(read(AGENT, live));
        let key = gathered.found.keys().find(|key| key.kind == AGENT).unwrap().clone();
        gathered.pods.insert(key, serde_json::from_value(pods).unwrap());
        let previous =
            status(reported(SERVER, Complete, "h", 3, 5), vec![reported(AGENT, Withdrawing, "h", 0, 5)]);
        match withdrawal(&gathered, &previous, batch_size, AGENTS_FIRST, now()) {
            Withdrawal::Done => panic!("not done"),
            Withdrawal::Going(plan) => plan
                .steps
                .into_iter()
                .map(|step| match step {
                    Step::DeletePod { name, .. } => name,
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>(),
        }
    };
    let pod = |name: &str, moved: bool| {
        json!({"metadata": {"name": name, "annotations": if moved { json!({"spire.keylime.dev/content-hash": "h"}) } else { json!({}) }},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let pods = || json!([pod("a", true), pod("b", true), pod("c", false)]);
    assert_eq!(due(pods(), Some(Share::Nodes(1))), ["a"]);
    assert_eq!(due(pods(), None), Vec::<String>::new());
}

#[test]
fn a_workload_that_bears_our_labels_and_is_not_ours_is_left_alone() {
    let labels = json!({"metadata": {"labels": owner_labels("spire-system", "spire")}});
    let mut labelled = gathered(&resource(json!({})));
    for kind in [SERVER, AGENT] {
        replace(&mut labelled, kind, 3, 3, Some(&labels));
    }
    assert_eq!(due(&labelled, RolledBack, RolledBack, 9), ["done"]);
}
