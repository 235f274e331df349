use super::*;

fn render(template: &str) -> Result<String, InvalidAgentPath> {
    let template = AgentPathTemplate::parse(template).unwrap();
    template.render("example.org", "keylime", &AgentId::new("node-1").unwrap())
}

#[test]
fn templates_of_the_go_plugin_are_taken() {
    for template in [AgentPathTemplate::DEFAULT, "/{{.PluginName}}/{{.AgentID}}", "/keylime/{{\t.AgentID  }}"]
    {
        assert_eq!(render(template).unwrap(), "spiffe://example.org/spire/agent/keylime/node-1");
    }
    assert_eq!(
        render("/{{ .TrustDomain }}/x_{{ .AgentID }}.{{ .PluginName }}/y").unwrap(),
        "spiffe://example.org/spire/agent/example.org/x_node-1.keylime/y"
    );
}

#[test]
fn other_actions_are_refused_by_name() {
    for action in [
        "{{ .Foo }}",
        "{{ .AgentId }}",
        "{{- .AgentID -}}",
        "{{ .AgentID | upper }}",
        "{{}}",
        "{{ {{ .AgentID }}",
    ] {
        let error = AgentPathTemplate::parse(&format!("/{{{{ .AgentID }}}}/{action}")).unwrap_err();
        assert!(matches!(error, InvalidAgentPathTemplate::Action { .. }), "{action}");
        assert!(error.to_string().contains("only {{ .PluginName }}, {{ .TrustDomain }} and {{ .AgentID }}"));
    }
    assert_eq!(AgentPathTemplate::parse("/{{ .AgentID"), Err(InvalidAgentPathTemplate::Unclosed));
    let long = AgentPathTemplate::parse(&"x".repeat(1025));
    assert_eq!(long, Err(InvalidAgentPathTemplate::TooLong { length: 1025 }));
}

#[test]
fn a_template_without_the_agent_id_is_refused() {
    for template in ["", "/node", "/{{ .PluginName }}", "/.AgentID"] {
        assert_eq!(AgentPathTemplate::parse(template), Err(InvalidAgentPathTemplate::NoAgentId));
    }
}

#[test]
fn paths_that_spiffe_does_not_allow_are_refused() {
    for template in [
        "{{ .AgentID }}",
        "/{{ .AgentID }}/",
        "//{{ .AgentID }}",
        "/../{{ .AgentID }}",
        "/./{{ .AgentID }}",
        "/a b/{{ .AgentID }}",
        "/{{ .AgentID }}?x",
        "/%61{{ .AgentID }}",
        "/ä{{ .AgentID }}",
        "/}}{{ .AgentID }}",
    ] {
        assert!(matches!(render(template), Err(InvalidAgentPath::Path { .. })), "{template}");
    }
}

#[test]
fn a_plugin_name_cannot_leave_its_place() {
    let template = AgentPathTemplate::parse(AgentPathTemplate::DEFAULT).unwrap();
    for name in ["", "..", "a/../b", "a b", "a\n"] {
        assert!(
            matches!(template.check("example.org", name), Err(InvalidAgentPath::Path { .. })),
            "{name:?}"
        );
    }
    assert_eq!(template.check("example.org", "keylime"), Ok(()));
}

#[test]
fn a_plugin_name_is_one_segment() {
    for name in ["keylime", "Key_lime-2.0", "...", "-"] {
        assert_eq!(check_plugin_name(name), Ok(()), "{name:?}");
    }
    for name in ["", ".", "..", "a/b", "a b", "a\n", "ä", "a%41", "{{.AgentID}}"] {
        let error = check_plugin_name(name).unwrap_err().to_string();
        assert!(error.contains(&excerpt(name)), "{error}");
    }
}

#[test]
fn what_is_checked_for_the_longest_id_holds_for_every_id() {
    let template = AgentPathTemplate::parse(&"/{{.AgentID}}".repeat(8)).unwrap();
    assert!(matches!(template.check("example.org", "keylime"), Err(InvalidAgentPath::TooLong { .. })));
    assert!(template.render("example.org", "keylime", &AgentId::new("a").unwrap()).is_ok());
    let template = AgentPathTemplate::parse(&"/{{.AgentID}}".repeat(7)).unwrap();
    assert_eq!(template.check("example.org", "keylime"), Ok(()));
}
