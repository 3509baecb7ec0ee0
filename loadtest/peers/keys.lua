-- Every AppCode of the file in turn, so that no key stays in the processor's caches.
local requests, turn = {}, 0

function init(args)
    for code in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format(nil, nil, {["Host"] = wrk.headers["Host"], ["X-Apig-AppCode"] = code})
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end
