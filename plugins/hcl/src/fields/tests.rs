use serde::Deserialize;

use super::*;
use crate::{Duration, Port};

fn told(fields: Fields) -> Vec<String> {
    fields.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_told_in_the_order_of_the_text() {
    let text = "port = \"0\"\nhots = \"a\"\ncan_reattest = \"true\"\nage = \"5\"\nage2 = 1\nage2 = 2\n";
    let mut fields = Fields::parse(text).unwrap();
    assert_eq!(fields.take::<Port>("port"), None);
    assert_eq!(fields.take::<String>("host"), None);
    assert_eq!(fields.take::<bool>("can_reattest"), None);
    assert_eq!(fields.take::<Duration>("age"), None);
    assert_eq!(fields.take::<u8>("age2"), None);
    fields.problem("cert", "is missing");
    assert_eq!(
        told(fields),
        [
            "port (line 1, column 8): expected a port from 1 to 65535",
            "hots (line 2, column 1): unknown key 'hots', did you mean 'host'?",
            "can_reattest (line 3, column 16): expected true or false without quotes, got a string",
            "age (line 4, column 7): expected a duration such as 10s, 5m or 1h30m: the unit is missing",
            "age2 (line 6, column 8): given twice, first in line 5",
            "cert: is missing",
        ]
    );
}

#[test]
fn blocks_are_taken_apart_and_report_to_their_parent() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Action {
        Off,
        Evict,
    }
    for text in [
        "enforcement { action = \"off\" extra = 1 }",
        "enforcement = { action = \"off\", extra = 1, }",
        "{\"enforcement\": [{\"action\": \"off\", \"extra\": 1}]}",
    ] {
        let mut fields = Fields::parse(text).unwrap();
        let mut block = fields.block("enforcement").unwrap();
        assert_eq!(block.take("action"), Some(Action::Off));
        fields.absorb(block);
        let problems = fields.finish();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "enforcement.extra");
    }
    let mut fields = Fields::parse("enforcement { action = \"evcit\" }\nenforcement {}\nlimits = 1").unwrap();
    assert!(fields.block("enforcement").is_none());
    assert!(fields.block("limits").is_none());
    assert_eq!(
        told(fields),
        [
            "enforcement (line 2, column 13): given twice, first in line 1",
            "limits (line 3, column 10): expected a block, got an integer",
        ]
    );
    let mut fields = Fields::parse("action = \"evcit\"").unwrap();
    assert_eq!(fields.take::<Action>("action"), None);
    assert_eq!(told(fields), ["action (line 1, column 10): unknown value 'evcit', did you mean 'evict'?"]);
}

#[test]
fn null_is_the_same_as_no_key_and_an_unknown_null_is_unknown() {
    let mut fields = Fields::parse("\"host\" = \n\n\"port\" = 1\n\n\"typo\" = ").unwrap();
    assert_eq!(fields.take::<String>("host"), None);
    assert_eq!(fields.take::<Port>("port").map(u16::from), Some(1));
    assert_eq!(told(fields), ["typo (line 5, column 1): unknown key 'typo', did you mean 'host'?"]);
}

#[test]
fn no_problem_shows_a_value() {
    let secret = "hunter2-hunter2-hunter2";
    let mut fields =
        Fields::parse(&format!("a = \"{secret}\"\nb = \"{secret}\"\nc = \"{secret}\"\n")).unwrap();
    fields.take::<Port>("a");
    fields.take::<Duration>("b");
    fields.take::<u64>("c");
    let told = told(fields);
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|problem| !problem.contains("hunter2")), "{told:?}");
}
