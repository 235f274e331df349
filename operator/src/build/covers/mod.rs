//! The comparison of a live object with its wanted state, so that nothing is applied without need.

use serde_json::Value;

/// True for an object that has everything that an apply of `wanted` would write. The kind, which
/// lists leave out, does not count.
pub(crate) fn applied(live: &Value, wanted: &Value) -> bool {
    ["metadata", "spec", "data"].iter().all(|part| {
        let wanted = wanted.get(part);
        wanted.is_none_or(|wanted| live.get(part).is_some_and(|live| covers(live, wanted)))
    })
}

/// True where `live` holds everything in `wanted`, whatever else it holds. Elements of lists that
/// Kubernetes merges are found by their name or mount path, other lists have to be equal.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| covers(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) if wanted.iter().all(|element| id(element).is_some()) => {
            wanted.iter().all(|wanted| live.iter().any(|live| id(live) == id(wanted) && covers(live, wanted)))
        }
        (live, wanted) => live == wanted,
    }
}

/// The key of an element in a merged list. A mount's is its path, not its name.
fn id(element: &Value) -> Option<&str> {
    element.get("mountPath").or_else(|| element.get("name"))?.as_str()
}

#[cfg(test)]
mod tests;
