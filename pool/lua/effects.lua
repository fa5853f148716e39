-- What an outcome does to an account's fields. Shared by release.lua and account.lua.
local function eject(a, base, cap)
  if a.st ~= 'active' and a.st ~= 'cooling' then return end
  call('ZREMRANGEBYSCORE', P .. 'ejected', '-inf', NOW)
  local counts = call('HMGET', P .. 'counts', 'active', 'cooling')
  local pool = (tonumber(counts[1]) or 0) + (tonumber(counts[2]) or 0)
  local ms = math.min(cap, base * (a.ej + 1))
  -- Never more than half of the pool: beyond that the account is only asked last, for as long.
  if (call('ZCARD', P .. 'ejected') + 1) * 2 > pool then
    put(a, 'sh', 1)
    call('ZADD', P .. 'shunned', NOW + ms, a.id)
    return
  end
  put(a, 'ej', a.ej + 1)
  put(a, 'eu', NOW + ms)
  cool(a, ms, 'unstable')
  call('ZADD', P .. 'ejected', NOW + ms, a.id)
end

local function cool_lane(a, lane, ms, reason)
  local all = lane_cooldowns(a) or {}
  if not all[lane] or all[lane][1] < NOW + ms then
    all[lane] = { NOW + ms, reason }
    put(a, 'lc', cjson.encode(all))
  end
end

-- What a session could not serve says nothing about the next one.
local function forget_missing_models(a)
  local all = lane_cooldowns(a)
  if not all then return end
  local kept = {}
  for lane, entry in pairs(all) do
    if entry[2] ~= 'model_unavailable' then kept[lane] = entry end
  end
  put(a, 'lc', next(kept) and cjson.encode(kept) or '')
end

local function apply(a, effect, lane, reason, ms, current)
  if effect == 'ok' then
    put(a, 'pv', NOW)
    if a.cf ~= 0 then put(a, 'cf', 0) end
    if a.tl ~= 0 then put(a, 'tl', 0) end
    if a.ho ~= 0 then put(a, 'ho', 0) end
    if a.sh ~= 0 then forgive(a) end
    if a.ej ~= 0 and a.eu + ms < NOW then put(a, 'ej', 0) end
  elseif effect == 'throttled' then
    local base, cap, factor = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
    -- Calls that run side by side and hit the same wall are one event.
    if not (a.cu > NOW and a.cr == 'throttled') or a.tl == 0 then put(a, 'tl', math.min(a.tl + 1, 5)) end
    local wait = math.ceil(base * 2 ^ (a.tl - 1) * factor)
    cool(a, math.min(cap, math.max(wait, ms)), 'throttled')
  elseif effect == 'lane' then
    if reason == 'model_unavailable' and not current then return end
    cool_lane(a, lane, ms, reason)
    -- `default` and the model that stands behind it are the same to the web app.
    if a.dl ~= '' and lane == a.dl then cool_lane(a, 'default', ms, reason) end
    if a.dl ~= '' and lane == 'default' then cool_lane(a, a.dl, ms, reason) end
  elseif effect == 'egress' then
    for _, other in ipairs(call('SMEMBERS', P .. 'egress:' .. a.eg)) do
      if other ~= a.id then
        local b = load(other)
        if b then
          cool(b, ms, reason)
          place(b)
        end
      end
    end
    cool(a, ms, reason)
  elseif effect == 'unstable' then
    if not (a.cu > NOW and a.cr == 'unstable') then
      put(a, 'cf', a.cf + 1)
      if a.cf >= tonumber(ARGV[6]) then eject(a, tonumber(ARGV[7]), tonumber(ARGV[8])) end
    end
  elseif effect == 'suspect' then
    if current then cool(a, ms, reason) end
  elseif effect == 'hard' then
    if current and a.q == '' then
      put(a, 'q', reason)
      put(a, 'qs', NOW)
      put(a, 'pf', 0)
    end
  end
end
