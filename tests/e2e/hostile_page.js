// What a page can try, to read from a server or to change something there.
//
// `reads` are URLs, `writes` are {method, url, body}. Returns all that the page has read, as
// {way, url, status, text}.
async ({ reads, writes }) => {
  const login = { Authorization: "Basic " + btoa("admin:changeme") };
  const json = { "Content-Type": "application/json" };
  const withLogin = (url) => url.replace("//", "//admin:changeme@");
  const found = [];
  const note = (way, url, status, text) => {
    if (text) found.push({ way, url, status, text: String(text).slice(0, 500) });
  };
  // What fires no event, such as a download in a frame, is given up.
  const ending = (start) =>
    new Promise((done) => {
      setTimeout(done, 30_000);
      start(done);
    });

  const fetched = async (way, url, init) => {
    try {
      const response = await fetch(url, init);
      note(way, url, response.status, await response.text());
    } catch {}
  };
  const requested = (way, method, url, body, headers) =>
    ending((done) => {
      const request = new XMLHttpRequest();
      request.onloadend = () => {
        note(way, url, request.status, request.responseText);
        done();
      };
      request.open(method, url);
      request.withCredentials = true;
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.send(body);
    });
  const shown = (way, url, tag, attributes, look) =>
    ending((done) => {
      const element = Object.assign(document.createElement(tag), attributes);
      const end = (event) => {
        try {
          if (event.type === "load") note(way, url, 200, look(element));
        } catch {}
        element.remove();
        done();
      };
      element.onload = element.onerror = end;
      document.body.append(element);
    });
  const connected = (way, url, open) =>
    ending((done) => {
      const connection = open();
      connection.onopen = connection.onmessage = (event) => note(way, url, 200, event.type);
      connection.onerror = () => {
        connection.close();
        done();
      };
    });
  // As text/plain, a form's NAME=VALUE is JSON if the name is all but its end.
  const submitted = (way, url, enctype, body) =>
    ending((done) => {
      const frame = Object.assign(document.createElement("iframe"), { name: `${enctype} ${url}` });
      const form = document.createElement("form");
      Object.assign(form, { action: url, method: "POST", enctype, target: frame.name });
      const name = body.replace(/}$/, ', "x": "');
      form.append(Object.assign(document.createElement("input"), { name, value: '"}' }));
      document.body.append(frame, form);
      frame.onload = () => {
        try {
          note(way, url, 200, text(frame));
        } catch {}
        frame.remove();
        done();
      };
      form.submit();
    });
  const text = (frame) => frame.contentDocument.body.innerText;
  const width = (image) => image.naturalWidth;
  const rules = (link) => link.sheet.cssRules.length;

  const read = async (url) => {
    await fetched("fetch", url, {});
    await fetched("fetch with cookies", url, { credentials: "include" });
    await fetched("fetch without CORS", url, { credentials: "include", mode: "no-cors" });
    await fetched("fetch with a login", url, { headers: login });
    await fetched("fetch with a login in the URL", withLogin(url), {});
    await requested("XMLHttpRequest", "GET", url, null, {});
    await shown("script", url, "script", { src: url }, () => "");
    await shown("script with CORS", url, "script", { src: url, crossOrigin: "" }, () => "ran");
    await shown("image", url, "img", { src: url }, width);
    await shown("image with a login", url, "img", { src: withLogin(url) }, width);
    await shown("style sheet", url, "link", { rel: "stylesheet", href: url }, rules);
    await shown("frame", url, "iframe", { src: url }, text);
    // This one is blocked without an event.
    document.body.append(Object.assign(document.createElement("iframe"), { src: withLogin(url) }));
    await import(url).then((module) => note("module", url, 200, "ran"), () => {});
    await connected("EventSource", url, () => new EventSource(url, { withCredentials: true }));
    await connected("WebSocket", url, () => new WebSocket(url.replace("http", "ws")));
  };
  const write = async ({ method, url, body }) => {
    const simple = { method, body, credentials: "include" };
    await fetched("JSON", url, { ...simple, headers: json });
    await fetched("JSON with a login", url, { ...simple, headers: { ...json, ...login } });
    await requested("JSON by XMLHttpRequest", method, url, body, json);
    await fetched("text", url, simple);
    if (method !== "POST") return;
    await fetched("text without CORS", url, { ...simple, mode: "no-cors" });
    await fetched("text that outlives the page", url, { ...simple, mode: "no-cors", keepalive: true });
    navigator.sendBeacon(url, body);
    navigator.sendBeacon(url, new Blob([body], { type: "application/json" }));
    for (const kind of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
      await submitted(`form as ${kind}`, url, kind, body);
  };
  await Promise.all([...reads.map(read), ...writes.map(write)]);
  return found;
};
