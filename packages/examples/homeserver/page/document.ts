// The page as the browser gets it first: everything that stands still. The scripts fill in what moves.

import { html } from 'hono/html';

interface Trick {
  readonly module: string;
  readonly label: string;
  readonly message: string;
}

/** Messages that modules of the example configuration have something to say to. */
const tricks: readonly Trick[] = [
  { module: 'word-list', label: 'a listed word', message: 'Meet me at the casino' },
  { module: 'rewrite-event', label: 'a tracking link', message: 'Look: https://example.org/page?utm_source=mail&id=7' },
];

const attacks: readonly Trick[] = [
  { module: 'rogue', label: 'loop for ever', message: '!rogue loop' },
  { module: 'rogue', label: 'throw', message: '!rogue throw' },
  { module: 'rogue-abort', label: 'abort the process', message: '!bomb abort' },
];

/** @param modules ids of those that are configured: what they would do is offered */
export function renderPage(path: string, serverName: string, modules: readonly string[]) {
  const buttons = (offered: readonly Trick[]) =>
    offered
      .filter(({ module }) => modules.includes(module))
      .map(
        ({ module, label, message }) =>
          html`<button type="button" data-message="${message}" title="Sends “${message}”, which ${module} listens to">${label}</button>`,
      );
  return html`<!doctype html>
<html lang="en" data-server="${serverName}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Bulkhead on ${serverName}</title>
<link rel="icon" href="${path}/icon.svg">
<link rel="stylesheet" href="${path}/page.css">
<script type="module" src="${path}/main.js"></script>
</head>
<body>
<header>
  <h1><img src="${path}/icon.svg" alt="" width="22" height="22"> Bulkhead</h1>
  <p>A Matrix homeserver, and the modules that it does not have to trust.</p>
  <div id="account" hidden><span id="me"></span> <button type="button" id="logout">Log out</button></div>
</header>
<main>
  <section id="entrance" aria-labelledby="entrance-title">
    <h2 id="entrance-title">Come in</h2>
    <p>Take a name, then open this page in a second window and take another.</p>
    <form method="post">
      <label>Name <input name="username" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="100" required></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" maxlength="512" required></label>
      <p class="actions">
        <button name="how" value="register" class="primary">Register</button>
        <button name="how" value="login">Log in</button>
      </p>
      <p class="error" role="alert" hidden></p>
    </form>
    <noscript><p class="error">This page is a Matrix client, which needs JavaScript.</p></noscript>
  </section>
  <section id="chat" aria-labelledby="room" hidden>
    <h2 id="room"></h2>
    <ol id="timeline" role="log" aria-label="Messages" tabindex="0"></ol>
    <form id="composer">
      <label class="unseen" for="message">Message</label>
      <input id="message" autocomplete="off" placeholder="Say something" maxlength="10000">
      <button class="primary">Send</button>
    </form>
    <div id="tricks" role="group" aria-label="Try the modules">
      <p>Say ${buttons(tricks)}</p>
      <p>Let a module ${buttons(attacks)}</p>
    </div>
  </section>
  <section id="house" aria-label="The modules">
    <p id="feed-state" role="status" hidden></p>
    <div id="incidents" role="status" aria-label="What happened to modules"></div>
    <table aria-label="Modules">
      <thead><tr>
        <th scope="col">Module<th scope="col">State<th scope="col">Calls<th scope="col">Failed
        <th scope="col"><span aria-hidden="true">Rest.</span><span class="unseen">Restarts</span>
        <th scope="col">Memory<th scope="col">CPU
      </tr></thead>
      <tbody id="modules"></tbody>
    </table>
    <div id="decisions-head">
      <h2 id="decisions-title">Decisions</h2>
      <label><input type="checkbox" id="routine"> what every request asks</label>
    </div>
    <ol id="decisions" aria-labelledby="decisions-title" tabindex="0"></ol>
  </section>
</main>
</body>
</html>`;
}
