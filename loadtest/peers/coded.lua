-- The POST of signed.lua with an AppCode in place of its signature: made anew each time as well, so that the two differ in
-- what the proxy has to do, and not in how soon wrk sends the next.
local body = string.rep("x", 2048)
local turn = 0
local before, between, after

function init()
    local made = wrk.format("POST", nil, {
        ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/octet-stream", ["X-Varies"] = "",
    }, body)
    local from, to = made:find("X-Varies: \r\n", 1, true)
    before, between, after = made:sub(1, from - 1) .. "X-Number: ", "\r\nX-Apig-AppCode: ", made:sub(to - 1)
end

function request()
    turn = turn + 1
    return before .. turn .. between .. wrk.headers["X-Apig-AppCode"] .. after
end
