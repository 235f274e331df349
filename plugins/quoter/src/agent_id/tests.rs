use super::*;

const ID: &str = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000";

fn source(conf: &str, snippets: &[(&str, &str)]) -> Result<Source, IdError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.conf");
    fs::write(&path, conf).unwrap();
    fs::create_dir(dir.path().join("agent.conf.d")).unwrap();
    for (name, text) in snippets {
        fs::write(dir.path().join("agent.conf.d").join(name), text).unwrap();
    }
    Source::read(None, &path)
}

fn given(id: &str) -> Source {
    Source::Given(id.parse().unwrap())
}

#[test]
fn the_id_is_the_one_of_keylimes_configuration() {
    for (conf, expected) in [
        ("", Source::EkHash),
        ("[agent]\nuuid = \"hash_ek\"", Source::EkHash),
        ("[agent]\n# uuid = \"other\"\nuuid = \"one\" # a node", given("one")),
        ("[agent]\nuuid='one'", given("one")),
        (
            "[other]\nuuid = \"other\"\n[agent] # ours\nip = \"uuid\"\n  uuid  =  \"one\"\n[more]\nuuid = \"b\"",
            given("one"),
        ),
    ] {
        assert_eq!(source(conf, &[]).unwrap(), expected, "{conf:?}");
    }
}

#[test]
fn a_snippet_wins_over_the_file_and_the_last_one_over_all() {
    let snippets = [("20.conf", "[agent]\nuuid = \"last\""), ("10.conf", "[agent]\nuuid = \"first\"")];
    let others = [("30.conf.bak", "[agent]\nuuid = \"none\"")];
    assert_eq!(source(&format!("[agent]\nuuid = \"{ID}\""), &others).unwrap(), given(ID));
    let all = [&snippets[..], &others].concat();
    assert_eq!(source(&format!("[agent]\nuuid = \"{ID}\""), &all).unwrap(), given("last"));
}

#[test]
fn an_id_that_is_none_is_refused() {
    assert!(matches!(source("[agent]\nuuid = \"generate\"", &[]), Err(IdError::Generated)));
    assert!(matches!(source("[agent]\nuuid = \"a/b\"", &[]), Err(IdError::Invalid(_))));
    assert!(matches!(source(&" ".repeat(300_000), &[]), Err(IdError::TooLarge { .. })));
    let id = Source::read(Some("given".parse().unwrap()), Path::new("/nowhere")).unwrap();
    assert_eq!(id, given("given"));
}
