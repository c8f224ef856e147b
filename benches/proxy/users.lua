-- A request of a user after the other; what came of it all as one line of JSON.
local requests, turn = {}, 0

function init(args)
    for user = 1, 1000 do
        requests[user] = wrk.format("GET", "/", { ["Host"] = "shop.example", ["Cookie"] = "user=u" .. user })
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary)
    local e = summary.errors
    io.write(string.format('{"requests":%d,"micros":%d,"errors":%d}\n', summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
