-- POST of 2 KB, signed beforehand: the first line of the file is the date of all, each other one a signature. The number in
-- X-Number is signed too, so that no two requests are the same. After the last signature they come again, and are refused.
local body = string.rep("x", 2048)
local date, signatures, turn = "", {}, 0

function init(args)
    for line in io.lines(args[1]) do
        if date == "" then date = line else signatures[#signatures + 1] = line end
    end
end

function request()
    turn = turn % #signatures + 1
    return wrk.format("POST", nil, {
        ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/octet-stream",
        ["X-Sdk-Date"] = date, ["X-Number"] = turn, ["Authorization"] = signatures[turn],
    }, body)
end
