// Live parts, copy buttons, questions before something is removed. Every page works without it.
"use strict";
(() => {
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

  // A live part is drawn by the server again and again; its stream ends when the page is left.
  each("[data-live]", part => {
    const stream = new EventSource(part.dataset.live);
    let shown = part.innerHTML;
    stream.addEventListener("part", event => {
      if (event.data === shown) return;
      shown = event.data;
      const focused = document.activeElement;
      if (focused && part.contains(focused) && focused !== part) return;
      part.innerHTML = event.data;
      wire(part);
    });
    stream.addEventListener("go", event => { stream.close(); location.assign(event.data); });
    addEventListener("pagehide", () => stream.close());
  });

  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    const text = code.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    const label = button.textContent;
    button.textContent = button.dataset.done;
    button.classList.add("copied");
    setTimeout(() => { button.textContent = label; button.classList.remove("copied"); }, 1600);
  };

  // The middle of the picture, as a square: what is seen here is what is sent.
  function picture(box) {
    box.hidden = false;
    const [input, canvas, button, error] = ["input", "canvas", "button", ".error"].map(part => box.querySelector(part));
    input.addEventListener("change", async () => {
      error.textContent = "";
      const file = input.files[0];
      if (!file) return;
      try {
        const image = await createImageBitmap(file);
        const side = Math.min(image.width, image.height);
        canvas.width = canvas.height = Math.min(side, 640);
        canvas.getContext("2d").drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side,
          0, 0, canvas.width, canvas.height);
        canvas.hidden = button.hidden = false;
      } catch { error.textContent = file.name; }
    });
    button.addEventListener("click", () => canvas.toBlob(async blob => {
      button.disabled = true;
      const headers = { "content-type": "image/jpeg", "x-form-token": box.dataset.token };
      const answer = await fetch(box.dataset.picture, { method: "POST", headers, body: blob });
      if (answer.ok) location.reload();
      else { error.textContent = await answer.text(); button.disabled = false; }
    }, "image/jpeg", 0.92));
  }

  // In the reader's own time; without this script it is UTC, and says so.
  const two = number => String(number).padStart(2, "0");
  function local(node) {
    const [, day, clock] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/.exec(node.textContent) || [];
    if (!day) return;
    const at = new Date(`${day}T${clock}Z`);
    node.title = node.textContent;
    if (node.localName === "time") node.dateTime = at.toISOString();
    node.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `
      + [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  }

  function wire(root) {
    root.querySelectorAll("time.time, td a bdi").forEach(local);
    root.querySelectorAll(".copy button").forEach(button => {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    });
    root.querySelectorAll("[data-print]").forEach(button => {
      button.hidden = false;
      button.addEventListener("click", () => print());
    });
    // A form is sent once; a slow cloud must not be asked twice.
    root.querySelectorAll("form").forEach(form => form.addEventListener("submit", event => {
      const question = form.dataset.confirm;
      if (question && !confirm(question)) { event.preventDefault(); return; }
      if (form.method !== "post") return;
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      setTimeout(() => form.querySelectorAll("button").forEach(button => { button.disabled = true; }));
    }));
    root.querySelectorAll("[data-picture]").forEach(picture);
  }
  wire(document);
  addEventListener("pageshow", event => {
    if (!event.persisted) return;
    each("form[data-sent]", form => { delete form.dataset.sent; });
    each("form button", button => { button.disabled = false; });
  });

  const wrong = document.querySelector(".field.wrong input, .field.wrong select, .field.wrong textarea");
  if (wrong) wrong.focus();
})();
