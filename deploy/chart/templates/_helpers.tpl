{{- define "talosctl-oidc.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "talosctl-oidc.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "talosctl-oidc.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "talosctl-oidc.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "talosctl-oidc.selector" -}}
app.kubernetes.io/name: {{ include "talosctl-oidc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "talosctl-oidc.labels" -}}
{{ include "talosctl-oidc.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "talosctl-oidc.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "talosctl-oidc.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* "true" when the pod speaks plain HTTP. */ -}}
{{- define "talosctl-oidc.insecure" -}}
{{- if .Values.config.insecure }}true
{{- else if and .Values.ingress.enabled .Values.ingress.tls (not .Values.ingress.sslPassthrough) }}true
{{- end }}
{{- end }}

{{- define "talosctl-oidc.inlineCa" -}}
{{- if and .Values.talos.caCertData .Values.talos.caKeyData }}true{{ end }}
{{- end }}

{{- define "talosctl-oidc.caSecret" -}}
{{- if include "talosctl-oidc.inlineCa" . }}
{{- include "talosctl-oidc.fullname" . }}-ca-data
{{- else }}
{{- default (printf "%s-ca" (include "talosctl-oidc.fullname" .)) .Values.talos.caSecretName }}
{{- end }}
{{- end }}

{{- define "talosctl-oidc.configSecret" -}}
{{- default (printf "%s-config" (include "talosctl-oidc.fullname" .)) .Values.config.existingSecret }}
{{- end }}

{{- /*
The configuration file. Not the environment: an empty list of roles, which denies, cannot be said
there, nor can rules.
*/ -}}
{{- define "talosctl-oidc.config" -}}
{{- $c := .Values.config }}
{{- $inline := include "talosctl-oidc.inlineCa" . }}
{{- $settings := dict
  "issuer_url" (required "config.issuerUrl is required" $c.issuerUrl)
  "client_id" (required "config.clientId is required" $c.clientId)
  "endpoints" (required "config.endpoints is required" $c.endpoints)
  "roles" $c.roles
  "cert_ttl" $c.certTTL
  "audit_log" $c.auditLog
  "listen" (printf ":%v" .Values.service.targetPort)
  "ca_cert" (printf "/etc/talos/%s" (ternary "ca.crt" .Values.talos.caSecretKeys.cert (eq $inline "true")))
  "ca_key" (printf "/etc/talos/%s" (ternary "ca.key" .Values.talos.caSecretKeys.key (eq $inline "true")))
}}
{{- if $c.rbac.rules }}{{ $_ := set $settings "rbac" $c.rbac }}{{ end }}
{{- if $c.rateLimitRequests }}
{{- $_ := set $settings "rate_limit_requests" ($c.rateLimitRequests | int) }}
{{- $_ := set $settings "rate_limit_window" $c.rateLimitWindow }}
{{- end }}
{{- if $c.ipAllowlist }}{{ $_ := set $settings "ip_allowlist" $c.ipAllowlist }}{{ end }}
{{- if $c.trustedProxies }}{{ $_ := set $settings "trusted_proxies" $c.trustedProxies }}{{ end }}
{{- if include "talosctl-oidc.insecure" . }}
{{- if .Values.tls.existingSecret }}{{ fail "tls.existingSecret and plain HTTP (config.insecure, ingress.tls) exclude one another" }}{{ end }}
{{- $_ := set $settings "insecure" true }}
{{- end }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $settings "tls_cert" (printf "%s/tls.crt" .Values.tls.mountPath) }}
{{- $_ := set $settings "tls_key" (printf "%s/tls.key" .Values.tls.mountPath) }}
{{- end }}
{{- if .Values.persistence.enabled }}{{ $_ := set $settings "data_dir" .Values.persistence.mountPath }}{{ end }}
{{- if .Values.metrics.enabled }}{{ $_ := set $settings "metrics_listen" (printf ":%v" .Values.metrics.port) }}{{ end }}
{{- merge (deepCopy $c.extra) $settings | toYaml }}
{{- end }}
