use std::collections::BTreeMap;

use super::*;
use crate::model::agents::Keylime;

#[test]
fn keylime_is_the_cause_where_it_is_ill_and_nothing_else_is_said() {
    let diagnosis = |cause| PodDiagnosis { message: "m".to_owned(), node: Some("n".to_owned()), cause };
    let agents = |silent: bool, refused: bool| Agents {
        keylime: Some(Keylime {
            silent: silent.then(|| "why".to_owned()),
            nodes: BTreeMap::from([("n".to_owned(), refused.then(|| "Stale".to_owned()))]),
        }),
        ..Agents::default()
    };
    use FailureCause::{Cluster, Keylime as Ill, Pods};
    for (agents, said, expected) in [
        (agents(false, false), Some(Pods), Pods),
        (agents(true, false), Some(Pods), Ill),
        (agents(false, true), Some(Pods), Ill),
        (agents(true, true), Some(Cluster), Cluster),
        (agents(true, false), None, Ill),
        (agents(false, false), None, Pods),
    ] {
        assert_eq!(cause(&agents, said.map(diagnosis).as_ref()), expected);
    }
}
