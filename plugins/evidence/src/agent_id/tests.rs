use super::*;

#[test]
fn ids_that_keylime_gives_are_taken() {
    for id in ["d432fbb3-d2f1-4a97-9ef7-75bd81c00001", "a", "...", "node_1.example-2", &"x".repeat(255)] {
        assert_eq!(AgentId::new(id).unwrap().as_str(), id);
    }
}

#[test]
fn ids_that_could_leave_their_place_are_refused() {
    assert_eq!(AgentId::new(""), Err(InvalidAgentId::Empty));
    assert_eq!(AgentId::new("."), Err(InvalidAgentId::Dots));
    assert_eq!(AgentId::new(".."), Err(InvalidAgentId::Dots));
    assert_eq!(AgentId::new(&"x".repeat(256)), Err(InvalidAgentId::TooLong { length: 256 }));
    for id in [
        "a/b",
        "a?agents=b",
        "a#b",
        "a%2fb",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "../version",
        "a:b",
        "a\\b",
        "a&b",
        "a;b",
        "а",
    ] {
        assert!(matches!(AgentId::new(id), Err(InvalidAgentId::Character { .. })), "{id:?}");
    }
    let error = AgentId::new("ab/c").unwrap_err();
    assert_eq!(error, InvalidAgentId::Character { character: '/', position: 2 });
}

#[test]
fn case_matters() {
    assert_ne!(AgentId::new("A").unwrap(), AgentId::new("a").unwrap());
}
