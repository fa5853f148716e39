-- Lay down prompts of a batch that is not there yet; they go by themselves where it never comes.
-- ARGV: id, ms that they stay, then indexes and prompts.
local prompts = P .. 'prompts:' .. ARGV[1]
for i = 3, #ARGV, 2 do call('HSET', prompts, ARGV[i], ARGV[i + 1]) end
call('PEXPIRE', prompts, ARGV[2])
