{{- define "keywright.selectorLabels" -}}
{app.kubernetes.io/name: keywright, app.kubernetes.io/instance: "{{ .Release.Name }}", app.kubernetes.io/component: operator}
{{- end }}

{{- define "keywright.labels" -}}
{app.kubernetes.io/name: keywright, app.kubernetes.io/instance: "{{ .Release.Name }}", app.kubernetes.io/component: operator, app.kubernetes.io/version: "{{ .Chart.AppVersion }}"}
{{- end }}

{{- define "keywright.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (printf "%s-operator" .Release.Name) }}
{{- end }}

{{- define "keywright.leaseName" -}}
{{ .Values.leaderElection.leaseName | default (printf "%s-operator" .Release.Name) }}
{{- end }}

{{- define "keywright.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* What the operator may do where it serves: in every namespace, or in each that is listed. */}}
{{- define "keywright.servedRules" -}}
- apiGroups: [keywright.dev]
  resources: [apikeys]
  verbs: [get, list, watch, patch, create, delete] # patch: finalizer; create, delete: a Project's default key
- apiGroups: [keywright.dev]
  resources: [projects]
  verbs: [get, list, watch]
- apiGroups: [keywright.dev]
  resources: [revocations]
  verbs: [get, list, watch, delete] # delete: records of keys that could not be valid any more
- apiGroups: [keywright.dev]
  resources: [apikeys/status, projects/status, revocations/status]
  verbs: [update]
# To be named as an owner that holds up deletion (OwnerReferencesPermissionEnforcement).
- apiGroups: [keywright.dev]
  resources: [apikeys/finalizers, projects/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, update, delete]
{{- if .Values.secrets.watch }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.rolloutRestart }}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{- define "keywright.account" -}}
- {kind: ServiceAccount, name: "{{ include "keywright.serviceAccountName" . }}", namespace: "{{ .Release.Namespace }}"}
{{- end }}

{{- define "keywright.verifier.selectorLabels" -}}
{app.kubernetes.io/name: keywright, app.kubernetes.io/instance: "{{ .Release.Name }}", app.kubernetes.io/component: verifier}
{{- end }}

{{- define "keywright.verifier.labels" -}}
{app.kubernetes.io/name: keywright, app.kubernetes.io/instance: "{{ .Release.Name }}", app.kubernetes.io/component: verifier, app.kubernetes.io/version: "{{ .Chart.AppVersion }}"}
{{- end }}

{{- define "keywright.verifier.serviceAccountName" -}}
{{ .Values.verifier.serviceAccount.name | default (printf "%s-verifier" .Release.Name) }}
{{- end }}

{{- /* What the verifier may do where it serves: read, and nothing else unless it is to take revocations. */}}
{{- define "keywright.verifier.servedRules" -}}
- apiGroups: [keywright.dev]
  resources: [apikeys, projects, revocations]
  verbs: [get, list, watch]
{{- end }}

{{- define "keywright.verifier.account" -}}
- {kind: ServiceAccount, name: "{{ include "keywright.verifier.serviceAccountName" . }}", namespace: "{{ .Release.Namespace }}"}
{{- end }}

{{- /* Where Pods run: `values` of the operator or the verifier, and the labels that choose its Pods. */}}
{{- define "keywright.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toJson . }}
{{- end }}
topologySpreadConstraints:
  {{- with .values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  {{- range tuple "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ $.selector }}
  {{- end }}
  {{- end }}
{{- end }}
