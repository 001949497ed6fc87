/* The six units of chapter 1 with sliders: the computation of the cell `descend`, in the browser.
   A classic script, since a page that is opened from a file may not load modules.
   tests/book/test_toy.py compares it with the cell. */
(function () {
  "use strict";

  var R = [2, 1, -1, 0.5, 3, -2];
  var WEIGHT = [2, 1, 0, 0, 0, 0.5];
  var DRAWS = [
    [0.13, -0.13, 0.64, 0.1, -0.54, 0.36],
    [1.3, 0.95, -0.7, -1.27, -0.62, 0.04],
    [-2.33, -0.22, -1.25, -0.73, -0.54, -0.32],
    [0.41, 1.04, -0.13, 1.37, -0.67, 0.35],
  ];
  var SLIDERS = [
    { key: "beta", text: "weight of the information, beta", min: 0, max: 2, step: 0.05, value: 0.3 },
    { key: "noise", text: "standard deviation of the noise", min: 0.5, max: 2, step: 0.1, value: 1 },
    { key: "steps", text: "steps of gradient descent", min: 0, max: 300, step: 5, value: 100 },
  ];

  function sigmoid(x) { return 1 / (1 + Math.exp(-x)); }

  function mean(values) {
    return values.reduce(function (a, b) { return a + b; }, 0) / values.length;
  }

  /* Loss, gradient, bits and p at one alpha. */
  function objective(alpha, beta, noise) {
    var lam = alpha.map(sigmoid);
    var logits = DRAWS.map(function (e) {
      return lam.reduce(function (sum, l, i) {
        return sum + WEIGHT[i] * (l * R[i] + (1 - l) * noise * e[i]);
      }, 0);
    });
    var nats = lam.map(function (l, i) {
      return 0.5 * (Math.pow(l * R[i] / noise, 2) + Math.pow(1 - l, 2) - 1) - Math.log(1 - l);
    });
    var loss = mean(logits.map(function (x) { return Math.log1p(Math.exp(-x)); })) + beta * mean(nats);
    var gradient = lam.map(function (l, i) {
      var fit = mean(DRAWS.map(function (e, k) {
        return -sigmoid(-logits[k]) * WEIGHT[i] * (R[i] - noise * e[i]);
      }));
      var price = l * Math.pow(R[i] / noise, 2) - (1 - l) + 1 / (1 - l);
      return (fit + beta * price / R.length) * l * (1 - l);
    });
    return {
      loss: loss, gradient: gradient, lam: lam, p: mean(logits.map(sigmoid)),
      bits: nats.map(function (n) { return n / Math.LN2; }),
    };
  }

  function descend(beta, noise, steps) {
    var alpha = R.map(function () { return 3; });
    for (var step = 0; step < steps; step++) {
      var slope = objective(alpha, beta, noise).gradient;
      alpha = alpha.map(function (a, i) { return a - 0.5 * slope[i]; });
    }
    return objective(alpha, beta, noise);
  }

  /* ---- page ---- */

  function fill(node, attributes, children) {
    Object.keys(attributes).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    (children || []).forEach(function (child) { node.append(child); }); // a string becomes text
    return node;
  }

  function element(name, attributes, children) {
    return fill(document.createElement(name), attributes, children);
  }

  function drawing(name, attributes, children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }

  /* One row for each unit: its bar is as long as its signal fraction. */
  function chart(found) {
    var rows = [];
    R.forEach(function (r, i) {
      var y = 32 + 30 * i;
      rows.push(
        drawing("text", { x: 0, y: y + 14 }, ["r " + r + ", w " + WEIGHT[i]]),
        drawing("rect", { x: 96, y: y, width: 120, height: 18, class: "toy-track" }),
        drawing("rect", { x: 96, y: y, width: 120 * found.lam[i], height: 18, class: "toy-bar" }),
        drawing("text", { x: 222, y: y + 14 }, [found.lam[i].toFixed(2)]),
        drawing("text", { x: 262, y: y + 14 }, [found.bits[i].toFixed(2)])
      );
    });
    return [
      drawing("text", { x: 0, y: 18 }, ["unit"]),
      drawing("text", { x: 96, y: 18 }, ["signal fraction, lambda"]),
      drawing("text", { x: 262, y: 18 }, ["bits"]),
    ].concat(rows);
  }

  function sentence(found) {
    var total = found.bits.reduce(function (a, b) { return a + b; }, 0);
    return "Loss " + found.loss.toFixed(3) + ": the units have " + total.toFixed(2) +
      " bits in total, and the class keeps a mean probability of " + found.p.toFixed(3) + ".";
  }

  function start(root) {
    var svg = drawing("svg", { viewBox: "0 0 310 214", role: "img" });
    var said = element("p", { role: "status", "aria-live": "polite", id: "toy-said" });
    var inputs = {};
    function show() {
      var found = descend(+inputs.beta.value, +inputs.noise.value, +inputs.steps.value);
      svg.setAttribute("aria-label", "Signal fractions of the six units: " +
        found.lam.map(function (l) { return l.toFixed(2); }).join(", ") + ".");
      svg.replaceChildren.apply(svg, chart(found));
      said.textContent = sentence(found);
    }
    var fields = SLIDERS.map(function (s) {
      var id = "toy-" + s.key, value = element("output", { for: id }, [String(s.value)]);
      inputs[s.key] = element("input", {
        id: id, type: "range", min: s.min, max: s.max, step: s.step, value: s.value,
      });
      inputs[s.key].addEventListener("input", function () {
        value.textContent = inputs[s.key].value;
        show();
      });
      // The theme turns the page at arrow keys; they belong to the slider here.
      inputs[s.key].addEventListener("keydown", function (event) { event.stopPropagation(); });
      return element("p", {}, [element("label", { for: id }, [s.text]), inputs[s.key], value]);
    });
    root.replaceChildren.apply(root, fields.concat([svg, said]));
    show();
  }

  window.VIBA_TOY = { descend: descend };
  var root = document.getElementById("viba-toy");
  if (root) {
    start(root);
  }
})();
