use keylime_attestor_api::RolloutState::{Complete, RolledBack, Withdrawing};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{apply, config_map, gathered, now, object, read, replace, reported, resource, status};
use crate::workload::owner_labels;

const SERVER: Kind = Kind::StatefulSet;
const AGENT: Kind = Kind::DaemonSet;

fn owner() -> Owner {
    Owner { namespace: "spire-system".to_owned(), name: "spire".to_owned() }
}

/// A workload with our overlay.
fn ours(kind: Kind) -> Value {
    json!({"metadata": {"labels": owner_labels("spire-system", "spire")}, "kind": kind.as_str()})
}

fn both() -> Gathered {
    let mut gathered = gathered(&resource(json!({})));
    for kind in [SERVER, AGENT] {
        let mut live = object(kind, 3, 3);
        apply(&mut live, &ours(kind));
        gathered.ours.push(read(kind, live));
        replace(&mut gathered, kind, 3, 3, Some(&ours(kind)));
    }
    gathered.our_maps.push(config_map("spire-system", "spire-agent-keylime", "agent.conf", ""));
    gathered
}

/// One workload is out of our hands, its pods are so far.
fn taken(gathered: &mut Gathered, kind: Kind, updated: i32) {
    gathered.ours.retain(|workload| workload.key.kind != kind);
    replace(gathered, kind, updated, updated, None);
}

fn look(gathered: &Gathered, server: RolloutState, agent: RolloutState, ago: i64) -> Vec<String> {
    let previous = status(reported(SERVER, server, "h", 0, ago), vec![reported(AGENT, agent, "h", 0, ago)]);
    match withdrawal(&owner(), gathered, &previous, now()) {
        Withdrawal::Done => vec!["done".to_owned()],
        Withdrawal::Going(next) => {
            let mut said: Vec<String> = next
                .steps
                .iter()
                .map(|step| match step {
                    Step::Withdraw { workload, .. } => format!("withdraw {}", workload.name),
                    Step::Delete { name, .. } => format!("delete {name}"),
                    other => format!("{other:?}"),
                })
                .collect();
            let waits = next.rollouts.iter().filter(|(_, rollout)| rollout.state == Withdrawing);
            said.extend(waits.map(|(key, _)| format!("{} waits", key.name)));
            said
        }
    }
}

#[test]
fn the_agents_are_first_then_the_server_then_what_is_ours() {
    let mut gathered = both();
    assert_eq!(look(&gathered, Complete, Complete, 9), ["withdraw spire-agent", "spire-agent waits"]);
    taken(&mut gathered, AGENT, 1);
    assert_eq!(look(&gathered, Complete, Withdrawing, 9), ["spire-agent waits"]);
    taken(&mut gathered, AGENT, 3);
    assert_eq!(look(&gathered, Complete, Withdrawing, 9), ["withdraw spire-server", "spire-server waits"]);
    taken(&mut gathered, SERVER, 0);
    assert_eq!(look(&gathered, Withdrawing, Withdrawing, 9), ["spire-server waits"]);
    taken(&mut gathered, SERVER, 3);
    assert_eq!(look(&gathered, Withdrawing, Withdrawing, 9), ["delete spire-agent-keylime"]);
    gathered.our_maps.clear();
    assert_eq!(look(&gathered, Withdrawing, Withdrawing, 9), ["done"]);
}

#[test]
fn what_is_gone_or_going_or_was_never_ours_is_not_waited_for() {
    let mut absent = both();
    absent.ours.clear();
    absent.our_maps.clear();
    absent.found.values_mut().for_each(|found| found.workload = None);
    assert_eq!(look(&absent, Complete, Complete, 9), ["done"]);

    let mut going = both();
    going.our_maps.clear();
    going.ours.iter_mut().for_each(|workload| workload.deleting = true);
    going.found.values_mut().for_each(|found| found.workload.as_mut().unwrap().deleting = true);
    assert_eq!(look(&going, Complete, Complete, 9), ["done"]);

    let mut never = both();
    never.our_maps.clear();
    taken(&mut never, AGENT, 0);
    taken(&mut never, SERVER, 0);
    assert_eq!(look(&never, RolledBack, RolledBack, 9), ["done"]);
}

#[test]
fn a_crash_between_taking_and_reporting_loses_no_wait() {
    let mut gathered = both();
    taken(&mut gathered, AGENT, 1);
    assert_eq!(look(&gathered, Complete, Complete, 9), ["spire-agent waits"]);
}
