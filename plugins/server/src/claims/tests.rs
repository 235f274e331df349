use super::*;

#[test]
fn an_id_is_claimed_once_until_it_is_given_up_settled_or_old() {
    let (claims, id, now) = (Claims::default(), AgentId::new("a").unwrap(), Instant::now());
    let claimed = |now| claims.claim(&id, now).is_err();
    let first = claims.claim(&id, now).unwrap();
    assert!(claimed(now));
    assert!(claims.claim(&AgentId::new("b").unwrap(), now).is_ok());
    drop(first);

    claims.claim(&id, now).unwrap().keep();
    assert!(claimed(now + SETTLING - Duration::from_secs(1)));
    claims.settle(&id);
    assert!(!claimed(now));

    claims.claim(&id, now).unwrap().keep();
    assert!(!claimed(now + SETTLING));
}
