use super::*;
use MatchedBy::{InternalIp, NodeName, Proof, Spec, SystemUuid};

fn id(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

/// Name, claim, system UUID, hostname, address.
type Given<'a> = (&'a str, Option<&'a str>, &'a str, &'a str, &'a str);

fn nodes(given: &[Given<'_>]) -> (Nodes, Claims) {
    let mut all = (Nodes::new(), Claims::new());
    for (name, claim, uuid, hostname, address) in given {
        let facts = NodeFacts {
            name: (*name).to_owned(),
            system_uuid: (*uuid).to_owned(),
            hostnames: vec![(*hostname).to_owned()],
            addresses: address.parse().into_iter().collect(),
            ..NodeFacts::default()
        };
        all.0.insert((*name).to_owned(), Arc::new(facts));
        all.1.extend(claim.map(|claim| ((*name).to_owned(), claim.to_owned())));
    }
    all
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

fn matched(given: &[Given<'_>], known: &[(&str, &str)]) -> BTreeMap<String, Match> {
    match_after(given, known, &[]).nodes
}

fn match_after(given: &[Given<'_>], known: &[(&str, &str)], before: &[(&str, &str)]) -> Matches {
    let (nodes, claims) = nodes(given);
    match_all(&nodes, &agents(known), &claims, &Bindings::default(), &previous(before))
}

fn bound(pairs: &[(&str, &str)], against: &[&str]) -> Bindings {
    let binding = |agent: &str| {
        let binding = serde_json::json!({"nodeUID": "u", "agentId": agent, "since": "2026-01-01T00:00:00Z"});
        serde_json::from_value(binding).unwrap()
    };
    let pinned = pairs.iter().map(|(node, agent)| ((*node).to_owned(), binding(agent))).collect();
    let against = against.iter().map(|node| ((*node).to_owned(), format!("against {node}"))).collect();
    let mut bindings = Bindings::default();
    (bindings.pinned, bindings.against) = (pinned, against);
    bindings
}

#[test]
fn a_proof_goes_before_all_but_an_administrator() {
    let match_with = |given: &[Given<'_>], bindings: &Bindings, before: &[(&str, &str)]| {
        let (nodes, claims) = nodes(given);
        match_all(&nodes, &agents(&[("a", ""), ("b", "")]), &claims, bindings, &previous(before)).nodes
    };
    // Node one says that it is b, and was matched with it; the proof says a.
    let one = ("one", None, "b", "", "");
    let proven = match_with(&[one], &bound(&[("one", "a")], &[]), &[("one", "b")]);
    assert_eq!(proven["one"], Match::Agent(id("a"), Proof));
    // What was matched by what a node says gives way to another one's proof.
    let two = ("two", None, "a", "", "");
    let proven = match_with(&[one, two], &bound(&[("one", "a")], &[]), &[("two", "a")]);
    assert_eq!(proven["one"], Match::Agent(id("a"), Proof));
    assert!(matches!(&proven["two"], Match::Moved(_)), "{:?}", proven["two"]);
    let claimed = ("two", Some("a"), "", "", "");
    let named = match_with(&[one, claimed], &bound(&[("one", "a")], &[]), &[]);
    assert_eq!(named["two"], Match::Agent(id("a"), Spec));
    assert_ne!(named["one"], Match::Agent(id("a"), Proof));
}

#[test]
fn a_proof_against_a_pair_gives_nobody_an_agent() {
    let (nodes, claims) = nodes(&[("one", None, "", "", ""), ("two", None, "", "", "")]);
    let bindings = bound(&[("one", "a")], &["two", "one"]);
    let matches = match_all(&nodes, &agents(&[("a", "")]), &claims, &bindings, &Previous::new());
    assert_eq!(matches.nodes["one"], Match::Agent(id("a"), Proof));
    assert_eq!(matches.nodes["two"], Match::BoundElsewhere("against two".to_owned()));
    assert_eq!(matches.conflicts["one"].reason, "BoundElsewhere");
}

#[test]
fn each_way_finds_the_agent_and_the_first_one_decides() {
    for (claim, known, expected) in [
        (Some("x"), &[("x", ""), ("4c4c-aa", ""), ("n", ""), ("i", "10.0.0.1")][..], ("x", Spec)),
        (Some("x"), &[], ("x", Spec)),
        (None, &[("4c4c-aa", ""), ("n", ""), ("i", "10.0.0.1")], ("4c4c-aa", SystemUuid)),
        (None, &[("n", ""), ("i", "10.0.0.1")], ("n", NodeName)),
        (None, &[("HOST.example", ""), ("i", "10.0.0.1")], ("HOST.example", NodeName)),
        (None, &[("i", "10.0.0.1"), ("j", "10.0.0.2")], ("i", InternalIp)),
    ] {
        let matches = matched(&[("n", claim, "4C4C-AA", "host.example", "10.0.0.1")], known);
        assert_eq!(matches["n"], Match::Agent(id(expected.0), expected.1), "{claim:?} {known:?}");
    }
    let nobodys =
        matched(&[("n", None, "4C4C-AA", "host.example", "10.0.0.1")], &[("other", "10.0.0.9"), ("o", "")]);
    assert_eq!(nobodys["n"], Match::Nobody);
}

#[test]
fn two_claims_are_reported_on_all_concerned() {
    type Case<'a> = (&'a [Given<'a>], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        // Two nodes with the same claim.
        (&[("a", Some("x"), "", "", ""), ("b", Some("x"), "", "", "")], &[("x", "")], &["a", "b"]),
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
        let matches = matched(&all, known);
        for (name, found) in &matches {
            let ambiguous = matches!(found, Match::Ambiguous(_));
            assert_eq!(ambiguous, concerned.contains(&name.as_str()), "{name} of {all:?}: {found:?}");
        }
    }
}

#[test]
fn an_address_gives_way_to_an_id() {
    // The address was another machine's before.
    let all = [("a", None, "u", "", "10.0.0.1"), ("b", None, "", "", "10.0.0.1")];
    let matches = matched(&all, &[("u", "10.0.0.1"), ("gone", "10.0.0.7")]);
    assert_eq!((&matches["a"], is_moved(&matches["b"])), (&Match::Agent(id("u"), SystemUuid), true));
    let all = [("a", Some("x"), "", "", ""), ("b", None, "", "", "10.0.0.1")];
    assert!(is_moved(&matched(&all, &[("x", "10.0.0.1")])["b"]));
}

fn is_moved(found: &Match) -> bool {
    matches!(found, Match::Moved(_))
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
        let all = [(name, None, "4c4c4544", hostname, "10.0.0.11")];
        let matches = match_after(&all, &[(id, contact)], &[]);
        let expected = if found { Match::Agent(self::id(id), NodeName) } else { Match::Nobody };
        assert_eq!(matches.nodes[name], expected, "{name} {hostname} {contact}");
        assert_eq!(matches.unmatched.is_empty(), found, "{name} {hostname} {contact}");
    }
    // Whole names go first; a short one that fits two nodes is reported.
    let two = [("w.a", None, "", "w.a", ""), ("w.b", None, "", "w.b", "")];
    let matches = matched(&two, &[("x", "w.a"), ("y", "w.b")]);
    assert_eq!(matches["w.a"], Match::Agent(self::id("x"), NodeName));
    assert_eq!(matches["w.b"], Match::Agent(self::id("y"), NodeName));
    let matches = matched(&two, &[("x", "w")]);
    assert!(matches.values().all(|found| matches!(found, Match::Ambiguous(_))), "{matches:?}");
}

#[test]
fn an_ipv4_address_in_the_form_of_ipv6_is_the_same_address() {
    for (of_node, contact) in [("10.0.0.11", "::ffff:10.0.0.11"), ("::ffff:10.0.0.11", "10.0.0.11")] {
        let matches = matched(&[("n", None, "", "", of_node)], &[("x", contact)]);
        assert_eq!(matches["n"], Match::Agent(id("x"), InternalIp), "{of_node} {contact}");
    }
}

#[test]
fn agents_that_fit_no_node_are_told() {
    let all = [("a", None, "u", "", "10.0.0.1"), ("b", Some("x"), "", "", "")];
    let matches = match_after(&all, &[("u", ""), ("x", ""), ("y", "10.0.0.9"), ("z", "")], &[]);
    assert_eq!(matches.unmatched, [id("y"), id("z")]);
}

#[test]
fn what_names_no_agent_is_said() {
    let all = [("a", Some("../x"), "a", "", "")];
    let Match::Ambiguous(text) = &matched(&all, &[("a", "")])["a"] else { panic!("it was guessed") };
    assert!(text.contains("spec.agentId") && text.contains("only A-Z"), "{text}");
}

/// Everything that the kubelet of a node can write, with each agent that it may be after.
#[test]
fn a_match_stands_whatever_its_node_or_another_says() {
    let good = ("good", None, "good-1", "good.example", "10.0.0.1");
    let known = [("good-1", "10.0.0.1"), ("bad-1", "10.0.0.2"), ("free-1", "10.0.0.3")];
    let before = [("good", "good-1"), ("bad", "bad-1")];
    for (says, conflict) in [
        (("bad", None, "bad-1", "", "10.0.0.2"), None),
        (("bad", None, "", "", ""), None),
        (("bad", None, "good-1", "", ""), Some("AgentChanged")),
        (("bad", None, "", "good-1", ""), Some("AgentChanged")),
        (("bad", None, "", "", "10.0.0.1"), Some("AgentChanged")),
        (("bad", None, "free-1", "", ""), Some("AgentChanged")),
        (("bad", None, "", "free-1", ""), Some("AgentChanged")),
        (("bad", None, "", "", "10.0.0.3"), Some("AgentChanged")),
        (("bad", None, "", "bad-1", "10.0.0.3"), None),
        (("bad", None, "FREE-1", "bad-1", "10.0.0.2"), Some("AgentChanged")),
    ] {
        let Matches { nodes, conflicts, .. } = match_after(&[good, says], &known, &before);
        for (node, agent) in before {
            assert_eq!(nodes[node], Match::Agent(id(agent), SystemUuid), "{node} when it says {says:?}");
        }
        assert_eq!(conflicts.get("bad").map(|conflict| conflict.reason), conflict, "{says:?}");
        assert!(!conflicts.contains_key("good"), "{says:?}");
        // With an administrator's word nothing of it counts at all.
        let said = (says.0, Some("bad-1"), says.2, says.3, says.4);
        let Matches { nodes, conflicts, .. } = match_after(&[good, said], &known, &before);
        assert_eq!((&nodes["bad"], conflicts.len()), (&Match::Agent(id("bad-1"), Spec), 0), "{says:?}");
    }
    let both = match_after(&[("a", None, "", "x", "")], &[("a", ""), ("x", "")], &[("a", "x")]);
    assert_eq!(both.conflicts["a"].reason, "AmbiguousAgent");
    assert_eq!(both.nodes["a"], Match::Agent(id("x"), SystemUuid));
}

#[test]
fn a_newcomer_never_gets_the_agent_of_another_node() {
    let known = [("good-1", "10.0.0.1")];
    for new in
        [("new", None, "good-1", "", ""), ("new", None, "", "good-1", ""), ("new", None, "", "", "10.0.0.1")]
    {
        // Also where the other node says nothing that fits, or Keylime has lost its agent.
        for good in [("good", None, "good-1", "", "10.0.0.1"), ("good", None, "", "", "")] {
            let matches = match_after(&[good, new], &known, &[("good", "good-1")]);
            assert_eq!(matches.nodes["good"], Match::Agent(id("good-1"), SystemUuid), "{new:?}");
            let text = "agent good-1 is that of node good, and node new answers for it".to_owned();
            assert_eq!(matches.nodes["new"], Match::Moved(text), "{new:?}");
        }
        let lost = match_after(&[("good", None, "", "", ""), new], &[], &[("good", "good-1")]).nodes;
        assert_eq!((&lost["good"], &lost["new"]), (&Match::Agent(id("good-1"), SystemUuid), &Match::Nobody));
    }
}

#[test]
fn an_administrator_or_the_end_of_a_node_changes_a_match() {
    let matched =
        |all: &[Given<'_>]| match_after(all, &[("x", "10.0.0.2"), ("y", "")], &[("old", "x")]).nodes;
    let (old, new) = (("old", None, "", "", "10.0.0.1"), ("new", None, "", "", "10.0.0.2"));
    assert_eq!(matched(&[old])["old"], Match::Agent(id("x"), SystemUuid));
    assert_eq!(matched(&[new])["new"], Match::Agent(id("x"), InternalIp));
    assert_eq!(matched(&[("old", Some("y"), "", "", "")])["old"], Match::Agent(id("y"), Spec));
    // The agent is given to another node: the first one begins anew.
    let given = matched(&[old, ("new", Some("x"), "", "", "")]);
    assert_eq!((&given["new"], &given["old"]), (&Match::Agent(id("x"), Spec), &Match::Nobody));
    let given = matched(&[("old", None, "X", "", ""), ("new", Some("x"), "", "", "")]);
    assert!(is_moved(&given["old"]), "{given:?}");
}
