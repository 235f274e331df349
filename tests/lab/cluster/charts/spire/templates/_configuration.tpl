{{/* SPIRE's configuration files. JSON: pretty-printed with sorted keys, plugins as lists of one-key objects. */}}

{{- define "server.json" -}}
{{- $cluster := dict "allowed_node_label_keys" (list) "allowed_pod_label_keys" (list) "audience" (list "spire-server")
      "service_account_allow_list" (list (printf "%s:spire-agent" .Values.namespaces.agents)) -}}
{{- $server := dict "audit_log_enabled" false "bind_address" "0.0.0.0" "bind_port" "8081" "ca_key_type" "ec-p256"
      "ca_subject" (list (dict "common_name" .Values.trustDomain "country" (list "ARPA") "organization" (list "Example")))
      "ca_ttl" "24h" "data_dir" "/run/spire/data" "default_jwt_svid_ttl" "1h" "default_x509_svid_ttl" "4h"
      "log_format" "text" "log_level" .Values.logLevel "ratelimit" (dict "attestation" true "signing" true)
      "trust_domain" .Values.trustDomain -}}
{{- if .Values.server.agentTTL }}{{ $_ := set $server "agent_ttl" .Values.server.agentTTL }}{{ end -}}
{{- $plugins := dict
      "BundlePublisher" (list (dict "k8s_configmap" (dict "plugin_data" (dict "clusters" (list (dict "chart-internal" (dict
        "configmap_key" "bundle.spiffe" "configmap_name" "spire-bundle" "format" "spiffe" "namespace" .Values.namespaces.agents)))))))
      "DataStore" (list (dict "sql" (dict "plugin_data" (dict "connection_string" "/run/spire/data/datastore.sqlite3" "database_type" "sqlite3"))))
      "KeyManager" (list (dict "disk" (dict "plugin_data" (dict "keys_path" "/run/spire/data/keys.json"))))
      "NodeAttestor" (list (dict "k8s_psat" (dict "plugin_data" (dict "clusters" (list (dict .Values.clusterName $cluster)))))) -}}
{{- dict "health_checks" (include "health" "8080" | fromJson) "plugins" $plugins "server" $server | toPrettyJson -}}
{{- end }}

{{- define "agent.json" -}}
{{- $agent := dict "data_dir" "/var/lib/spire" "log_format" "text" "log_level" .Values.logLevel "rebootstrap_delay" "10m" "rebootstrap_mode" "always"
      "server_address" (printf "spire-server.%s" .Values.namespaces.server) "server_port" "443" "socket_path" "/tmp/spire-agent/public/spire-agent.sock"
      "trust_bundle_format" "spiffe" "trust_bundle_path" "/run/spire/bundle/bundle.spiffe" "trust_domain" .Values.trustDomain -}}
{{- $keys := dict "memory" (dict "plugin_data" nil) -}}
{{- if .Values.agent.keysOnDisk }}{{ $keys = dict "disk" (dict "plugin_data" (dict "directory" "/var/lib/spire")) }}{{ end -}}
{{- $plugins := dict
      "KeyManager" (list $keys)
      "NodeAttestor" (list (dict "k8s_psat" (dict "plugin_data" (dict "cluster" .Values.clusterName))))
      "WorkloadAttestor" (list (dict "k8s" (dict "plugin_data" (dict "disable_container_selectors" false "skip_kubelet_verification" true
        "use_new_container_locator" true "verbose_container_locator_logs" false)))) -}}
{{- dict "agent" $agent "health_checks" (include "health" "9982" | fromJson) "plugins" $plugins | toPrettyJson -}}
{{- end }}

{{- define "health" -}}
{{ dict "bind_address" "0.0.0.0" "bind_port" . "listener_enabled" true "live_path" "/live" "ready_path" "/ready" | toJson }}
{{- end }}

{{- define "server.hcl" -}}
# A SPIRE server configured by hand, in HCL 1.
server {
    bind_address = "0.0.0.0"
    bind_port = "8081"
    trust_domain = "{{ .Values.trustDomain }}" // the trust domain
    data_dir = "/run/spire/data"
    log_level = "{{ .Values.logLevel }}"
    ca_ttl = "24h"
    {{- with .Values.server.agentTTL }}
    agent_ttl = "{{ . }}"
    {{- end }}
    ca_subject = {
        country = ["US"],
        organization = ["Example"],
        common_name = "",
    }
}

plugins {
    DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "/run/spire/data/datastore.sqlite3" } }

    /* nodes of this cluster, whose name the environment gives */
    NodeAttestor "k8s_psat" {
        plugin_data {
            clusters = {
                "${CLUSTER_NAME}" = {
                    service_account_allow_list = ["{{ .Values.namespaces.agents }}:spire-agent"]
                }
            }
        }
    }

    "KeyManager" "disk" {
        plugin_data {
            "keys_path" = "/run/spire/data/keys.json"
        }
    }

    BundlePublisher "k8s_configmap" {
        plugin_data {
            clusters = {
                "here" = { namespace = "{{ .Values.namespaces.agents }}" configmap_name = "spire-bundle" configmap_key = "bundle.spiffe" format = "spiffe" }
            }
        }
    }
}

health_checks { listener_enabled = true bind_address = "0.0.0.0" bind_port = "8080" live_path = "/live" ready_path = "/ready" }
{{ end }}

{{- define "agent.hcl" -}}
agent {
  data_dir = "/var/lib/spire"
  log_level = "{{ .Values.logLevel }}"
  server_address = "spire-server.{{ .Values.namespaces.server }}"
  server_port = "443"
  socket_path = "/tmp/spire-agent/public/spire-agent.sock"
  trust_bundle_format = "spiffe"
  trust_bundle_path = "/run/spire/bundle/bundle.spiffe"
  trust_domain = "{{ .Values.trustDomain }}"
}

plugins {
  NodeAttestor "k8s_psat" {
    plugin_data {
      # the name of this cluster
      cluster = "{{ .Values.clusterName }}"
    }
  }
  KeyManager "memory" {
    plugin_data {
    }
  }
  WorkloadAttestor "k8s" {
    plugin_data {
      skip_kubelet_verification = true
    }
  }
}

health_checks { listener_enabled = true bind_address = "0.0.0.0" bind_port = "9982" live_path = "/live" ready_path = "/ready" }
{{ end }}
