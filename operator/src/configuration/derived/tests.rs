use super::*;

fn map(entries: &[(&str, &str)]) -> ConfigMap {
    let data = entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    ConfigMap { data: Some(data.collect()), ..ConfigMap::default() }
}

#[test]
fn the_entries_of_one_configuration_are_told_from_anothers() {
    let map = map(&[
        ("architecture-amd64.agent.conf", "a"),
        ("architecture-arm64.agent.conf", "b"),
        ("architecture-arm64.server.agent.conf", "c"),
        ("server.conf", "d"),
        ("amd64.agent.conf", "e"),
    ]);
    let keys = |key: &str| present(&map, key).into_keys().collect::<Vec<_>>();
    assert_eq!(keys("agent.conf"), ["architecture-amd64.agent.conf", "architecture-arm64.agent.conf"]);
    assert_eq!(keys("server.conf"), ["server.conf"]);
    assert_eq!(keys("conf"), [""; 0]);
    assert_eq!(applied(&map, "agent.conf").as_deref(), Some("a"));
    assert_eq!(applied(&map, "server.conf").as_deref(), Some("d"));
    assert_eq!(applied(&map, "other.conf"), None);
}
