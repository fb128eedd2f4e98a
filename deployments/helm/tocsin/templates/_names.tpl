{{/* Labels that select the pods of one service: dict "root" $ "service" name. */}}
{{- define "tocsin.selector" -}}
app.kubernetes.io/name: tocsin
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{- define "tocsin.labels" -}}
{{ include "tocsin.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The image of a service: dict "root" $ "service" name. The sender has its own. */}}
{{- define "tocsin.image" -}}
{{- $image := .root.Values.image -}}
{{ if eq .service "notice" }}{{ $image.noticeRepository }}{{ else }}{{ $image.repository }}{{ end }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* What every container may not do. */}}
{{- define "tocsin.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "tocsin.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Settings of one service as environment variables. */}}
{{- define "tocsin.env" -}}
{{- $v := .root.Values -}}
- {name: TOCSIN_NATS_URL, value: {{ $v.nats.url | quote }}}
- {name: TOCSIN_NATS_REPLICAS, value: {{ $v.nats.replicas | quote }}}
- {name: TOCSIN_NATS_PASSWORDS_FILE, value: /run/secrets/nats/passwords.yaml}
{{- if ne .service "setup" }}
- {name: TOCSIN_LISTEN, value: ":8420"}
- {name: TOCSIN_METRICS_LISTEN, value: ":9090"}
- {name: TOCSIN_DATA_DIR, value: /data}
- {name: TOCSIN_PUBLIC_URL, value: {{ $v.publicURL | quote }}}
- {name: TOCSIN_ORGANISATIONS, value: /etc/tocsin/organisations}
- {name: TOCSIN_TELEMETRY_LOG_FORMAT, value: json}
- {name: TOCSIN_TELEMETRY_LOG_LEVEL, value: {{ $v.telemetry.logLevel | quote }}}
- {name: TOCSIN_TELEMETRY_OTLP_ENDPOINT, value: {{ $v.telemetry.otlpEndpoint | quote }}}
{{- end }}
{{- if has .service (list "intake" "scope" "notice") }}
- {name: TOCSIN_DATABASE_FILE, value: /run/secrets/database/database}
{{- end }}
{{- if eq .service "intake" }}
- {name: TOCSIN_SOURCES, value: /etc/tocsin/people/sources.yaml}
{{- else if eq .service "desk" }}
- {name: TOCSIN_USERS, value: /etc/tocsin/people/users.yaml}
- {name: TOCSIN_KEYS_APPROVAL, value: /run/secrets/keys/approval.key}
- {name: TOCSIN_COOLING, value: {{ $v.cooling | quote }}}
{{- else if eq .service "scope" }}
- {name: TOCSIN_KEYS_INVENTORY, value: /keys/inventory.key}
{{- else if eq .service "deadline" }}
- {name: TOCSIN_KEYS_CALENDAR, value: /run/secrets/keys/calendar.key}
{{- else if eq .service "notice" }}
{{- /* What lives is small and the garbage plenty; see env/notice.env.sample. */}}
- {name: GOGC, value: "300"}
- {name: TOCSIN_CALLBACKS_LISTEN, value: ":8430"}
- {name: TOCSIN_USERS, value: /etc/tocsin/people/testers.yaml}
- {name: TOCSIN_KEYS_KEYRING, value: /run/secrets/keys/keyring.yaml}
- {name: TOCSIN_KEYS_LEDGER, value: /run/secrets/keys/ledger.key}
- {name: TOCSIN_SENDGRID_API_KEY_FILE, value: /run/secrets/providers/sendgrid_api_key}
- {name: TOCSIN_SENDGRID_EVENT_KEY, value: {{ $v.sendgrid.eventKey | quote }}}
- {name: TOCSIN_TWILIO_ACCOUNT_SID, value: {{ $v.twilio.accountSID | quote }}}
- {name: TOCSIN_TWILIO_AUTH_TOKEN_FILE, value: /run/secrets/providers/twilio_auth_token}
{{- end }}
{{- end }}
