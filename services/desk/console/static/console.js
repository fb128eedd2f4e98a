// Keeps clocks and counts alive. Every page works without it.
(function () {
  "use strict";
  var body = document.body;
  // The server's clock leads: the difference to ours is added to every reading.
  var drift = Date.parse(body.dataset.now || "") - Date.now() || 0;
  function now() { return Date.now() + drift; }

  function span(ms) {
    var s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (d > 0) return d + " d " + (h % 24) + " h";
    if (h > 0) return h + " h " + (m % 60) + " min";
    if (m > 0) return m + " min " + (s % 60) + " s";
    return s + " s";
  }
  var status = document.getElementById("live-status");
  function say(text) { if (status) status.textContent = text; }

  // Countdowns: silent, with spoken thresholds at 24 h, 4 h, 1 h and 15 min.
  var clocks = [].slice.call(document.querySelectorAll("[data-due]")).map(function (el) {
    return { el: el, due: Date.parse(el.dataset.due), name: el.dataset.name || "", last: Date.parse(el.dataset.due) - now() };
  });
  var marks = [24 * 3600e3, 4 * 3600e3, 3600e3, 15 * 60e3, 0];
  function tick() {
    clocks.forEach(function (c) {
      var left = c.due - now();
      c.el.textContent = left < 0 ? "late by " + span(-left) : span(left) + " left";
      marks.forEach(function (m) {
        if (c.last > m && left <= m) say(c.name + (m === 0 ? " is now late." : ": " + span(m) + " left."));
      });
      c.last = left;
    });
  }
  if (clocks.length) { tick(); setInterval(tick, 1000); }

  // A table that is wider than its frame can be scrolled by keyboard.
  function frames() {
    [].forEach.call(document.querySelectorAll(".scroll"), function (el) {
      var wide = el.scrollWidth > el.clientWidth, caption = el.querySelector("caption");
      if (!wide) { el.removeAttribute("tabindex"); el.removeAttribute("role"); el.removeAttribute("aria-label"); return; }
      el.setAttribute("tabindex", "0");
      el.setAttribute("role", "group");
      el.setAttribute("aria-label", caption ? caption.textContent : "Table");
    });
  }
  frames();
  window.addEventListener("resize", frames);

  // The text editor counts the parts of an SMS and the characters as they are typed.
  var counted = document.querySelector("textarea[data-count]");
  if (counted) {
    var out = document.getElementById(counted.dataset.count);
    var show = function () { if (out) out.textContent = counted.value.length + " characters before merging."; };
    counted.addEventListener("input", show);
    show();
  }

  // «Select all» exists only where script does.
  var all = document.getElementById("select-all");
  if (all) {
    all.hidden = false;
    all.addEventListener("click", function () {
      var boxes = [].slice.call(document.querySelectorAll("input[name=alerts]"));
      var on = boxes.some(function (b) { return !b.checked; });
      boxes.forEach(function (b) { b.checked = on; });
    });
  }

  // Live updates.
  var address = body.dataset.live, bar = document.getElementById("live");
  if (!address || !bar || !window.EventSource) return;
  bar.hidden = false;
  var pause = document.getElementById("live-pause"), source = null, waiting = 0, lostAt = null;

  function clock(t) { return new Date(t).toISOString().slice(11, 16) + " UTC"; }
  function changed(e) {
    waiting++;
    var link = document.getElementById("live-reload");
    if (link) { link.hidden = false; link.textContent = "Show " + waiting + (waiting === 1 ? " change" : " changes"); }
    if (e && e.summary) say(e.summary);
  }
  var tenth = -1, strange = {};
  function progressed(p) {
    Object.keys(p.numbers || {}).forEach(function (k) {
      var el = document.querySelector('[data-number="' + k + '"]');
      if (el) el.textContent = p.numbers[k];
    });
    (p.bars || []).forEach(function (b) {
      var rect = document.getElementById(b.id);
      if (rect) { rect.setAttribute("x", b.x); rect.setAttribute("width", b.w); }
      else if (b.w > 0 && !strange[b.id]) { strange[b.id] = true; changed(null); } // a state that this page has no row for
    });
    if (p.tenth !== undefined && p.tenth !== tenth) {
      if (tenth >= 0) say(p.words);
      tenth = p.tenth;
    }
    if (p.ended && body.dataset.ended !== "yes") changed({ summary: p.words });
    body.dataset.ended = p.ended ? "yes" : "no";
  }
  function open() {
    source = new EventSource(address);
    source.addEventListener("time", function (e) {
      drift = Date.parse(e.data) - Date.now();
      if (lostAt !== null) { lostAt = null; say("Live updates are back."); }
    });
    source.addEventListener("change", function (e) { changed(JSON.parse(e.data)); });
    source.addEventListener("progress", function (e) { progressed(JSON.parse(e.data)); });
    source.onerror = function () {
      if (lostAt === null) { lostAt = now(); say("Live updates lost at " + clock(lostAt) + ", reconnecting."); }
    };
  }
  function close() { if (source) source.close(); source = null; }
  if (pause) pause.addEventListener("click", function () {
    if (source) { close(); pause.textContent = "Resume live updates"; say("Live updates paused."); }
    else { open(); pause.textContent = "Pause live updates"; say("Live updates resumed."); }
  });
  window.addEventListener("pagehide", close);
  open();
})();
