// A page on paper shows what a click would: folded answers, and an image instead of a video.
() => {
  document.querySelectorAll('details:not(.viba-provenance)').forEach(d => { d.open = true; });
  document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
  document.querySelectorAll('video').forEach(v => {
    const p = document.createElement('p');
    const i = document.createElement('img');
    i.src = v.poster; i.alt = v.getAttribute('aria-label') || '';
    p.append(i, ' (a video in the HTML book)');
    if (v.poster) { v.replaceWith(p); } else { v.remove(); }
  });
  document.querySelectorAll('a[href]').forEach(a => {
    const h = a.getAttribute('href');
    if (!h.startsWith('#') && !/^https?:/.test(h)) { a.removeAttribute('href'); }
  });
}
