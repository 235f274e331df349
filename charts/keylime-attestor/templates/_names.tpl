{{/* Name of all objects. */}}
{{- define "keylime-attestor.fullname" -}}
{{- $release := .Release.Name -}}
{{- if not (contains .Chart.Name $release) }}{{ $release = printf "%s-%s" $release .Chart.Name }}{{ end -}}
{{- default $release .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "keylime-attestor.serviceAccount" -}}
{{- $made := ternary (include "keylime-attestor.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end }}

{{/* Name of the Secret with the operator's own certificate for the report. */}}
{{- define "keylime-attestor.reportSecret" -}}
{{ include "keylime-attestor.fullname" . }}-report
{{- end }}

{{- define "keylime-attestor.image" -}}
{{- with .Values.image -}}
{{- $tag := printf ":%s" (default $.Chart.AppVersion .tag) -}}
{{- .repository }}{{ ternary (printf "@%s" .digest) $tag (ne .digest "") -}}
{{- end -}}
{{- end }}

{{/* What selects the operator's pods. */}}
{{- define "keylime-attestor.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "keylime-attestor.labels" -}}
{{ include "keylime-attestor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "keylime-attestor.attestorNamespace" -}}
{{- default .Release.Namespace .Values.attestor.namespace -}}
{{- end }}

{{/* The security that Pod Security's `restricted` asks for. The uid is the image's, 65532; OpenShift gives its own. */}}
{{- define "keylime-attestor.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "keylime-attestor.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What selects the quoter's pods. */}}
{{- define "keylime-attestor.quoterSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: quoter
{{- end }}

{{- define "keylime-attestor.quoterLabels" -}}
{{ include "keylime-attestor.quoterSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* What selects the pod of `helm test`. */}}
{{- define "keylime-attestor.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{/* What selects the pod that runs before the release is deleted. */}}
{{- define "keylime-attestor.uninstallSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: uninstall
{{- end }}

{{/* The namespaces in which the operator acts, by comma. */}}
{{- define "keylime-attestor.namespaces" -}}
{{- if not .Values.namespaces }}
{{- fail "expected `namespaces` to list those of SPIRE's server, of its agents and of the KeylimeAttestor, as in --set 'namespaces={spire-server,spire-system}'; it is empty" }}
{{- end }}
{{- join "," .Values.namespaces -}}
{{- end }}
