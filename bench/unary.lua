-- A chat without streaming, for wrk. Without a request function wrk builds the request only once.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model":"bench","stream":false,' ..
  '"messages":[{"role":"user","content":"Why is the sky blue?"}]}'
