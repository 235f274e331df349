use super::*;

fn ids(ids: &[&str]) -> Result<HashSet<Box<str>>, &'static str> {
    Ok(ids.iter().map(|id| Box::from(*id)).collect())
}

#[tokio::test]
async fn a_list_is_asked_for_again_only_where_the_last_one_does_not_decide() {
    let (list, a) = (AgentList::default(), AgentId::new("a").unwrap());
    assert_eq!(list.has(&a, async { Err("away") }).await, Err("away"));
    assert_eq!(list.has(&a, async { ids(&["a"]) }).await, Ok(true));
    // Removed since.
    assert_eq!(list.has(&a, async { ids(&[]) }).await, Ok(false));
    assert_eq!(list.has(&a, async { Err("asked again") }).await, Ok(false));
}
