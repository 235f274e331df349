{{/* What the operator does in the namespaces that it manages. Each rule says why; what is not here it never asks for. */}}
{{- define "keylime-attestor.rules" -}}
# The resources that are reconciled.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors]
  verbs: [get, list, watch]
# Their finalizer: a deleted resource stays until SPIRE has everything back.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors]
  verbs: [patch]
# Their conditions.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors/status]
  verbs: [patch]
# SPIRE's configurations are read and followed. The derived ones are applied beside them (create and patch), with mode InPlace SPIRE's own
# are (patch); the derived ones go with the resource (delete).
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# SPIRE's server and agents are found and followed, and given the plugins by server-side apply.
- apiGroups: [apps]
  resources: [daemonsets, deployments, statefulsets]
  verbs: [get, list, watch, patch]
# Which pods keep a rollout from going on, and what their state says; where SPIRE's server reports; whether the SPIRE agent of a node is ready.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# The last words of a container that failed: SPIRE says there why it ended.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# A StatefulSet does not replace a pod that never became ready: one with an outdated overlay of ours is deleted.
- apiGroups: [""]
  resources: [pods]
  verbs: [delete]
# A pod that cannot be created (quota, admission, webhook), and one that waits for a volume, is told of in Events of Kubernetes and nowhere else.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list]
# Events tell of every change; one that comes again is counted on (patch).
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What the operator does with resources in all other namespaces: says on them that it does not act there. */}}
{{- define "keylime-attestor.elsewhereRules" -}}
# Resources of which no operator has said anything.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors]
  verbs: [list]
# The condition that says so.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors/status]
  verbs: [patch]
{{- end }}

{{/* What the operator does with nodes, which are in no namespace. */}}
{{- define "keylime-attestor.nodeRules" -}}
# Which nodes there are, and by what their agents at Keylime are known: system UUID, names and addresses.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
# The label and the annotation that tell a node's agent and its SPIFFE ID, and the taint of `spec.nodes.taint`.
- apiGroups: [""]
  resources: [nodes]
  verbs: [patch]
# What is known of each node: made, kept, and gone with the resource that selects the node.
- apiGroups: [spire.keylime.dev]
  resources: [attestednodes]
  verbs: [list, watch, create, patch, delete]
# Its state.
- apiGroups: [spire.keylime.dev]
  resources: [attestednodes/status]
  verbs: [patch]
# Its alias, which spire-controller-manager gives workloads as parent: made for each node, and gone with the resource.
- apiGroups: [spire.spiffe.io]
  resources: [clusterstaticentries]
  verbs: [list, watch, create, patch, delete]
{{- end }}

{{/* What the operator asks of the apiserver itself. */}}
{{- define "keylime-attestor.apiserverRules" -}}
# Whether the account of SPIRE's server may have tokens reviewed, before it is told to (`spec.attestation.binding`). It changes nothing.
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- if .Values.rbac.apiserverMetrics }}
# Whether the apiserver runs with NodeRestriction, without which a kubelet can write its Node's label: nothing but its metrics tells.
- nonResourceURLs: [/metrics]
  verbs: [get]
{{- end }}
{{- end }}

{{/* What SPIRE's server does, so that agents prove their Node by a token. */}}
{{- define "keylime-attestor.reviewRules" -}}
# Of which pod, on which Node, a token is. No token is kept.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
# Whether that Node is still there, and its labels.
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
{{- end }}

{{/* The same, in the namespaces of SPIRE's agents. */}}
{{- define "keylime-attestor.reviewPodRules" -}}
# Whether the pod of a token is still there: a token may outlive it for a while.
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
{{- end }}

{{/* What the operator does in the namespace `default`, where Kubernetes keeps the Events of what is in no namespace. */}}
{{- define "keylime-attestor.nodeEventRules" -}}
# Events tell of every change of a node's state.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What the operator does in its own namespace. */}}
{{- define "keylime-attestor.ownRules" -}}
# The one Lease by which one of several operators acts. The right to create cannot be limited to a name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
# It is taken, renewed and given up.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [keylime-attestor-operator]
  verbs: [get, patch]
# The operator's own pod: SPIRE's pods install the plugins from the image that it runs.
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
# The certificate that the operator issues for itself, by whose key the report of SPIRE's server knows it. It is written by server-side apply,
# which names the object also when it makes it anew, so that the right to create is limited to this name.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "keylime-attestor.reportSecret" . }}]
  verbs: [get, create, patch]
{{- end }}

{{/* What is done before the release is deleted, in the namespaces that the operator manages. */}}
{{- define "keylime-attestor.uninstallRules" -}}
# Whether a resource is still in SPIRE, and until when.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors]
  verbs: [list]
{{- if eq .Values.uninstall.attestors "Withdraw" }}
# The operator withdraws a resource that is deleted.
- apiGroups: [spire.keylime.dev]
  resources: [keylimeattestors]
  verbs: [delete]
{{- end }}
{{- end }}

{{/* Names of the Secrets that may be seen, by namespace, as JSON. */}}
{{- define "keylime-attestor.secrets" -}}
{{- $secrets := dict -}}
{{- range .Values.rbac.keylimeSecrets -}}
{{- $_ := set $secrets .namespace (concat (get $secrets .namespace | default list) .names) -}}
{{- end -}}
{{- if .Values.attestor.create -}}
{{- $spec := .Values.attestor.spec -}}
{{- $home := include "keylime-attestor.attestorNamespace" . -}}
{{- $mounted := list (list (dig "spire" "server" "namespace" $home $spec) (dig "keylime" "tls" "secretName" "" $spec)) -}}
{{- $agent := dig "keylime" "agent" dict $spec -}}
{{- range dig "spire" "agents" list $spec -}}
{{- $mounted = append $mounted (list (default $home .namespace) (dig "tls" "secretName" "" (default $agent .keylimeAgent))) -}}
{{- end -}}
{{- range $mounted -}}
{{- $namespace := first . -}}
{{- with last . -}}
{{- $_ := set $secrets $namespace (append (get $secrets $namespace | default list) .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end }}
