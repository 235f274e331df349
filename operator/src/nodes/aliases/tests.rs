use keylime_attestor_api::AttestedNodeStatus;

use super::*;

fn owner() -> Owner {
    Owner { namespace: "spire-server".to_owned(), name: "spire".to_owned() }
}

fn wanted(former: Former) -> Wanted {
    let aliases = Aliases {
        trust_domain: "example.org".to_owned(),
        cluster: "lab".to_owned(),
        class: None,
        plugin: "keylime".to_owned(),
    };
    Wanted { aliases, former }
}

/// A Node with an AttestedNode of ours that says this of it.
fn known(status: Value) -> AttestedNodeFacts {
    let mut all = json!({"state": "Attested", "reason": "Attested", "message": "", "since": "2026-01-01T12:00:00Z",
        "agentId": "agent"});
    crate::fixture::merge(&mut all, &status);
    let status: AttestedNodeStatus = serde_json::from_value(all).unwrap();
    AttestedNodeFacts {
        owner: Some(owner()),
        node_uid: Some("uid".to_owned()),
        status: Some(status),
        ..AttestedNodeFacts::default()
    }
}

/// One that attested by Keylime.
fn unproven() -> AttestedNodeFacts {
    known(json!({"marks": {"label": "agent"}}))
}

fn proven() -> AttestedNodeFacts {
    let binding = json!({"nodeUID": "uid", "agentId": "agent", "since": "2026-01-01T12:00:00Z"});
    known(json!({"marks": {"spiffeId": "spiffe://example.org/x"}, "binding": binding}))
}

/// The ends of the names of a Node's entries.
fn entries(known: Option<AttestedNodeFacts>, former: Former) -> Vec<String> {
    let node = NodeFacts { name: "node".to_owned(), uid: "uid".to_owned(), ..NodeFacts::default() };
    let nodes = BTreeMap::from([("node".to_owned(), Arc::new(node))]);
    let known = known.map(|known| ("node".to_owned(), Arc::new(known))).into_iter().collect();
    let desired = desired(&owner(), &wanted(former), &nodes, &known);
    assert!(desired.values().all(|facts| facts.node == ("node".to_owned(), "uid".to_owned())));
    desired.keys().filter_map(|name| name.rsplit('-').next()).map(str::to_owned).collect()
}

#[test]
fn a_node_has_its_former_agent_until_it_attests_by_keylime_and_never_after() {
    let (until, all, none) = (Former::UntilAttested, Former::All, Former::None);
    assert_eq!(entries(None, until), ["former", "proven"]);
    assert_eq!(entries(Some(known(json!({}))), until), ["former", "proven"]);
    assert_eq!(entries(Some(proven()), until), ["proven"]);
    assert_eq!(entries(Some(proven()), all), ["former", "proven"]);
    assert_eq!(entries(None, none), ["proven"]);
}

#[test]
fn an_attestation_without_a_token_goes_by_the_agent_that_is_known() {
    assert_eq!(entries(Some(unproven()), Former::UntilAttested), ["named", "proven"]);
}

#[test]
fn what_was_said_of_another_node_or_by_another_resource_does_not_count() {
    let earlier = AttestedNodeFacts { node_uid: Some("other".to_owned()), ..unproven() };
    let foreign = AttestedNodeFacts { owner: None, ..unproven() };
    for known in [earlier, foreign] {
        assert_eq!(entries(Some(known), Former::UntilAttested), ["former", "proven"]);
    }
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let facts = EntryFacts {
        owner: Some(owner()),
        node: ("node".to_owned(), "uid".to_owned()),
        entry: wanted(Former::All).aliases.entry("uid", Agents::Former),
    };
    let object = serde_json::from_value(facts.object("name")).unwrap();
    assert_eq!(EntryFacts::read(object), facts);
}

#[test]
fn two_resources_have_each_their_own() {
    let other = Owner { name: "other".to_owned(), ..owner() };
    let of = |owner: &Owner| name(owner, "uid", Agents::Proven);
    assert_ne!(of(&owner()), of(&other));
    assert!(of(&owner()).starts_with("keylime-attestor-") && of(&owner()).ends_with("-uid-proven"));
}

#[test]
fn only_what_differs_is_written_and_only_what_is_ours_is_deleted() {
    let facts = |agents: Agents<'_>| EntryFacts {
        owner: Some(owner()),
        node: ("node".to_owned(), "uid".to_owned()),
        entry: wanted(Former::All).aliases.entry("uid", agents),
    };
    let desired = BTreeMap::from([("a".to_owned(), facts(Agents::Proven))]);
    let found = |name: &str, facts: EntryFacts| (name.to_owned(), Arc::new(facts));
    let kept = Entries::from([found("a", facts(Agents::Proven))]);
    assert_eq!(changes(&owner(), &desired, &kept), Changes::default());
    let foreign = EntryFacts { owner: None, ..facts(Agents::Former) };
    let changed = Entries::from([
        found("a", facts(Agents::Named("other"))),
        found("b", facts(Agents::Former)),
        found("c", foreign),
    ]);
    let changes = changes(&owner(), &desired, &changed);
    assert_eq!(changes.missing, [("a".to_owned(), facts(Agents::Proven).object("a"))]);
    assert_eq!(changes.surplus, ["b"]);
}

#[test]
fn an_apiserver_that_fails_says_nothing_about_what_it_has() {
    for unknown in [NotCached::NotYet, NotCached::Failed("503".to_owned())] {
        assert_eq!(aliasing(Err(unknown)), None);
    }
    for (missing, part) in
        [(NotCached::NoKind, "no such kind"), (NotCached::Forbidden("a right".to_owned()), "a right")]
    {
        let Some(Aliasing::Impossible(why)) = aliasing(Err(missing)) else { panic!("aliases can be made") };
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(aliasing(Ok(())), Some(Aliasing::Possible));
}
