{{/* What the schema cannot say, in words: included by the deployment. */}}
{{- define "secateur.checks" -}}
{{- if and .Values.store.claim .Values.store.uri }}
{{- fail "store.claim and store.uri: a store is either a claim or a URI; set one of them" }}
{{- end }}
{{- if and .Values.store.secret (not .Values.store.uri) (not .Values.store.claim) }}
{{- fail "store.secret: it belongs to a store; set store.uri (or store.claim) too" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- fail "replicas: more than one needs leaderElection.enabled=true" }}
{{- end }}
{{- if eq (int .Values.metrics.port) (int .Values.health.port) }}
{{- fail "metrics.port and health.port: they must differ" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) }}
{{- fail "metrics.serviceMonitor.enabled: it needs metrics.service.enabled=true" }}
{{- end }}
{{- end }}
