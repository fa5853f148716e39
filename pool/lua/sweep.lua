-- Count anew what `place` counts step by step, and file every account where it belongs by now. No arguments.
-- Returns 1 where a number was off.
local fresh = { capacity = 0 }
for _, id in ipairs(call('ZRANGE', P .. 'accounts', 0, -1)) do
  local a = load(id)
  if a then
    place(a)
    fresh[a.st] = (fresh[a.st] or 0) + 1
    fresh.capacity = fresh.capacity + a.cp
  end
end
local off = 0
local flat = call('HGETALL', P .. 'counts')
for i = 1, #flat, 2 do
  local right = fresh[flat[i]] or 0
  if tonumber(flat[i + 1]) ~= right then
    off = 1
    call('HSET', P .. 'counts', flat[i], right)
  end
  fresh[flat[i]] = nil
end
for name, right in pairs(fresh) do
  if right ~= 0 then
    off = 1
    call('HSET', P .. 'counts', name, right)
  end
end
return off
