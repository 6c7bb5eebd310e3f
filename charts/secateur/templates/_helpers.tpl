{{- define "secateur.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "secateur.fullname" -}}
{{- $name := include "secateur.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Cluster-scoped names carry the namespace: two releases of one name may be in two namespaces. */}}
{{- define "secateur.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "secateur.fullname" .) }}
{{- end }}

{{- define "secateur.selector" -}}
app.kubernetes.io/name: {{ include "secateur.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "secateur.labels" -}}
{{ include "secateur.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "secateur.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "secateur.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ required "serviceAccount.name: name an existing ServiceAccount, or set serviceAccount.create=true" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "secateur.leaseName" -}}
{{ default (include "secateur.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{/* The reference of an image: (dict "image" VALUES "version" APPVERSION). */}}
{{- define "secateur.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .version .image.tag }}
{{- end -}}
{{- end }}

{{/* What the operator does in the namespaces that it serves; tests compare it with the requests that it makes. */}}
{{- define "secateur.rules" -}}
- apiGroups: [secateur.dev]
  resources: [pruningjobs]
  verbs: [get, list, watch]
- apiGroups: [secateur.dev]
  resources: [pruningjobs/status]
  verbs: [patch]
# Needed to own Jobs where the cluster's admission guards owner references (OwnerReferencesPermissionEnforcement).
- apiGroups: [secateur.dev]
  resources: [pruningjobs/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Why a Job has no pod, or a pod does not start.
- apiGroups: [""]
  resources: [events]
  verbs: [list, get, create, patch]
# Which operator serves the namespace: two that would both serve it notice each other. A name cannot be asked for when
# an object is created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [secateur-serves{{ if .Values.selector }}, {{ include "secateur.territory" . }}{{ end }}]
  verbs: [get, update]
{{- end }}

{{/* The Lease in each namespace that says which operator serves it; cluster/territory.py has the same rule. */}}
{{- define "secateur.territory" -}}
{{- with .Values.selector -}}
secateur-serves-{{ . | replace " " "" | splitList "," | sortAlpha | join "," | sha256sum | trunc 8 }}
{{- else -}}
secateur-serves
{{- end -}}
{{- end }}

{{/* What the removal of old results does: it asks what PruningJobs name, and runs a Job beside each store. */}}
{{- define "secateur.gcRules" -}}
- apiGroups: [secateur.dev]
  resources: [pruningjobs]
  verbs: [list]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end }}
