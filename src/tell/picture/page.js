/*
 * Steps by keyboard and by link. Without this script the page shows all steps below each other, and
 * lacks nothing.
 */
'use strict';
const root = document.documentElement;
const articles = [...document.querySelectorAll('article')];
const several = document.querySelector('.mx') !== null;
root.classList.add('js', 'one');
if (several) root.classList.add('pick');

const stepsOf = (article) => [...article.querySelectorAll('.st')];
const current = () => document.querySelector('.st.cur');

/** The step that a page or an article opens with: the one it is about. */
function first(article) {
  const steps = stepsOf(article);
  return article.querySelector('.st.mk') ?? steps[steps.length - 1];
}

function button(text, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.addEventListener('click', act);
  return made;
}

function navigation(article) {
  const nav = document.createElement('nav');
  nav.className = 'nav';
  nav.setAttribute('aria-label', 'steps');
  const all = button('all steps', () => {
    const one = root.classList.toggle('one');
    all.setAttribute('aria-pressed', String(!one));
  });
  all.setAttribute('aria-pressed', 'false');
  const where = document.createElement('output');
  nav.append(
    button('← previous', () => move(-1)),
    where,
    button('next →', () => move(1)),
    all,
  );
  article.querySelector('.sts').prepend(nav);
  article.classList.add('sp');
}

/** Shows a step, and the article it is in. */
function show(step) {
  const article = step.closest('article');
  for (const one of document.querySelectorAll('.cur')) one.classList.remove('cur');
  for (const one of document.querySelectorAll('[aria-current]')) {
    one.removeAttribute('aria-current');
  }
  step.classList.add('cur');
  article.classList.add('cur');
  const steps = stepsOf(article);
  article.querySelector('.nav output').textContent =
    `step ${steps.indexOf(step)} of ${steps.length - 1}`;
  article.querySelector(`.tl a[href="#${step.id}"]`).setAttribute('aria-current', 'step');
}

/** Shows a step, names it in the address, and brings it into view. */
function go(step) {
  show(step);
  history.replaceState(null, '', `#${step.id}`);
  step.tabIndex = -1;
  step.focus({ preventScroll: true });
  step.scrollIntoView({ block: 'nearest' });
  const row = document.querySelector('.tl a[aria-current]');
  if (root.classList.contains('one')) row.scrollIntoView({ block: 'nearest' });
}

function move(by) {
  const step = current();
  if (step === null) return;
  const steps = stepsOf(step.closest('article'));
  const to = Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + by));
  go(steps[to]);
}

/** What the address names. */
function follow() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named?.classList.contains('st')) show(named);
  else if (named?.tagName === 'ARTICLE') show(first(named));
  else if (!several) for (const article of articles) show(first(article));
  const wide = matchMedia('(min-width: 75rem)').matches;
  if (named !== null) (wide ? named.closest('article') : named)?.scrollIntoView();
}

const KEYS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const by = KEYS[event.key];
  if (by === undefined || current() === null) return;
  event.preventDefault();
  move(by);
});
addEventListener('hashchange', follow);
for (const article of articles) navigation(article);
follow();
