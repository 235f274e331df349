//! How Argo CD and Flux understand the conditions: the script of the documents by a real Lua, and
//! kstatus by its rules, over every case of the status.

use mlua::{Lua, Table, Value as InLua};
use serde_json::{Value, json};

use super::case::Case;
use super::cases;
use keylime_attestor_api::conditions::configuration_applied;

const SCRIPT: &str = include_str!("../../../docs/argocd/health.lua");

fn object(case: &Case) -> Value {
    let mut object = serde_json::to_value(&case.resource).unwrap();
    object["metadata"]["generation"] = json!(7);
    object["status"] = serde_json::to_value(case.status()).unwrap();
    object["status"]["observedGeneration"] = json!(7);
    object
}

fn to_lua(lua: &Lua, value: &Value) -> InLua {
    match value {
        Value::Null => InLua::Nil,
        Value::Bool(value) => InLua::Boolean(*value),
        Value::Number(value) => InLua::Number(value.as_f64().unwrap()),
        Value::String(value) => InLua::String(lua.create_string(value).unwrap()),
        Value::Array(items) => {
            InLua::Table(lua.create_sequence_from(items.iter().map(|item| to_lua(lua, item))).unwrap())
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.as_str(), to_lua(lua, value)));
            InLua::Table(lua.create_table_from(fields).unwrap())
        }
    }
}

/// Argo CD's health and message.
fn health(object: &Value) -> (String, String) {
    let lua = Lua::new();
    lua.globals().set("obj", to_lua(&lua, object)).unwrap();
    let health: Table = lua.load(SCRIPT).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

/// The status by kstatus's rules for kinds that it does not know.
fn kstatus(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let of =
        |type_: &str| conditions.iter().find(|one| one["type"] == type_).map(|one| one["status"].clone());
    if of("Reconciling") == Some(json!("True")) {
        return "InProgress";
    }
    if of("Stalled") == Some(json!("True")) {
        return "Failed";
    }
    match of("Ready") {
        Some(ready) if ready != json!("True") => "InProgress",
        _ => "Current",
    }
}

#[test]
fn argo_cd_and_flux_understand_every_case() {
    let mut seen = std::collections::BTreeSet::new();
    for (case, reasons) in cases() {
        let object = object(&case);
        let (status, message) = health(&object);
        let [ready, applied, .., degraded] = reasons;
        let deleted = case.resource.metadata.deletion_timestamp.is_some();
        let is_ready = object["status"]["conditions"].as_array().unwrap().iter();
        let is_ready = is_ready.clone().any(|one| one["type"] == "Ready" && one["status"] == "True");
        let expected = if deleted {
            "Progressing"
        } else if ready == "Suspended" {
            "Suspended"
        } else if degraded != "AsExpected" || applied != "Applied" {
            "Degraded"
        } else if is_ready {
            "Healthy"
        } else {
            "Progressing"
        };
        assert_eq!(status, expected, "{reasons:?}: {message}");
        assert!(message.len() > 10, "{reasons:?}");
        let flux = match (deleted, is_ready) {
            (true, _) => "Terminating",
            (false, true) => "Current",
            (false, false) => "InProgress",
        };
        assert_eq!(kstatus(&object), flux, "{reasons:?}");
        seen.insert(status);
    }
    assert!(
        seen.contains("Healthy") && seen.contains("Degraded") && seen.contains("Progressing"),
        "{seen:?}"
    );
    let suspended = object(&Case::problem(configuration_applied::SUSPENDED));
    assert_eq!(health(&suspended).0, "Suspended");
}

#[test]
fn what_the_operator_has_not_seen_is_in_progress() {
    let mut object = object(&Case::new());
    object["metadata"]["generation"] = json!(8);
    assert_eq!((health(&object).0.as_str(), kstatus(&object)), ("Progressing", "InProgress"));
    object.as_object_mut().unwrap().remove("status");
    // As the documents say of Flux.
    assert_eq!((health(&object).0.as_str(), kstatus(&object)), ("Progressing", "Current"));
}
