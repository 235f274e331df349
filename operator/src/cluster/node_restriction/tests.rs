use super::*;

/// As a kube-apiserver 1.34 writes them: before, the buckets; behind, the next metric.
const BEFORE: &str = "# HELP aggregator_discovery_aggregation_count_total [ALPHA] Counter\n\
     # TYPE apiserver_admission_controller_admission_duration_seconds histogram\n\
     apiserver_admission_controller_admission_duration_seconds_bucket{name=\"NodeRestriction\",operation=\"UPDATE\",rejected=\"false\",type=\"admit\",le=\"0.005\"} 14\n";
const AFTER: &str = "# HELP apiserver_admission_step_admission_duration_seconds [STABLE] Admission\n";

fn series(name: &str, operation: &str, type_: &str) -> String {
    format!("{SERIES}name=\"{name}\",operation=\"{operation}\",rejected=\"false\",type=\"{type_}\"}} 14\n")
}

async fn told(series: &[String], after: &str) -> Option<bool> {
    let metrics = [BEFORE, &series.concat(), after].concat();
    restricts(metrics.as_bytes()).await.expect("metrics that can be read")
}

#[tokio::test]
async fn the_plugin_is_on_where_it_was_asked() {
    let on = [series("NodeRestriction", "UPDATE", "admit"), series("PodSecurity", "UPDATE", "validate")];
    assert_eq!(told(&on, AFTER).await, Some(true));
    assert_eq!(told(&on[..1], AFTER).await, Some(true));
}

#[tokio::test]
async fn it_is_off_where_a_request_went_past_it() {
    for operation in ["CREATE", "UPDATE"] {
        let off = [series("Priority", operation, "admit"), series("PodSecurity", operation, "validate")];
        assert_eq!(told(&off, AFTER).await, Some(false));
    }
}

/// Refused by a plugin before it, or of an operation that it is not asked of.
#[tokio::test]
async fn nothing_is_known_of_an_apiserver_that_had_no_request_for_it() {
    let others = [series("NamespaceLifecycle", "UPDATE", "admit"), series("Other", "CONNECT", "validate")];
    assert_eq!(told(&others, AFTER).await, None);
    assert_eq!(told(&[], AFTER).await, None);
}

#[tokio::test]
async fn nothing_is_known_where_plugins_are_not_named() {
    let off = [series("PodSecurity", "UPDATE", "validate"), series("unexpected", "UPDATE", "admit")];
    assert_eq!(told(&off, AFTER).await, None);
}

#[tokio::test]
async fn series_without_an_end_tell_nothing() {
    let off = [series("PodSecurity", "UPDATE", "validate")];
    assert_eq!(told(&off, "").await, None);
    let long = "x".repeat(usize::try_from(MAX_READ).expect("a size"));
    assert_eq!(told(&off, &[&long, "\n", AFTER].concat()).await, None);
}
