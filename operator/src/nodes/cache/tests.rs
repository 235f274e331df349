use k8s_openapi::api::core::v1::Node;

use super::*;

fn node(name: &str) -> Node {
    let mut node = Node::default();
    node.metadata.name = Some(name.to_owned());
    node
}

fn nothing<F>() -> Seen<F> {
    let (objects, listed) = (BTreeMap::new(), BTreeMap::new());
    Seen { objects, listed, missing: Some(NotCached::NotYet), changes: 0 }
}

#[test]
fn only_what_is_kept_counts_as_a_change() {
    let mut seen = nothing();
    let read: fn(Node) -> bool = |node| node.spec.is_some();
    let with_spec = || Node { spec: Some(Default::default()), ..node("a") };
    for (event, changes) in [
        (Event::Init, 0),
        (Event::InitApply(node("a")), 0),
        (Event::InitDone, 1),
        (Event::Apply(node("a")), 1),
        (Event::Apply(with_spec()), 2),
        (Event::Apply(with_spec()), 2),
        (Event::Delete(node("b")), 2),
        (Event::Delete(node("a")), 3),
        (Event::Init, 3),
        (Event::InitDone, 3),
    ] {
        seen.take(Ok(event), read);
        assert_eq!(seen.changes, changes);
    }
}

#[test]
fn a_list_replaces_what_was_seen_when_it_is_complete() {
    let mut seen = nothing();
    let read: fn(Node) -> () = |_| ();
    let names = |seen: &Seen<()>| seen.objects.keys().cloned().collect::<Vec<_>>();
    for event in [Event::Init, Event::InitApply(node("a")), Event::InitApply(node("b"))] {
        seen.take(Ok(event), read);
    }
    assert_eq!((names(&seen).len(), seen.missing.clone()), (0, Some(NotCached::NotYet)));
    seen.take(Ok(Event::InitDone), read);
    seen.take(Ok(Event::Apply(node("c"))), read);
    seen.take(Ok(Event::Delete(node("a"))), read);
    assert_eq!((names(&seen), seen.missing.clone()), (vec!["b".to_owned(), "c".to_owned()], None));
    seen.take(Ok(Event::Init), read);
    seen.take(Ok(Event::InitApply(node("d"))), read);
    assert_eq!(names(&seen), ["b", "c"]);
    seen.take(Ok(Event::InitDone), read);
    assert_eq!(names(&seen), ["d"]);
}
