// Keeps the page true: listens to the API's stream, fetches the part that changed, and asks
// before it acts. Nothing is kept here; the server's page is the state.

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const told = document.getElementById("told");

/** How long to wait before a stream that was answered with an error is asked for again. */
const AGAIN = 1000;

let fetching = false;
let again = false;

/** Fetches the live part; one fetch at a time, and one more if something changed meanwhile. */
async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(live.dataset.part, { credentials: "same-origin" });
    if (answer.redirected) {
      location.reload();
      return;
    }
    if (answer.ok) {
      replace(await answer.text());
      connection.textContent = "";
    } else {
      connection.textContent = "the controller cannot show this page";
    }
  } catch {
    connection.textContent = "the controller does not answer; this is the last that was seen";
  } finally {
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

/** Puts what is new in the part in place, and the focus back where it was. */
function replace(text) {
  const focused = document.activeElement?.id;
  const fresh = live.cloneNode(false);
  fresh.innerHTML = text;
  renew(live, fresh);
  if (focused && document.activeElement?.id !== focused) {
    document.getElementById(focused)?.focus();
  }
}

/**
 * Makes `old` read like `fresh`. What reads alike stays in place: a notice is announced once, and
 * text that somebody has selected stays selected.
 */
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) {
    return;
  }
  const pairs = [...old.childNodes].map((child, index) => [child, fresh.childNodes[index]]);
  const alike = old.cloneNode(false).isEqualNode(fresh.cloneNode(false));
  if (alike && pairs.length === fresh.childNodes.length) {
    for (const [child, next] of pairs) {
      renew(child, next);
    }
  } else if (alike) {
    old.replaceChildren(...fresh.childNodes);
  } else {
    old.replaceWith(fresh);
  }
}

function listen() {
  const stream = new EventSource(live.dataset.stream);
  stream.onopen = () => {
    connection.textContent = "";
    refresh();
  };
  // The fetch finds out whether anybody is there. The browser connects again by itself, but not
  // after an answer that was no stream.
  stream.onerror = async () => {
    await refresh();
    if (document.querySelector("[data-over]")) {
      stream.close();
    } else if (stream.readyState === EventSource.CLOSED) {
      setTimeout(listen, AGAIN);
    }
  };
  for (const kind of ["rollout", "changed"]) {
    stream.addEventListener(kind, refresh);
  }
}

/** Asks in a dialog; answers the reason given, or null. */
function ask(question) {
  const dialog = document.createElement("dialog");
  const form = document.createElement("form");
  form.method = "dialog";
  const text = document.createElement("p");
  text.textContent = question;
  const label = document.createElement("label");
  label.textContent = "Reason (goes on record)";
  const why = document.createElement("input");
  why.name = "why";
  why.autocomplete = "off";
  label.append(why);
  const row = document.createElement("p");
  const yes = button("Yes", "yes", "confirm");
  const no = button("No", "no", "refrain");
  row.append(yes, no);
  form.append(text, label, row);
  dialog.append(form);
  dialog.setAttribute("aria-label", question);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? why.value : null);
      dialog.remove();
    });
  });
}

function button(text, value, id) {
  const made = document.createElement("button");
  made.type = "submit";
  made.value = value;
  made.id = id;
  made.textContent = text;
  return made;
}

function asked(action, stage, why) {
  switch (action) {
    case "promote":
      return { stage, why };
    case "resume":
      return {};
    default:
      return { why };
  }
}

async function act(control) {
  if (control.getAttribute("aria-disabled") === "true") {
    return;
  }
  // The stage is the one that was on the page when the button was pressed: should it end by
  // itself meanwhile, the next one is not ended in its place.
  const { rollout, stage } = control.closest("[data-rollout]").dataset;
  const action = control.dataset.action;
  const why = await ask(control.dataset.question);
  if (why === null) {
    return;
  }
  told.textContent = "";
  try {
    const answer = await fetch(`/api/rollouts/${rollout}/${action}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json", "x-sluice": "1" },
      body: JSON.stringify(asked(action, stage, why)),
    });
    if (!answer.ok) {
      const said = await answer.json().catch(() => null);
      told.textContent = said?.error?.message ?? `refused (${answer.status})`;
      return;
    }
    refresh();
  } catch {
    told.textContent = "the controller does not answer; it is not known whether anything was done";
  }
}

document.addEventListener("click", (event) => {
  const control = event.target.closest?.("button[data-action]");
  if (control) {
    act(control);
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const control = document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
  if (control) {
    event.preventDefault();
    act(control);
  }
});

if (live?.dataset.stream) {
  listen();
}
