use super::*;

fn aliases() -> Aliases {
    Aliases {
        trust_domain: "example.org".to_owned(),
        cluster: "lab".to_owned(),
        class: Some("spire".to_owned()),
        plugin: "tpm".to_owned(),
    }
}

#[test]
fn a_node_has_one_id_for_the_agents_of_every_attestor() {
    let selectors = [
        (Agents::Proven, vec!["tpm:node_uid:u"]),
        (Agents::Named("a"), vec!["tpm:agent_id:a"]),
        (Agents::Former, vec!["k8s_psat:cluster:lab", "k8s_psat:agent_node_uid:u"]),
    ];
    for (agents, selectors) in selectors {
        let entry = aliases().entry("u", agents);
        assert_eq!(entry.spiffe_id, "spiffe://example.org/keylime-attestor/node/lab/u");
        assert_eq!(entry.parent_id, "spiffe://example.org/spire/server");
        assert_eq!(entry.selectors, selectors);
        assert_eq!(Entry::read(&entry.spec()), entry);
    }
}

#[test]
fn the_template_gives_that_id() {
    let id =
        [("{{ .TrustDomain }}", "example.org"), ("{{ .ClusterName }}", "lab"), ("{{ .NodeMeta.UID }}", "u")]
            .iter()
            .fold(TEMPLATE.to_owned(), |text, (action, value)| text.replace(action, value));
    assert_eq!(id, aliases().entry("u", Agents::Proven).spiffe_id);
}

#[test]
fn the_former_agent_is_found_by_any_alias_of_its_node() {
    let former = aliases().entry("u", Agents::Former);
    assert_eq!(aliases().entry("u", Agents::Proven).former(), Some(former.clone()));
    assert_eq!(former.former(), Some(former));
    for other in ["", "spiffe://example.org/spire/server", "spiffe://example.org/keylime-attestor/node/u"] {
        assert_eq!(Entry { spiffe_id: other.to_owned(), ..Entry::default() }.former(), None, "{other}");
    }
}
