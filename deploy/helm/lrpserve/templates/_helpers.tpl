{{- define "lrpserve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lrpserve.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "lrpserve.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lrpserve.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lrpserve.selector" -}}
app.kubernetes.io/name: {{ include "lrpserve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lrpserve.labels" -}}
{{ include "lrpserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "lrpserve.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lrpserve.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lrpserve.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "lrpserve.scheme" -}}
{{- ternary "https" "http" (not (empty .Values.tls.secret)) -}}
{{- end -}}

{{- /* A setting as text. Numbers are floats here, and 10000000 would become 1e+07. */ -}}
{{- define "lrpserve.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- /* Seconds until a pod is killed: as long as the process itself takes at most, and a margin. */ -}}
{{- define "lrpserve.termination" -}}
{{- $grace := .Values.settings.grace_s | default 0 | float64 -}}
{{- $deadline := .Values.settings.deadline_s | default 30 | float64 -}}
{{- $least := addf $grace $deadline 10 | ceil | int -}}
{{- $given := .Values.terminationGracePeriodSeconds | int -}}
{{- if and $given (lt $given $least) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but settings.grace_s and settings.deadline_s need %d: requests would be cut off" $given $least) -}}
{{- end -}}
{{- $given | default $least -}}
{{- end -}}

{{- define "lrpserve.podSecurity" -}}
{{- $fixed := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $own := dict -}}
{{- range $name, $value := .Values.podSecurityContext -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $own $name $value -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $fixed $own) -}}
{{- end -}}

{{- define "lrpserve.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
privileged: false
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "lrpserve.probe" -}}
httpGet: { path: {{ .path }}, port: http, scheme: {{ .scheme }} }
{{ toYaml .times }}
{{- end -}}
