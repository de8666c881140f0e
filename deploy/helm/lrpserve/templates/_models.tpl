{{- /* Where models come from: environment variables, the init container, volumes and mounts. */ -}}

{{- define "lrpserve.models.check" -}}
{{- $models := .Values.models -}}
{{- if and (eq $models.from "volume") (not $models.volume) -}}
{{- fail "models.from is `volume`: set models.volume to a volume, such as persistentVolumeClaim: {claimName: models}" -}}
{{- else if and (eq $models.from "initContainer") (not $models.initContainer.image) -}}
{{- fail "models.from is `initContainer`: set models.initContainer.image, which writes bundles to /models" -}}
{{- else if and (eq $models.from "storage") (not $models.storage.uri) -}}
{{- fail "models.from is `storage`: set models.storage.uri, such as s3://bucket/my-bundle" -}}
{{- else if and (eq $models.from "storage") $models.default -}}
{{- fail "models.from is `storage`, which serves one bundle: leave models.default empty, and name the model by models.name" -}}
{{- end -}}
{{- end -}}

{{- define "lrpserve.models.folder" -}}
{{- ternary "/mnt/models" "/models" (eq .Values.models.from "storage") -}}
{{- end -}}

{{- define "lrpserve.models.env" -}}
{{- $models := .Values.models -}}
{{- if eq $models.from "storage" }}
- { name: LRPSERVE_MODEL, value: /mnt/models }
{{- else if ne $models.from "image" }}
- { name: LRPSERVE_MODELS, value: /models }
{{- end }}
{{- with $models.default }}
- { name: LRPSERVE_MODEL, value: {{ quote . }} }
{{- end }}
{{- with $models.name }}
- { name: LRPSERVE_MODEL_NAME, value: {{ quote . }} }
{{- end }}
{{- end -}}

{{- define "lrpserve.models.initContainer" -}}
{{- $models := .Values.models -}}
{{- $isStorage := eq $models.from "storage" -}}
{{- $init := ternary $models.storage $models.initContainer $isStorage -}}
- name: models
  image: {{ $init.image }}
  {{- if $isStorage }}
  args: [{{ quote $init.uri }}, /mnt/models]
  {{- else }}
  {{- with $init.command }}
  command: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $init.args }}
  args: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  env:
    - { name: HOME, value: /tmp }
    {{- with $init.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  resources: {{- toYaml $models.resources | nindent 4 }}
  securityContext: {{- include "lrpserve.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - { name: models, mountPath: {{ include "lrpserve.models.folder" . }} }
    - { name: tmp, mountPath: /tmp }
{{- end -}}

{{- define "lrpserve.models.volume" -}}
- name: models
  {{- if eq .Values.models.from "volume" }}
  {{- toYaml .Values.models.volume | nindent 2 }}
  {{- else }}
  emptyDir: { sizeLimit: {{ .Values.models.sizeLimit }} }
  {{- end }}
{{- end -}}
