"agent_path_template" = "/{{ .PluginName }}/{{ .AgentID }}"

"allowed_metadata_keys" = ["rack", "zone"]

"can_reattest" = true

"challenge_timeout" = 

"enforcement" = {
  "action" = "off"

  "limits" = {
    "soft" = 5

    "hard" = 1.5e3
  }
}

"keylime_registrar_port" = "8891"

"keylime_verifier_host" = "verifier.example.org"

"keylime_verifier_port" = 8881

"max_attestation_age" = "5m"

"note" = "tab\there, \"quotes\", \u00e9 and a literal $ {x}"

"request_timeout" = 