/* The viewer of book/viewer.md. Its data are a script (viba_lib/book/viewer.py), since a page that is
   opened from a file may not fetch. Data become text and attributes only, never HTML. */
(function () {
  "use strict";

  var SVG = "http://www.w3.org/2000/svg";
  var STEP = 900; // milliseconds of a frame while playing
  var MISSING =
    "The viewer's images are not here. They are made when the whole book is built: run " +
    "“make book” and open this page again. Until then, the chapter on relevance videos shows maps as videos.";
  var FILE = /^[\w.-]+\.webp$/;
  var COLOUR = /^#[0-9a-f]{6}$/i;
  var CHART = { width: 320, height: 140, left: 40, right: 10, top: 24, bottom: 26 };

  /* ---- making elements ---- */

  function element(name, attributes, children) {
    return fill(document.createElement(name), attributes, children);
  }

  function drawing(name, attributes, children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }

  function fill(node, attributes, children) {
    Object.keys(attributes || {}).forEach(function (key) {
      node.setAttribute(key, attributes[key]);
    });
    (children || []).forEach(function (child) {
      node.append(child); // a string becomes text
    });
    return node;
  }

  function labelled(id, text, node) {
    node.id = id;
    return element("div", { class: "vv-field" }, [element("label", { for: id }, [text]), node]);
  }

  function button(text, action) {
    var node = element("button", { type: "button", class: "vv-button" }, [text]);
    node.addEventListener("click", action);
    return node;
  }

  /* ---- words ---- */

  function isNumber(value) {
    return typeof value === "number" && isFinite(value);
  }

  function percent(value) {
    var share = 100 * value;
    return (share > 0 && share < 1 ? "less than 1" : String(Math.round(share))) + " %";
  }

  function bits(value) {
    return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  }

  function short(value) {
    return value.toLocaleString("en", { notation: "compact" });
  }

  /* The least of 1, 2, 3, 5, 8 and 10 times a power of ten that is not below a value. */
  function roundedUp(value) {
    var power = Math.pow(10, Math.floor(Math.log10(value > 0 ? value : 1)));
    return power * [1, 2, 3, 5, 8, 10].filter(function (step) { return step * power >= value; })[0];
  }

  function shareSaid(now) {
    if (!isNumber(now.area)) {
      return "";
    }
    if (!isNumber(now.inside)) {
      return "the map is empty";
    }
    return percent(now.inside) + " inside the planted region (" + percent(now.area) + " by chance)";
  }

  function sentence(now) {
    var parts = ["p(fake) " + now.p.toFixed(2)];
    if (isNumber(now.bits)) {
      parts.push(bits(now.bits) + " bits");
    }
    parts.push(shareSaid(now));
    if (now.empty && !isNumber(now.area)) {
      parts.push("the map is empty");
    }
    return (
      "Frame " + (now.at + 1) + " of " + now.count + ", " + now.seconds.toFixed(2) + " s: " +
      parts.filter(Boolean).join(", ") + "."
    );
  }

  /* ---- the viewer ---- */

  function Viewer(root, data, base) {
    this.root = root;
    this.data = data;
    this.base = base;
    this.timer = null;
    this.choice = { clip: "", detector: "", method: "", layer: "", frame: 0 };
    this.build();
    this.read();
    this.update();
    window.addEventListener("hashchange", this.onHash.bind(this));
    document.addEventListener("visibilitychange", this.pause.bind(this));
  }

  Viewer.prototype.build = function () {
    var status = element("p", { class: "vv-status", id: "vv-status", role: "status", "aria-live": "polite" });
    this.status = status;
    this.about = element("p", { class: "vv-about" });
    this.banner = element("p", { class: "vv-about" }, [
      "Made with the profile " + this.data.profile + " (" + this.data.note + "), seed " + this.data.seed + ".",
    ]);
    this.root.replaceChildren(
      this.buildChoices(), this.buildStage(), status, this.buildTransport(), this.buildTable(),
      this.about, this.banner
    );
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Viewer of relevance over time");
    this.root.addEventListener("keydown", this.onKey.bind(this));
  };

  Viewer.prototype.buildChoices = function () {
    var self = this;
    this.selects = {};
    var fields = [["clip", "Clip"], ["detector", "Detector"], ["method", "Method"], ["layer", "Injection layer"]];
    return element("div", { class: "vv-choices" }, fields.map(function (field) {
      var select = element("select", { class: "vv-select" });
      select.addEventListener("change", function () {
        self.pause();
        self.choice[field[0]] = select.value;
        self.update(true);
      });
      self.selects[field[0]] = select;
      return labelled("vv-" + field[0], field[1], select);
    }));
  };

  Viewer.prototype.buildStage = function () {
    this.panels = {
      original: panel("Original"), input: panel("What the detector sees"),
      relevance: panel("Relevance"), truth: panel("Truth"),
    };
    this.panels.relevance.figure.append(this.buildScale());
    this.charts = { p: chart("p", "p(fake)"), bits: chart("bits", "bits") };
    var over = element("div", { class: "vv-over-time" }, [
      element("p", { class: "vv-caption" }, ["Prediction over time"]),
      element("div", { class: "vv-charts" }, [this.charts.p.node, this.charts.bits.node]),
    ]);
    var self = this;
    [this.charts.p.node, this.charts.bits.node].forEach(function (node) {
      node.addEventListener("click", function (event) {
        self.pause();
        self.show(nearest(event, node, self.current().clip.seconds));
      });
    });
    var names = ["original", "input", "relevance", "truth"];
    this.stage = element(
      "div",
      { class: "vv-stage", tabindex: "0", role: "group", "aria-describedby": "vv-status",
        "aria-label": "Frames of the clip: arrow keys step, space plays and pauses, Home and End jump" },
      names.map(function (name) { return self.panels[name].figure; }).concat(over)
    );
    return this.stage;
  };

  Viewer.prototype.buildScale = function () {
    var stops = this.data.colours.filter(function (c) { return COLOUR.test(c); });
    var bar = element("span", { class: "vv-bar", "aria-hidden": "true" });
    bar.style.background = "linear-gradient(to right, " + stops.join(", ") + ")";
    this.least = element("span");
    this.most = element("span");
    return element("div", { class: "vv-scale" }, [this.least, bar, this.most]);
  };

  Viewer.prototype.buildTransport = function () {
    var self = this;
    var go = function (change) {
      return function () { self.pause(); self.show(change(self.choice.frame)); };
    };
    this.play = button("Play", this.toggle.bind(this));
    this.slider = element("input", { type: "range", min: "0", step: "1", value: "0", class: "vv-slider" });
    this.slider.addEventListener("input", function () { self.pause(); self.show(Number(self.slider.value)); });
    this.outline = element("input", { type: "checkbox", id: "vv-outline" });
    this.outline.addEventListener("change", function () { self.draw(); });
    this.outlineField = element("span", { class: "vv-check" }, [
      this.outline, element("label", { for: "vv-outline" }, ["Outline the planted region on the map"]),
    ]);
    return element("div", { class: "vv-transport" }, [
      element("div", { class: "vv-buttons" }, [
        button("First", go(function () { return 0; })), button("Back", go(function (n) { return n - 1; })),
        this.play, button("Next", go(function (n) { return n + 1; })), button("Last", go(function () { return Infinity; })),
      ]),
      labelled("vv-frame", "Frame", this.slider), this.outlineField,
    ]);
  };

  Viewer.prototype.buildTable = function () {
    this.caption = element("caption");
    this.body = element("tbody");
    var heads = ["Frame", "Time (s)", "p(fake)", "Bits", "Inside the truth", "By chance"];
    var head = element("tr", {}, heads.map(function (text) { return element("th", { scope: "col" }, [text]); }));
    var table = element("table", { class: "vv-table" }, [this.caption, element("thead", {}, [head]), this.body]);
    var room = element("div", { class: "vv-room", tabindex: "0", role: "region", "aria-label": "Numbers of all frames" }, [table]);
    return element("details", { class: "vv-details" }, [element("summary", {}, ["Numbers of all frames as a table"]), room]);
  };

  /* ---- the choice, and what it leads to ---- */

  function byId(list, id) {
    return list.filter(function (item) { return item.id === id; })[0];
  }

  Viewer.prototype.settle = function () {
    var choice = this.choice;
    // A fake first: of a real clip there is no truth to compare with.
    var fakes = this.data.clips.filter(function (c) { return c.fake; });
    var clip = byId(this.data.clips, choice.clip) || fakes[0] || this.data.clips[0];
    choice.clip = clip.id;
    if (!Object.hasOwn(clip.detectors, choice.detector)) {
      choice.detector = this.judge(clip);
    }
    var series = clip.detectors[choice.detector].series;
    var same = series.filter(function (s) { return s.method === choice.method; });
    same = same.length ? same : series.filter(function (s) { return s.method === series[0].method; });
    var chosen = same.filter(function (s) { return s.layer === choice.layer; })[0] || same[0];
    choice.method = chosen.method;
    choice.layer = chosen.layer;
    choice.frame = Math.max(0, Math.min(clip.frames.length - 1, choice.frame || 0));
    return { clip: clip, found: clip.detectors[choice.detector], series: chosen, all: series };
  };

  /* The detector that is made for a clip. */
  Viewer.prototype.judge = function (clip) {
    var names = this.data.detectors.map(function (d) { return d.id; });
    return names.filter(function (n) { return clip.detectors[n].in_scope; })[0] || names[0];
  };

  Viewer.prototype.current = function () {
    var now = this.settle(), at = this.choice.frame, series = now.series, found = now.found;
    return {
      clip: now.clip, found: found, series: series, all: now.all, at: at, count: now.clip.frames.length,
      seconds: now.clip.seconds[at], p: found.p_fake[at], area: found.area[at], inside: series.inside[at],
      bits: series.bits ? series.bits[at] : null, empty: series.top <= 1e-9,
    };
  };

  Viewer.prototype.update = function (said) {
    var now = this.current();
    this.offer(now);
    this.preload(now);
    this.table(now);
    this.describe(now);
    this.draw();
    if (said) {
      this.say(this.heading(now) + " " + sentence(now));
    }
  };

  Viewer.prototype.heading = function (now) {
    var detector = byId(this.data.detectors, this.choice.detector);
    var method = byId(this.data.methods, this.choice.method);
    return now.clip.title + "; " + detector.name + ", " + method.name + " at " + this.choice.layer + ".";
  };

  Viewer.prototype.offer = function (now) {
    var choice = this.choice, detector = byId(this.data.detectors, choice.detector);
    var has = function (test) { return now.all.some(test); };
    options(this.selects.clip, this.data.clips, choice.clip, function (c) { return [c.title, true]; });
    grouped(this.selects.clip, this.data.clips);
    options(this.selects.detector, this.data.detectors, choice.detector, function (d) {
      return [d.name + (now.clip.detectors[d.id].in_scope ? "" : ", out of scope"), true];
    });
    options(this.selects.method, this.data.methods, choice.method, function (m) {
      return [m.name, has(function (s) { return s.method === m.id; })];
    });
    options(this.selects.layer, detector.layers, choice.layer, function (l) {
      var there = has(function (s) { return s.method === choice.method && s.layer === l.id; });
      return [l.id + (l.paper ? " (the paper’s)" : ""), there];
    });
  };

  function options(select, items, chosen, words) {
    select.replaceChildren.apply(select, items.map(function (item) {
      var said = words(item);
      var option = element("option", { value: item.id }, [said[0]]);
      option.disabled = !said[1];
      option.selected = item.id === chosen;
      return option;
    }));
  }

  /* Neighbours in a list that have the same heading stand under it. */
  function grouped(select, items) {
    Array.prototype.slice.call(select.children).forEach(function (option, n) {
      var last = select.lastElementChild, label = items[n].group;
      if (last.tagName !== "OPTGROUP" || last.label !== label) {
        last = element("optgroup", { label: label });
        select.append(last);
      }
      last.append(option);
    });
  }

  Viewer.prototype.describe = function (now) {
    var method = byId(this.data.methods, this.choice.method);
    var words = [now.clip.group + ", clip " + now.clip.id + ".", method.name + ". " + method.about];
    if (!now.found.in_scope) {
      words.push("This detector is not made for this kind of fake and is not judged on it.");
    }
    this.about.textContent = words.join(" ");
    this.least.textContent = "0";
    this.most.textContent = method.unit ? bits(now.series.top) + " " + method.unit : "strongest (no unit)";
    this.outlineField.hidden = !now.clip.truth;
    this.slider.max = String(now.count - 1);
  };

  /* Pictures of the chosen clip alone are fetched, so that playing does not stop for them. */
  Viewer.prototype.preload = function (now) {
    var self = this;
    this.held = [now.clip.originals, now.found.inputs, now.series.pictures, now.clip.truth]
      .filter(Boolean)
      .reduce(function (a, b) { return a.concat(b); })
      .map(function (name) {
        var image = new Image();
        image.src = self.path(name);
        return image;
      });
  };

  Viewer.prototype.path = function (name) {
    if (!FILE.test(name)) {
      throw new Error("not the name of a picture");
    }
    return this.base + name;
  };

  /* ---- drawing ---- */

  Viewer.prototype.draw = function () {
    var now = this.current(), panels = this.panels, of = now.at + 1 + " of " + now.count;
    var detector = byId(this.data.detectors, this.choice.detector);
    var method = byId(this.data.methods, this.choice.method);
    var truth = now.clip.truth;
    picture(panels.original, this.path(now.clip.originals[now.at]), "Original frame " + of);
    panels.input.figure.hidden = !now.found.inputs;
    if (now.found.inputs) {
      picture(panels.input, this.path(now.found.inputs[now.at]), "The detector’s " + detector.input + ", frame " + of);
    }
    picture(panels.relevance, this.path(now.series.pictures[now.at]),
      "Relevance by " + method.name + " over the " + detector.input + ", frame " + of);
    layer(panels.relevance, truth && this.outline.checked ? this.path(truth[now.at]) : "");
    if (truth) {
      picture(panels.truth, this.path(now.clip.originals[now.at]), "Original frame " + of + " with the planted region outlined");
    } else {
      note(panels.truth, now.clip.fake ? "No mask is known for this fake." : "Real: nothing was planted.");
    }
    layer(panels.truth, truth ? this.path(truth[now.at]) : "");
    this.drawNumbers(now);
    this.write();
  };

  Viewer.prototype.drawNumbers = function (now) {
    var text = sentence(now);
    plot(this.charts.p, now.clip.seconds, now.found.p_fake, 1, now.at, "Probability of fake over time", 0.5);
    this.charts.bits.node.toggleAttribute("hidden", !now.series.bits);
    if (now.series.bits) {
      plot(this.charts.bits, now.clip.seconds, now.series.bits, roundedUp(Math.max.apply(null, now.series.bits)),
        now.at, "Bits over time", null);
    }
    this.slider.value = String(now.at);
    this.slider.setAttribute("aria-valuetext", "frame " + (now.at + 1) + " of " + now.count);
    Array.prototype.forEach.call(this.body.rows, function (row, number) {
      if (number === now.at) {
        row.setAttribute("aria-current", "true");
      } else {
        row.removeAttribute("aria-current");
      }
    });
    this.say(text);
  };

  Viewer.prototype.say = function (text) {
    if (this.status.textContent !== text) {
      this.status.textContent = text;
    }
  };

  Viewer.prototype.table = function (now) {
    this.caption.textContent = this.heading(now);
    var rows = now.clip.frames.map(function (_, n) {
      var cells = [
        now.clip.seconds[n].toFixed(2), now.found.p_fake[n].toFixed(2),
        now.series.bits ? bits(now.series.bits[n]) : "no unit",
        isNumber(now.series.inside[n]) ? percent(now.series.inside[n]) : "–",
        isNumber(now.found.area[n]) ? percent(now.found.area[n]) : "–",
      ];
      return element("tr", {}, [element("th", { scope: "row" }, [String(n + 1)])].concat(
        cells.map(function (text) { return element("td", {}, [text]); })
      ));
    });
    this.body.replaceChildren.apply(this.body, rows);
  };

  function panel(title) {
    var image = element("img", { class: "vv-image dark-light", loading: "lazy", width: "224", height: "224", alt: "" });
    var over = element("img", { class: "vv-over dark-light", loading: "lazy", width: "224", height: "224", alt: "" });
    var words = element("p", { class: "vv-note" });
    var frame = element("div", { class: "vv-frame" }, [image, over, words]);
    var figure = element("figure", { class: "vv-panel" }, [element("figcaption", { class: "vv-caption" }, [title]), frame]);
    over.hidden = words.hidden = true;
    return { figure: figure, image: image, over: over, words: words };
  }

  function picture(place, source, words) {
    place.image.hidden = false;
    place.words.hidden = true;
    place.image.alt = words;
    if (place.image.getAttribute("src") !== source) {
      place.image.src = source;
    }
  }

  function layer(place, source) {
    place.over.hidden = !source;
    if (source && place.over.getAttribute("src") !== source) {
      place.over.src = source;
    }
  }

  function note(place, words) {
    place.image.hidden = true;
    place.words.hidden = false;
    place.words.textContent = words;
  }

  /* ---- charts ---- */

  function chart(id, label) {
    var title = drawing("title", { id: "vv-title-" + id }), desc = drawing("desc", { id: "vv-desc-" + id });
    var marks = drawing("g");
    var node = drawing("svg", {
      class: "vv-chart vv-" + id, viewBox: "0 0 " + CHART.width + " " + CHART.height, role: "img",
      "aria-labelledby": title.id + " " + desc.id,
    }, [title, desc, marks]);
    return { node: node, title: title, desc: desc, marks: marks, label: label };
  }

  function across(seconds, value) {
    var first = seconds[0], span = seconds[seconds.length - 1] - first || 1;
    return CHART.left + (value - first) / span * (CHART.width - CHART.left - CHART.right);
  }

  function plot(into, seconds, values, top, at, title, middle) {
    var bottom = CHART.height - CHART.bottom, up = function (v) { return bottom - v / top * (bottom - CHART.top); };
    var points = values.map(function (v, n) { return [across(seconds, seconds[n]), up(v)]; });
    var say = function (v) { return middle === null ? bits(v) : v.toFixed(2); };
    var line = function (a, b, c, d, kind) { return drawing("line", { x1: a, y1: b, x2: c, y2: d, class: kind }); };
    var words = function (x, y, text, anchor) { return drawing("text", { x: x, y: y, "text-anchor": anchor }, [text]); };
    var last = CHART.width - CHART.right, marks = [
      line(CHART.left, bottom, last, bottom, "vv-axis"), line(CHART.left, CHART.top, CHART.left, bottom, "vv-axis"),
      words(CHART.left - 5, bottom, "0", "end"), words(CHART.left - 5, CHART.top + 8, short(top), "end"),
      words(CHART.left, CHART.top - 10, into.label, "start"),
      words(CHART.left, CHART.height - 8, seconds[0].toFixed(2) + " s", "start"),
      words(last, CHART.height - 8, seconds[seconds.length - 1].toFixed(2) + " s", "end"),
      line(points[at][0], CHART.top, points[at][0], bottom, "vv-now"),
    ];
    if (middle !== null) {
      marks.push(line(CHART.left, up(middle), last, up(middle), "vv-middle"));
    }
    marks.push(drawing("polyline", { points: points.map(function (p) { return p.join(","); }).join(" "), class: "vv-line" }));
    points.forEach(function (p, n) {
      marks.push(drawing("circle", { cx: p[0], cy: p[1], r: n === at ? 6 : 3, class: "vv-point" }));
    });
    into.title.textContent = title;
    into.desc.textContent = "From " + say(Math.min.apply(null, values)) + " to " + say(Math.max.apply(null, values)) +
      " in " + values.length + " frames; now " + say(values[at]) + ".";
    into.marks.replaceChildren.apply(into.marks, marks);
  }

  function nearest(event, node, seconds) {
    var box = node.getBoundingClientRect();
    var x = (event.clientX - box.left) / box.width * CHART.width, best = 0;
    seconds.forEach(function (s, n) {
      if (Math.abs(across(seconds, s) - x) < Math.abs(across(seconds, seconds[best]) - x)) {
        best = n;
      }
    });
    return best;
  }

  /* ---- time ---- */

  Viewer.prototype.show = function (frame) {
    this.choice.frame = Math.max(0, Math.min(this.current().count - 1, frame));
    this.draw();
  };

  Viewer.prototype.toggle = function () {
    if (this.timer !== null) {
      this.pause();
      return;
    }
    var self = this, last = this.current().count - 1;
    // A sentence for each frame would be read out over the next one.
    this.status.setAttribute("aria-live", "off");
    this.play.textContent = "Pause";
    if (this.choice.frame >= last) {
      this.show(0);
    }
    this.timer = window.setInterval(function () {
      self.show(self.choice.frame + 1);
      if (self.choice.frame >= last) {
        self.pause();
      }
    }, STEP);
  };

  Viewer.prototype.pause = function () {
    if (this.timer === null) {
      return;
    }
    window.clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
    this.status.setAttribute("aria-live", "polite");
    var self = this, text = this.status.textContent;
    // Only what changes is read out: so the place where it stopped is written once more.
    this.status.textContent = "";
    window.setTimeout(function () {
      if (!self.status.textContent) {
        self.say(text);
      }
    }, 60);
  };

  Viewer.prototype.onKey = function (event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    var kind = event.target.tagName, at = this.choice.frame;
    var slider = event.target === this.slider;
    var native = kind === "SELECT" || (event.target.className === "vv-room" && event.key !== " ");
    var pressed = kind === "BUTTON" || kind === "SUMMARY" || event.target === this.outline;
    var steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: Infinity };
    if (native) {
      // The theme turns pages with arrow keys.
      event.stopPropagation();
    } else if (event.key === " " && !pressed) {
      this.take(event);
      this.toggle();
    } else if (event.key in steps) {
      event.stopPropagation();
      if (!slider) {
        this.take(event);
        this.pause();
        this.show(steps[event.key]);
      }
    }
  };

  Viewer.prototype.take = function (event) {
    event.preventDefault();
    event.stopPropagation();
  };

  /* ---- the address ---- */

  Viewer.prototype.read = function () {
    var given = new URLSearchParams(window.location.hash.slice(1)), choice = this.choice;
    ["clip", "detector", "method", "layer"].forEach(function (name) {
      choice[name] = given.get(name) || choice[name];
    });
    if (given.get("frame")) {
      choice.frame = parseInt(given.get("frame"), 10) - 1 || 0;
    }
  };

  Viewer.prototype.write = function () {
    var choice = this.choice;
    var hash = "#" + new URLSearchParams({
      clip: choice.clip, detector: choice.detector, method: choice.method, layer: choice.layer,
      frame: String(choice.frame + 1),
    }).toString();
    this.written = hash;
    // The page as it is first opened keeps its plain address, and others' anchors stay theirs.
    if (this.started && window.location.hash !== hash) {
      window.history.replaceState(window.history.state, "", hash);
    }
    this.started = true;
  };

  Viewer.prototype.onHash = function () {
    if (window.location.hash === this.written || window.location.hash.indexOf("clip=") < 0) {
      return;
    }
    this.pause();
    this.read();
    this.update(true);
  };

  /* ---- start ---- */

  function fail(root, words) {
    var link = element("a", { href: root.dataset.instead || "#" }, ["Relevance videos"]);
    root.replaceChildren(element("p", { class: "vv-missing", role: "alert" }, [words]), element("p", {}, [link]));
  }

  function start() {
    var root = document.getElementById("viba-viewer");
    if (!root) {
      return;
    }
    var source = root.dataset.source, script = element("script", { src: source });
    script.addEventListener("error", function () { fail(root, MISSING); });
    script.addEventListener("load", function () {
      var data = window.VIBA_VIEWER;
      if (!data || data.version !== 2 || !data.clips.length) {
        fail(root, "The viewer's data are of another version than this page. " + MISSING);
        return;
      }
      root.viewer = new Viewer(root, data, source.slice(0, source.lastIndexOf("/") + 1));
    });
    document.head.append(script);
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
