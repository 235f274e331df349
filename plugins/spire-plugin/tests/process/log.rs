//! The log, as SPIRE reads it.

use anyhow::Result;
use serde_json::Value;

use crate::{configured, ends_well};

/// SPIRE takes more than this for several lines.
const MAX_LINE_BYTES: usize = 64 * 1024;

#[tokio::test]
async fn every_line_is_one_that_spire_can_read() -> Result<()> {
    let host = configured().await?;
    host.plugin().attest("log").await?.attributes().await?;
    let log = host.log().clone();
    ends_well(host).await?;
    for (line, entry) in log.lines().iter().zip(log.entries()) {
        assert!(line.len() < MAX_LINE_BYTES, "a line of {} bytes", line.len());
        let entry = entry.as_object().unwrap_or_else(|| panic!("not a JSON object: {line}"));
        for name in ["@level", "@message", "@timestamp", "@module"] {
            assert!(entry[name].is_string(), "{name} in {line}");
        }
        assert_eq!(entry.keys().filter(|name| name.starts_with('@')).count(), 4, "{line}");
        assert_eq!(entry["@module"], "test-plugin");
        let time: String = entry["@timestamp"]
            .as_str()
            .unwrap()
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(time, "0000-00-00T00:00:00.000000Z");
    }
    Ok(())
}

#[tokio::test]
async fn fields_and_levels() -> Result<()> {
    let host = configured().await?;
    host.plugin().attest("log").await?.attributes().await?;
    let log = host.log().clone();
    ends_well(host).await?;
    let entry = |message: &str| {
        let found = log.entries().into_iter().find(|entry| entry["@message"] == message);
        found.unwrap_or_else(|| panic!("no entry {message:?}"))
    };

    let values = entry("values");
    assert_eq!(values["@level"], "info");
    assert_eq!(values["text"], "a\n\"b\"\u{1}ü");
    assert_eq!((&values["number"], &values["yes"]), (&Value::from(-7), &Value::from(true)));
    assert_eq!(values["agent_id"], "node-1", "the field of the span");
    assert_eq!(entry("inner wins")["agent_id"], "node-2");

    let at_signs = entry("at signs");
    assert_eq!(at_signs["field_level"], 5);
    assert_eq!(at_signs["field_message"], true);
    assert_eq!(at_signs["field_timestamp"], 1.5);
    assert_eq!(at_signs["field_module"], "other");

    let error = entry("an error");
    assert_eq!((&error["@level"], &error["error"]), (&Value::from("error"), &Value::from("disk full")));
    assert_eq!(error.get("optional"), None);

    assert_eq!(entry("")["count"], 3);
    assert_eq!(entry("a debug")["@level"], "debug");
    assert_eq!(entry("a warning of a dependency")["@level"], "warn");
    for silent in ["a trace", "a debug of a dependency"] {
        assert!(log.entries().iter().all(|entry| entry["@message"] != silent), "{silent}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_is_shortened_and_says_so() -> Result<()> {
    let host = configured().await?;
    host.plugin().attest("log").await?.attributes().await?;
    let log = host.log().clone();
    ends_well(host).await?;
    let starts =
        |entry: &Value, start: &str| entry["@message"].as_str().is_some_and(|text| text.starts_with(start));
    let message = log.entries().into_iter().find(|entry| starts(entry, "long \u{1}")).unwrap_or_default();
    assert!(
        message["@message"].as_str().is_some_and(|text| text.ends_with("(shortened, it has 600000 bytes)"))
    );
    let field = log.entries().into_iter().find(|entry| starts(entry, "long field")).unwrap_or_default();
    assert!(field["body"].as_str().is_some_and(|text| text.ends_with("(shortened, it has 100000 bytes)")));
    assert_eq!(field["tail"], "kept");
    Ok(())
}
