-- The health of a KeylimeAttestor for Argo CD.
local health = {status = "Progressing", message = "the operator has not reported on the last change yet"}
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local ready, applied, degraded = conditions.Ready, conditions.ConfigurationApplied, conditions.Degraded
if ready == nil or applied == nil or degraded == nil then
  return health
end
health.message = ready.reason .. ": " .. ready.message
if obj.metadata.deletionTimestamp ~= nil then
  health.status = "Progressing"
elseif ready.reason == "Suspended" then
  health.status = "Suspended"
elseif degraded.status == "True" then
  health.status = "Degraded"
  health.message = degraded.reason .. ": " .. degraded.message
elseif applied.status == "False" then
  health.status = "Degraded"
  health.message = applied.reason .. ": " .. applied.message
elseif ready.status == "True" then
  health.status = "Healthy"
end
return health
