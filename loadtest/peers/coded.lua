-- The POST of signed.lua with an AppCode in place of its signature: made anew each time as well, so that the two differ in
-- what the proxy has to do, and not in how soon wrk sends the next.
local body = string.rep("x", 2048)
local turn = 0

function request()
    turn = turn + 1
    return wrk.format("POST", nil, {
        ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/octet-stream",
        ["X-Number"] = turn, ["X-Apig-AppCode"] = wrk.headers["X-Apig-AppCode"],
    }, body)
end
