use super::*;

fn read(text: &str) -> (Option<Settings>, Vec<String>) {
    let mut fields = Fields::parse(text).unwrap();
    let settings = Settings::take(&mut fields);
    (settings, fields.finish().iter().map(ToString::to_string).collect())
}

#[test]
fn without_the_block_there_is_no_enforcement_and_an_empty_one_only_watches() {
    assert!(read("").0.is_none());
    let (settings, problems) = read("enforcement {}");
    let settings = settings.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((settings.action, settings.max_per_interval), (Mode::Observe, 10));
    assert_eq!((settings.interval, settings.grace), (Duration::from_secs(10), Duration::ZERO));
    assert_eq!(settings.unreachable_grace, Duration::from_secs(600));
    assert_eq!(settings.socket, PathBuf::from("/tmp/spire-server/private/api.sock"));
    assert_eq!((settings.max_unhealthy, settings.report_address), (Share(50), None));
}

#[test]
fn every_key_is_read_from_hcl_and_json() {
    for text in [
        r#"enforcement { action = "ban" spire_socket_path = "/s" interval = "1s" grace = "2m" unreachable_grace = "3m" max_per_interval = 1
           max_unhealthy = "100%" report_address = "[::]:9797"
           report_client_key_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }"#,
        r#"{"enforcement": {"action": "ban", "spire_socket_path": "/s", "interval": "1s", "grace": "2m", "unreachable_grace": "3m",
           "max_per_interval": 1, "max_unhealthy": "100%", "report_address": "[::]:9797",
           "report_client_key_sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}"#,
    ] {
        let (settings, problems) = read(text);
        let settings = settings.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((settings.action, settings.max_per_interval), (Mode::Ban, 1));
        assert_eq!((settings.interval, settings.grace), (Duration::from_secs(1), Duration::from_secs(120)));
        assert_eq!(settings.unreachable_grace, Duration::from_secs(180));
        assert_eq!((settings.socket, settings.max_unhealthy), (PathBuf::from("/s"), Share(100)));
        assert_eq!(settings.report_address, "[::]:9797".parse().ok());
        assert_eq!(settings.report_client, "0123456789abcdef".repeat(4).parse().ok());
    }
}

#[test]
fn observe_may_be_written_off() {
    for word in ["observe", "off"] {
        let (settings, problems) = read(&format!("enforcement {{ action = {word:?} }}"));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.unwrap().action, Mode::Observe);
    }
}

#[test]
fn every_problem_is_told_with_its_key() {
    let (_, problems) = read(
        r#"enforcement { action = "delete" spire_socket_path = "s" interval = "10ms" grace = "-1s"
           max_per_interval = 0 max_unhealthy = "150%" report_address = "localhost" report_client_key_sha256 = "AA:BB"
           actoin = "off" }"#,
    );
    let keys = [
        "enforcement.action",
        "enforcement.spire_socket_path",
        "enforcement.interval",
        "enforcement.grace",
        "enforcement.max_per_interval",
        "enforcement.max_unhealthy",
        "enforcement.report_address",
        "enforcement.report_client_key_sha256",
        "enforcement.actoin",
    ];
    assert_eq!(problems.len(), keys.len(), "{problems:#?}");
    for (problem, key) in problems.iter().zip(keys) {
        assert!(problem.starts_with(key), "{key}: {problem}");
    }
    for share in ["0%", "101%", "50", "%", "+5%", "5.5%", "a%"] {
        let (_, problems) = read(&format!("enforcement {{ max_unhealthy = {share:?} }}"));
        assert_eq!(problems.len(), 1, "{share}");
    }
    let (_, problems) = read(r#"enforcement { report_address = "[::]:9797" }"#);
    assert!(
        matches!(problems.as_slice(), [one] if one.starts_with("enforcement.report_client_key_sha256")),
        "{problems:?}"
    );
    for hash in ["", "keylime", "0", &"g".repeat(64), &"0".repeat(65)] {
        let (_, problems) = read(&format!("enforcement {{ report_client_key_sha256 = {hash:?} }}"));
        assert!(
            matches!(problems.as_slice(), [problem] if problem.contains("64 hexadecimal digits")),
            "{hash}"
        );
    }
    for address in ["0.0.0.0", "0.0.0.0:0", ":9797", "host:9797"] {
        let (_, problems) = read(&format!("enforcement {{ report_address = {address:?} }}"));
        assert_eq!(problems.len(), 1, "{address}");
    }
}

#[test]
fn a_share_is_exceeded_beyond_it_and_not_at_it() {
    let half = Share(50);
    assert!(!half.is_exceeded_by(1, 2) && half.is_exceeded_by(2, 3) && half.is_exceeded_by(1, 1));
    assert!(!half.is_exceeded_by(0, 0) && !Share(100).is_exceeded_by(7, 7));
    assert!(Share(1).is_exceeded_by(usize::MAX, 1));
}

#[test]
fn the_keys_are_those_that_are_read() {
    let text: String =
        KEYS.iter().map(|key| format!("{} = {{}}\n", key.name.trim_start_matches("enforcement."))).collect();
    let (_, problems) = read(&format!("enforcement {{\n{text}}}"));
    assert!(!problems.iter().any(|problem| problem.contains("unknown key")), "{problems:?}");
}
