//! The plugins' configurations: every problem is reported at once, Validate and Configure agree,
//! nobody is asked over the network.

use anyhow::Result;
use lab::host::Host;
use lab::programs;
use lab::site::{SERVER_PLUGIN, Site, TRUST_DOMAIN};
use tonic::Code;

#[tokio::test]
async fn every_problem_of_the_servers_configuration_is_reported_at_once() -> Result<()> {
    let site = Site::start().await?;
    let text = site
        .configuration("")
        .lines()
        .filter(|line| {
            !line.starts_with("keylime_tls_key_file") && !line.starts_with("keylime_verifier_port")
        })
        .collect::<Vec<_>>()
        .join("\n")
        + r#"
        keylime_verifier_port = "70000"
        keylime_verifier_hots = "typo"
        keylime_registrar_host = "http://registrar"
        keylime_tls_key_file = "/nonexistent/key"
        max_attestation_age = "soon"
        can_reattest = "perhaps"
        agent_path_template = "/{{ .PluginName }}/node"
        allowed_metadata_keys = ["a b"]
        challenge_timeout = "0s"
        keylime_verifiers = ["verifier", "verifier:8881"]
        enforcement {
            action = "delete"
            report_address = "localhost"
            report_client_key_sha256 = "AA:BB"
        }
        "#;
    let validated = site.host.plugin().validate(TRUST_DOMAIN, &text).await?;
    assert!(!validated.valid);
    for expected in [
        "keylime_verifier_port",
        "keylime_verifier_host",
        "keylime_registrar_host",
        "/nonexistent/key",
        "max_attestation_age",
        "can_reattest",
        ".AgentID",
        "allowed_metadata_keys",
        "challenge_timeout",
        "keylime_verifiers",
        "enforcement.action",
        "enforcement.report_address",
        "enforcement.report_client_key_sha256",
    ] {
        assert!(
            validated.notes.iter().any(|note| note.contains(expected)),
            "{expected} is not in {:#?}",
            validated.notes
        );
    }

    let refused = site.host.plugin().configure(TRUST_DOMAIN, &text).await.expect_err("it was taken");
    assert_eq!(refused.code(), Code::InvalidArgument);
    for note in &validated.notes {
        assert!(refused.message().contains(note.as_str()), "{note} is not in {refused:?}");
    }
    assert_eq!(site.keylime.verifier.served() + site.keylime.registrar.served(), 0, "Keylime was asked");
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn further_verifiers_are_at_most_eight_and_each_is_another() -> Result<()> {
    let site = Site::start().await?;
    let list = |number: usize| {
        let verifiers: Vec<String> = (0..number).map(|number| format!("\"v{number}:8881\"")).collect();
        site.configuration(&format!("keylime_verifiers = [{}]", verifiers.join(", ")))
    };
    let plugin = site.host.plugin();
    assert!(plugin.validate(TRUST_DOMAIN, &list(8)).await?.valid);
    let main = format!("keylime_verifiers = [\"127.0.0.1:{}\"]", site.keylime.verifier.port());
    for (text, problem) in [
        (list(9), "expected at most 8 verifiers"),
        (site.configuration(&main), "expected each verifier once"),
    ] {
        let notes = plugin.validate(TRUST_DOMAIN, &text).await?.notes;
        assert!(matches!(notes.as_slice(), [note] if note.contains(problem)), "{notes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_valid_configuration_has_no_notes_and_asks_nobody() -> Result<()> {
    let site = Site::start().await?;
    let enforcement = "enforcement {\n action = \"ban\"\n report_address = \"[::]:9797\"\n";
    let configuration = |more: &str| site.configuration(&format!("{enforcement} {more}\n}}\n"));
    let hash = format!("report_client_key_sha256 = {:?}", "0".repeat(64));
    let validated = site.host.plugin().validate(TRUST_DOMAIN, &configuration(&hash)).await?;
    assert!(validated.valid && validated.notes.is_empty(), "{validated:?}");
    assert_eq!(site.keylime.verifier.served() + site.keylime.registrar.served(), 0, "Keylime was asked");
    // Without the key of its one client the report would be nobody's, or everybody's.
    let validated = site.host.plugin().validate(TRUST_DOMAIN, &configuration("")).await?;
    let expected = "enforcement.report_client_key_sha256";
    assert!(matches!(validated.notes.as_slice(), [note] if note.contains(expected)), "{validated:?}");
    Ok(())
}

#[tokio::test]
async fn the_agents_configuration_needs_a_pin_for_https_beyond_loopback() -> Result<()> {
    let site = Site::start().await?;
    let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
    let tls = format!(
        "keylime_agent_host = \"192.0.2.1\"\nkeylime_tls_cert_file = {:?}\nkeylime_tls_key_file = {:?}\n",
        site.files.cert, site.files.key
    );
    let refused = host.plugin().validate(TRUST_DOMAIN, &tls).await?;
    assert!(
        refused.notes.iter().any(|note| note.contains("keylime_tls_server_cert_file")),
        "{:?}",
        refused.notes
    );
    for half in ["keylime_tls_key_file = \"/k\"", "keylime_tls_server_cert_file = \"/c\""] {
        let refused = host.plugin().validate(TRUST_DOMAIN, half).await?;
        assert!(
            refused.notes.iter().any(|note| note.contains("keylime_tls_cert_file")),
            "{half}: {:?}",
            refused.notes
        );
    }
    assert!(host.plugin().validate(TRUST_DOMAIN, "").await?.valid);
    host.plugin().configure(TRUST_DOMAIN, "").await?;
    host.log().wait_for(|entry| entry.to_string().contains("plain http")).await?;
    Ok(())
}

#[tokio::test]
async fn the_agents_socket_stands_alone() -> Result<()> {
    let host = Host::start(programs::built("keylime-attestor-agent")?).start().await?;
    let socket = "keylime_agent_socket = \"/run/keylime-attestor/quoter.sock\"\n";
    assert!(host.plugin().validate(TRUST_DOMAIN, socket).await?.valid);
    for other in [
        "keylime_agent_host = \"127.0.0.1\"",
        "keylime_agent_port = 9002",
        "keylime_tls_cert_file = \"/c\"",
        "keylime_tls_key_file = \"/k\"",
        "keylime_tls_server_cert_file = \"/c\"",
    ] {
        let refused = host.plugin().validate(TRUST_DOMAIN, &format!("{socket}{other}")).await?;
        let key = other.split(' ').next().unwrap_or_default();
        let expected = "expected none beside keylime_agent_socket, got one; remove one of the two";
        assert!(
            matches!(refused.notes.as_slice(), [note] if note.contains(key) && note.contains(expected)),
            "{other}: {:?}",
            refused.notes
        );
    }
    let long = format!("/{}", "a".repeat(107));
    for path in ["quoter.sock", &long] {
        let refused =
            host.plugin().validate(TRUST_DOMAIN, &format!("keylime_agent_socket = {path:?}")).await?;
        let expected = "expected an absolute path of at most 107 bytes";
        assert!(refused.notes.iter().any(|note| note.contains(expected)), "{path}: {:?}", refused.notes);
    }
    Ok(())
}

#[tokio::test]
async fn configurations_are_taken_as_spire_prints_them() -> Result<()> {
    let site = Site::start().await?;
    let text = site.configuration("");
    let printed: String =
        text.lines().map(|line| format!("\"{}\n\n", line.replacen(" = ", "\" = ", 1))).collect();
    site.host.plugin().configure(TRUST_DOMAIN, &printed).await?;
    site.attest().await?;

    let members: Vec<String> = text.lines().map(|line| line.replacen(" = ", "\": ", 1)).collect();
    let json = format!("{{\"{}}}", members.join(",\n\""));
    site.host.plugin().configure(TRUST_DOMAIN, &json).await?;
    site.attest().await?;
    Ok(())
}

#[tokio::test]
async fn a_person_who_starts_them_is_told_what_they_are() -> Result<()> {
    for name in [SERVER_PLUGIN, "keylime-attestor-agent"] {
        let program = programs::built(name)?;
        let run = |arg: &str| std::process::Command::new(&program).arg(arg).output();
        let version = run("--version")?;
        assert!(version.status.success());
        assert_eq!(
            String::from_utf8(version.stdout)?.trim(),
            format!("{name} {}", env!("CARGO_PKG_VERSION"))
        );
        let help = String::from_utf8(run("--help")?.stdout)?;
        assert!(help.contains("SPIRE plugin") && help.contains("request_timeout"), "{help}");

        let bare = std::process::Command::new(&program).output()?;
        let told = String::from_utf8(bare.stderr)?;
        assert_eq!(bare.status.code(), Some(1));
        assert!(bare.stdout.is_empty() && told.lines().count() == 1 && told.contains("plugin_cmd"), "{told}");
    }
    Ok(())
}
