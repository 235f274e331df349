{{/* "true" where the cluster has admission policies, and is to have the operator's. */}}
{{- define "keylime-attestor.policies" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy" -}}
{{- ternary "true" "" (and .Values.admissionPolicy.enabled $served) -}}
{{- end }}

{{/* Whom a policy binds. */}}
{{- define "keylime-attestor.isOperator" -}}
- name: by-the-operator
  expression: request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "keylime-attestor.serviceAccount" . }}'
{{- end }}

{{/* An object's metadata, before and after. */}}
{{- define "keylime-attestor.metadata" -}}
- {name: labels, expression: "object.metadata.?labels.orValue({})"}
- {name: oldLabels, expression: "oldObject.metadata.?labels.orValue({})"}
- {name: annotations, expression: "object.metadata.?annotations.orValue({})"}
- {name: oldAnnotations, expression: "oldObject.metadata.?annotations.orValue({})"}
{{- end }}

{{/* What ties an object to others, and keeps it from going. */}}
{{- define "keylime-attestor.ties" -}}
- message: the operator writes no owner and no finalizer
  expression: >-
    object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
    && object.metadata.?finalizers == oldObject.metadata.?finalizers
{{- end }}

{{/* CEL: true where the first map is the second but for keys `k` of which the third holds. */}}
{{- define "keylime-attestor.sameBut" -}}
{{- $new := index . 0 }}{{ $old := index . 1 }}{{ $fits := index . 2 -}}
{{ $new }}.all(k, {{ $fits }} || k in {{ $old }} && {{ $new }}[k] == {{ $old }}[k]) && {{ $old }}.all(k, {{ $fits }} || k in {{ $new }})
{{- end }}
