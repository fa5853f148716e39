-- How batches stand. ARGV: owner ('' for any), then ids. Returns a row for each: its fields, or {} where it is not there.
local rows = {}
for i = 2, #ARGV do
  local b = load(ARGV[i])
  local row = {}
  if owned(b, ARGV[1]) then
    for k, name in ipairs(FIELDS) do row[k] = type(b[name]) == 'number' and exact(b[name]) or b[name] end
  end
  rows[i - 1] = row
end
return rows
