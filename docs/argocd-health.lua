-- Argo CD's health of a PruningJob. It goes into the ConfigMap argocd-cm, under
-- resource.customizations.health.secateur.dev_PruningJob; docs/gitops.md shows how.
-- A new job, and a changed spec that the operator has not seen yet, are Progressing, never Healthy.
local health = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
if status.message ~= nil and status.message ~= "" then
  health.message = status.message
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then
    if condition.type == "Ready" then
      health.status = "Healthy"
    elseif condition.type == "Stalled" then
      health.status = "Degraded"
    elseif condition.type == "Suspended" then
      health.status = "Suspended"
    end
  end
end
return health
