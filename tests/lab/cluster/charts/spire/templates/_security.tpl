{{/* Security contexts. Each takes the values and the uid of who runs. */}}

{{- define "pod.security" -}}
{{- $ids := dict "runAsUser" .uid "runAsGroup" .uid "fsGroup" .uid "fsGroupChangePolicy" "OnRootMismatch" -}}
{{- if eq .values.securityContexts "pod" }}
{{- $ids = merge $ids (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) }}
{{- end -}}
{{- $ids | toJson -}}
{{- end }}

{{- define "container.security" -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- if eq .values.securityContexts "container" }}
{{- $own = merge $own (dict "runAsNonRoot" (ne (int .uid) 0) "seccompProfile" (dict "type" "RuntimeDefault")) }}
{{- end -}}
{{- $own | toJson -}}
{{- end }}
