// Lets the sliders of one figure choose its image. Called with the element of the figure.
(function (box) {
  var data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  var sliders = Array.prototype.slice.call(box.querySelectorAll('input'));
  var image = box.querySelector('img'), status = box.querySelector('[role=status]');
  function show() {
    var index = 0;
    sliders.forEach(function (slider, i) {
      var value = data.values[i][slider.value];
      index = index * data.values[i].length + Number(slider.value);
      slider.setAttribute('aria-valuetext', value);
      slider.nextElementSibling.textContent = value;
    });
    image.src = data.images[index];
    image.alt = data.alts[index];
    status.textContent = data.alts[index];
  }
  sliders.forEach(function (slider) { slider.disabled = false;
    slider.addEventListener('input', show); });
})
