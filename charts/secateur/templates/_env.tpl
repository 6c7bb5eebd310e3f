{{/* The operator's settings; `secateur operator --help` explains each. */}}
{{- define "secateur.env" -}}
{{- with .Values.namespaces }}
- {name: SECATEUR_NAMESPACES, value: {{ join " " . | quote }}}
{{- end }}
{{- with .Values.selector }}
- {name: SECATEUR_SELECTOR, value: {{ . | quote }}}
{{- end }}
{{- with .Values.maxRunning }}
- {name: SECATEUR_MAX_RUNNING, value: {{ . | int | quote }}}
{{- end }}
- {name: SECATEUR_IMAGE, value: {{ include "secateur.image" (dict "image" .Values.stages.image "version" .Chart.AppVersion) | quote }}}
- {name: SECATEUR_IMAGE_PULL_POLICY, value: {{ .Values.stages.image.pullPolicy }}}
{{- with .Values.stages.imagePullSecrets }}
- {name: SECATEUR_IMAGE_PULL_SECRETS, value: {{ join " " . | quote }}}
{{- end }}
- {name: SECATEUR_JOB_TTL, value: {{ .Values.stages.jobTtlSeconds | int | quote }}}
{{- with .Values.store.claim }}
- {name: SECATEUR_STORE_CLAIM, value: {{ . | quote }}}
{{- end }}
{{- with .Values.store.uri }}
- {name: SECATEUR_STORE_URI, value: {{ . | quote }}}
{{- end }}
{{- with .Values.store.secret }}
- {name: SECATEUR_STORE_SECRET, value: {{ . | quote }}}
{{- end }}
{{- with .Values.workers }}
- {name: SECATEUR_WORKERS, value: {{ . | int | quote }}}
{{- end }}
- {name: SECATEUR_LEADER_ELECT, value: {{ .Values.leaderElection.enabled | quote }}}
- {name: SECATEUR_LEASE_NAME, value: {{ include "secateur.leaseName" . | quote }}}
- {name: SECATEUR_METRICS_PORT, value: {{ .Values.metrics.port | quote }}}
- {name: SECATEUR_HEALTH_PORT, value: {{ .Values.health.port | quote }}}
- {name: SECATEUR_LOG_FORMAT, value: {{ .Values.log.format }}}
{{- if .Values.log.verbose }}
- {name: SECATEUR_VERBOSE, value: "true"}
{{- end }}
{{- end }}
