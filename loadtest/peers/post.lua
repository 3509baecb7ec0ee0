-- POST of 2 KB. Nothing runs per request: wrk makes the request once.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", 2048)
