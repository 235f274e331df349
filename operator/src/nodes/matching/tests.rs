use super::*;
use MatchedBy::{Annotation, InternalIp, NodeName, SystemUuid};

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

/// Name, annotation, system UUID, hostname, address.
fn nodes(nodes: &[(&str, Option<&str>, &str, &str, &str)]) -> Nodes {
    let read = |(name, claim, uuid, hostname, address): &(&str, Option<&str>, &str, &str, &str)| {
        let facts = NodeFacts {
            name: (*name).to_owned(),
            claim: claim.map(str::to_owned),
            system_uuid: (*uuid).to_owned(),
            hostnames: vec![(*hostname).to_owned()],
            addresses: address.parse().into_iter().collect(),
            ..NodeFacts::default()
        };
        ((*name).to_owned(), Arc::new(facts))
    };
    nodes.iter().map(read).collect()
}

fn agents(agents: &[(&str, &str)]) -> Agents {
    let contact = |text: &str| match text.parse() {
        Ok(address) => Some(Contact::Address(address)),
        Err(_) => Some(Contact::Name(text.to_owned())).filter(|_| !text.is_empty()),
    };
    agents.iter().map(|(agent, at)| (id(agent), contact(at))).collect()
}

fn previous(pairs: &[(&str, &str)]) -> Previous {
    pairs.iter().map(|(node, agent)| ((*node).to_owned(), (id(agent), SystemUuid))).collect()
}

fn matched(all: &Nodes, known: &Agents) -> BTreeMap<String, Match> {
    match_all(all, known, &Previous::new(), &BTreeSet::new()).nodes
}

#[test]
fn each_way_finds_the_agent_and_the_first_one_decides() {
    let one = |claim| nodes(&[("n", claim, "4C4C-AA", "host.example", "10.0.0.1")]);
    for (claim, known, expected) in [
        (Some("x"), &[("x", ""), ("4c4c-aa", ""), ("n", ""), ("i", "10.0.0.1")][..], ("x", Annotation)),
        (Some("x"), &[], ("x", Annotation)),
        (None, &[("4c4c-aa", ""), ("n", ""), ("i", "10.0.0.1")], ("4c4c-aa", SystemUuid)),
        (None, &[("n", ""), ("i", "10.0.0.1")], ("n", NodeName)),
        (None, &[("HOST.example", ""), ("i", "10.0.0.1")], ("HOST.example", NodeName)),
        (None, &[("i", "10.0.0.1"), ("j", "10.0.0.2")], ("i", InternalIp)),
    ] {
        let matches = matched(&one(claim), &agents(known));
        assert_eq!(matches["n"], Match::Agent(id(expected.0), expected.1), "{claim:?} {known:?}");
    }
    assert_eq!(matched(&one(None), &agents(&[("other", "10.0.0.9"), ("o", "")]))["n"], Match::Nobody);
}

#[test]
fn two_claims_are_reported_on_all_concerned() {
    type Case<'a> = (
        &'a [(&'a str, Option<&'a str>, &'a str, &'a str, &'a str)],
        &'a [(&'a str, &'a str)],
        &'a [&'a str],
    );
    let cases: [Case<'_>; 7] = [
        // Two nodes with the same claim; a node that claims another one's UUID.
        (&[("a", Some("x"), "", "", ""), ("b", Some("x"), "", "", "")], &[("x", "")], &["a", "b"]),
        (&[("a", Some("u"), "", "", ""), ("b", None, "U", "", "")], &[("u", "")], &["a", "b"]),
        // Cloned machines.
        (&[("a", None, "u", "", ""), ("b", None, "U", "", "")], &[("u", "")], &["a", "b"]),
        // Two agents for one node.
        (&[("a", None, "u", "", "")], &[("u", ""), ("U", "")], &["a"]),
        (&[("a", None, "", "h", "")], &[("a", ""), ("h", "")], &["a"]),
        (&[("a", None, "", "", "10.0.0.1")], &[("x", "10.0.0.1"), ("y", "10.0.0.1")], &["a"]),
        // Two nodes at one address.
        (
            &[("a", None, "", "", "10.0.0.1"), ("b", None, "", "", "10.0.0.1")],
            &[("x", "10.0.0.1")],
            &["a", "b"],
        ),
    ];
    for (all, known, concerned) in cases {
        let mut all = all.to_vec();
        all.push(("apart", Some("z"), "", "", ""));
        let matches = matched(&nodes(&all), &agents(known));
        for (name, found) in &matches {
            let ambiguous = matches!(found, Match::Ambiguous(_));
            assert_eq!(ambiguous, concerned.contains(&name.as_str()), "{name} of {all:?}: {found:?}");
        }
    }
}

#[test]
fn an_address_gives_way_to_an_id() {
    // The address was another machine's before.
    let all = nodes(&[("a", None, "u", "", "10.0.0.1"), ("b", None, "", "", "10.0.0.1")]);
    let matches = matched(&all, &agents(&[("u", "10.0.0.1"), ("gone", "10.0.0.7")]));
    assert_eq!((&matches["a"], &matches["b"]), (&Match::Agent(id("u"), SystemUuid), &Match::Nobody));
    let all = nodes(&[("a", Some("x"), "", "", ""), ("b", None, "", "", "10.0.0.1")]);
    assert_eq!(matched(&all, &agents(&[("x", "10.0.0.1")]))["b"], Match::Nobody);
}

#[test]
fn an_agent_that_is_reached_by_name_is_the_one_of_the_node_of_that_name() {
    let id = "0f5a9a8e-1111-4222-8333-944455556666";
    for (name, hostname, contact, found) in [
        ("worker-1", "worker-1.lab.example", "worker-1.lab.example", true),
        ("worker-1", "worker-1.lab.example", "worker-1", true),
        ("worker-1", "worker-1", "worker-1.lab.example", true),
        ("worker-1.lab.example", "worker-1", "worker-1.lab.example", true),
        ("Worker-1.lab.example", "", "worker-1", true),
        ("ip-10-0-0-11", "WORKER-1.lab.example", "worker-1.lab.example", true),
        ("worker-1", "worker-1.lab.example", "worker-1.other.example", false),
        ("worker-1.lab.example", "worker-1.lab.example", "worker-1.other.example", false),
        ("worker-1", "worker-1.lab.example", "worker-2.lab.example", false),
        ("worker-1", "worker-1.lab.example", "worker-11", false),
    ] {
        let all = nodes(&[(name, None, "4c4c4544", hostname, "10.0.0.11")]);
        let matches = match_all(&all, &agents(&[(id, contact)]), &Previous::new(), &BTreeSet::new());
        let expected = if found { Match::Agent(self::id(id), NodeName) } else { Match::Nobody };
        assert_eq!(matches.nodes[name], expected, "{name} {hostname} {contact}");
        assert_eq!(matches.unmatched.is_empty(), found, "{name} {hostname} {contact}");
    }
    // Whole names go first; a short one that fits two nodes is reported.
    let two = nodes(&[("w.a", None, "", "w.a", ""), ("w.b", None, "", "w.b", "")]);
    let matches = matched(&two, &agents(&[("x", "w.a"), ("y", "w.b")]));
    assert_eq!(matches["w.a"], Match::Agent(self::id("x"), NodeName));
    assert_eq!(matches["w.b"], Match::Agent(self::id("y"), NodeName));
    let matches = matched(&two, &agents(&[("x", "w")]));
    assert!(matches.values().all(|found| matches!(found, Match::Ambiguous(_))), "{matches:?}");
}

#[test]
fn an_ipv4_address_in_the_form_of_ipv6_is_the_same_address() {
    for (of_node, contact) in [("10.0.0.11", "::ffff:10.0.0.11"), ("::ffff:10.0.0.11", "10.0.0.11")] {
        let matches = matched(&nodes(&[("n", None, "", "", of_node)]), &agents(&[("x", contact)]));
        assert_eq!(matches["n"], Match::Agent(id("x"), InternalIp), "{of_node} {contact}");
    }
}

#[test]
fn agents_that_fit_no_node_are_told() {
    let all = nodes(&[("a", None, "u", "", "10.0.0.1"), ("b", Some("x"), "", "", "")]);
    let known = agents(&[("u", ""), ("x", ""), ("y", "10.0.0.9"), ("z", "")]);
    let matches = match_all(&all, &known, &Previous::new(), &BTreeSet::new());
    assert_eq!(matches.unmatched, [id("y"), id("z")]);
}

#[test]
fn what_names_no_agent_is_said() {
    let Match::Ambiguous(text) =
        &matched(&nodes(&[("a", Some("../x"), "a", "", "")]), &agents(&[("a", "")]))["a"]
    else {
        panic!("it was guessed")
    };
    assert!(text.contains("spire.keylime.dev/agent-id") && text.contains("only A-Z"), "{text}");
}

#[test]
fn an_agent_that_moves_is_an_alarm_until_somebody_says_where_it_belongs() {
    let known = agents(&[("x", "10.0.0.2")]);
    let matched = |all: &[(&str, Option<&str>, &str, &str, &str)], before: &[(&str, &str)]| {
        match_all(&nodes(all), &known, &previous(before), &BTreeSet::new()).nodes
    };
    let (old, new) = (("old", None, "", "", "10.0.0.1"), ("new", None, "", "", "10.0.0.2"));
    // At every poll, as long as both are there.
    let matches = matched(&[old, new], &[("old", "x")]);
    let text = "agent x was on node old and now answers for node new".to_owned();
    assert_eq!(matches["old"], Match::Moved(text.clone(), Some((id("x"), SystemUuid))));
    assert_eq!(matches["new"], Match::Moved(text, None));
    // The old node is gone, or an annotation names the agent.
    assert_eq!(matched(&[new], &[("old", "x")])["new"], Match::Agent(id("x"), InternalIp));
    let said = matched(&[old, ("new", Some("x"), "", "", "10.0.0.2")], &[("old", "x")]);
    assert_eq!((&said["new"], &said["old"]), (&Match::Agent(id("x"), Annotation), &Match::Nobody));
    let said = matched(&[("old", Some("x"), "", "", ""), new], &[("old", "x")]);
    assert_eq!((&said["old"], &said["new"]), (&Match::Agent(id("x"), Annotation), &Match::Nobody));
    // The agent never moved.
    assert_eq!(matched(&[old, new], &[("new", "x")])["new"], Match::Agent(id("x"), InternalIp));
}

#[test]
fn nodes_of_a_silent_verifier_keep_what_they_had_and_nobody_else_gets_it() {
    let all =
        nodes(&[("a", None, "", "", "10.0.0.1"), ("b", None, "", "", "10.0.0.2"), ("x", None, "", "", "")]);
    let held = BTreeSet::from(["a".to_owned()]);
    let matches = match_all(&all, &agents(&[("y", "10.0.0.2")]), &previous(&[("a", "z")]), &held).nodes;
    assert_eq!(matches["a"], Match::Agent(id("z"), SystemUuid));
    assert_eq!(matches["b"], Match::Agent(id("y"), InternalIp));
    assert_eq!(matches["x"], Match::Nobody);
}
