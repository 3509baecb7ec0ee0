-- POST of 2 KB, signed beforehand: the first line of the file is the date of all, each other one a signature. The number in
-- X-Number is signed too, so that no two requests are the same. After the last signature they come again, and are refused.
-- All that is the same in each is put together once: wrk has to be quicker than what it measures.
local body = string.rep("x", 2048)
local signatures, turn = {}, 0
local before, between, after

function init(args)
    local lines = io.lines(args[1])
    local made = wrk.format("POST", nil, {
        ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/octet-stream",
        ["X-Sdk-Date"] = lines(), ["X-Varies"] = "",
    }, body)
    local from, to = made:find("X-Varies: \r\n", 1, true)
    before, between, after = made:sub(1, from - 1) .. "X-Number: ", "\r\nAuthorization: ", made:sub(to - 1)
    for line in lines do signatures[#signatures + 1] = line end
end

function request()
    turn = turn % #signatures + 1
    return before .. turn .. between .. signatures[turn] .. after
end
