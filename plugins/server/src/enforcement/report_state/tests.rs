use super::*;

#[test]
fn the_last_actions_are_kept_and_numbered() {
    let state = ReportState::new();
    for number in 0..MAX_ACTIONS + 44 {
        let spiffe_id = format!("spiffe://td/spire/agent/{number}");
        state.record(Done {
            node_uid: None,
            agent_id: None,
            spiffe_id: &spiffe_id,
            act: Act::Evict,
            reason: String::new(),
            error: None,
        });
    }
    let actions = state.report("td", "keylime").actions;
    assert_eq!(actions.len(), MAX_ACTIONS);
    assert_eq!((actions[0].sequence, actions[MAX_ACTIONS - 1].sequence), (45, 300));
    assert_eq!(actions[0].spiffe_id, "spiffe://td/spire/agent/44");
}

#[test]
fn the_same_refusal_is_told_once_in_a_while() {
    let state = ReportState::new();
    let (one, two) = (AgentId::new("one").unwrap(), AgentId::new("two").unwrap());
    let refuse = |agent_id, node: &str| {
        state.refused(Done {
            node_uid: Some(node.to_owned()),
            agent_id: Some(agent_id),
            spiffe_id: "s",
            act: Act::Refuse,
            reason: String::new(),
            error: None,
        });
    };
    let told = || state.report("td", "keylime").actions.len();
    for (agent, node, number) in
        [(&one, "u", 1), (&one, "u", 1), (&two, "u", 2), (&one, "v", 3), (&two, "u", 3)]
    {
        refuse(agent, node);
        assert_eq!(told(), number);
    }
    state.held().actions.iter_mut().for_each(|action| action.time -= SAME_REFUSAL);
    refuse(&one, "u");
    assert_eq!(told(), 4);
}
