-- What has not begun never runs. ARGV: id, owner ('' for any), keep in ms.
-- Returns 1, or 0 (no such batch), 2 (it was cancelled before), 3 (it has ended otherwise).
local id, owner, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
local b = load(id)
if not owned(b, owner) then return 0 end
if b.can == 1 then return 2 end
if b.en > 0 then return 3 end
local never = waiting(b)
put(b, 'can', 1)
add(b, 'dead', never)
call('DECRBY', P .. 'pending', never)
call('DEL', P .. 'prompts:' .. id, P .. 'back:' .. id, P .. 'later:' .. id, P .. 'tries:' .. id)
file(b, keep)
return 1
