use super::*;

#[test]
fn the_last_actions_are_kept_and_numbered() {
    let state = ReportState::new();
    for number in 0..MAX_ACTIONS + 44 {
        let spiffe_id = format!("spiffe://td/spire/agent/{number}");
        state.record(Done {
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
