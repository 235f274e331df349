# what a person writes for the server plugin
keylime_verifier_host = "verifier.example.org"
keylime_verifier_port = 8881
keylime_registrar_port = "8891" // a string, as in the chart
keylime_tls_ca_cert_file = "/run/keylime/ca.crt"

/* how old an
   attestation may be */
max_attestation_age = "5m"
can_reattest = true
allowed_metadata_keys = ["rack", "zone",]
agent_path_template = "/{{ .PluginName }}/{{ .AgentID }}"
request_timeout = "10s"
enforcement { action = "off" }
