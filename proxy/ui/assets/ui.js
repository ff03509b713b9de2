// The pages for people: uploads with progress, jobs as they proceed, comparing, copying. Reading works without it.

const AT_ONCE = 3;
const FOLLOWED = 2; // browsers have six connections to a host, and uploads need some

/** Work in the order in which it came, some of it at once. */
class Line {
  running = 0;
  #waiting = [];
  #most;

  constructor(most) { this.#most = most; }

  add(work) {
    this.#waiting.push(work);
    this.#next();
  }

  async #next() {
    if (this.running >= this.#most || !this.#waiting.length) return;
    this.running += 1;
    await this.#waiting.shift()();
    this.running -= 1;
    this.#next();
  }
}

follow(document);
document.addEventListener("htmx:afterSettle", (event) => follow(event.target));
const uploader = document.getElementById("uploader");
if (uploader) receiveFiles(uploader);

function follow(root) {
  for (const box of root.querySelectorAll(".compare:not(.over)")) compareByHand(box);
  for (const link of root.querySelectorAll("[data-part]")) link.onclick = replacePart;
  for (const place of root.querySelectorAll("[data-live]")) {
    followJob(place, place.dataset.live).then(() => location.reload(), () => {}); // its buttons are others now
  }
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = async () => {
      const label = button.querySelector("span");
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      label.textContent = "Copied";
      setTimeout(() => { label.textContent = "Copy"; }, 1500);
    };
  }
}

/** Replace the part of the page that has a link with the same part of the page that the link leads to. */
async function replacePart(event) {
  event.preventDefault();
  const link = event.currentTarget;
  const answer = await fetch(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = page.querySelector(link.dataset.part);
  if (!part) { location.assign(link.href); return; } // the page itself says why
  link.closest(link.dataset.part).replaceWith(part);
  part.tabIndex = -1;
  part.focus();
  follow(part);
}

/** Show a job in `place` as it proceeds; resolves when it has ended, and rejects if the service does not tell. */
function followJob(place, address) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(address);
    events.addEventListener("error", () => { // a lost connection is opened again, a refused one is not
      if (events.readyState === EventSource.CLOSED) reject(new Error("refused"));
    });
    events.addEventListener("news", (event) => { place.innerHTML = event.data; });
    events.addEventListener("end", (event) => {
      events.close();
      place.innerHTML = event.data;
      follow(place);
      resolve(place);
    });
  });
}

function receiveFiles(form) {
  const drop = document.getElementById("drop");
  const chooser = document.getElementById("files");
  const uploads = new Line(AT_ONCE);
  const followed = new Line(FOLLOWED);

  const take = (files) => {
    for (const file of files) {
      const row = addRow(file);
      uploads.add(async () => {
        const job = await send(form, file, row);
        if (job) followed.add(() => watch(form, file, row, job));
      });
    }
    say(`${files.length} ${files.length === 1 ? "photograph" : "photographs"} chosen`);
  };
  chooser.addEventListener("change", () => { take(chooser.files); chooser.value = ""; });
  // On the whole page: a file that misses the box would be opened instead, and end the uploads.
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  window.addEventListener("beforeunload", (event) => { if (uploads.running) event.preventDefault(); });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function addRow(file) {
  const row = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
  row.querySelector(".name").textContent = file.name;
  row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
  document.getElementById("uploads").append(row);
  return row;
}

/** Order an upload, and put the file there; returns its job, or nothing if that failed. */
async function send(form, file, row) {
  const progress = row.querySelector("progress");
  try {
    if (file.size > Number(form.dataset.most)) throw new Error("The file is larger than the limit.");
    state(row, "uploads", "warn");
    const order = await ordered(form, file);
    const job = await put(order.path, file, (part) => { progress.value = 100 * part; });
    progress.hidden = true;
    state(row, "renders", "warn");
    return job;
  } catch (error) {
    progress.hidden = true;
    state(row, "failed", "bad");
    explain(row, error.message);
    say(`${file.name}: ${error.message}`);
    return undefined;
  }
}

/** Follow the job of a file that was uploaded. */
async function watch(form, file, row, job) {
  try {
    const place = await followJob(row.querySelector(".live"), `${form.dataset.jobs}${job.id}/events`);
    const failed = place.querySelector(".steps .failed");
    state(row, failed ? "failed" : "done", failed ? "bad" : "good");
    say(`${file.name}: ${failed ? "failed" : "done"}`);
  } catch {
    state(row, "stored", "good");
    explain(row, "The photograph is stored, and its job goes on. This page cannot follow it: look at Jobs.");
  }
}

function explain(row, text) {
  const reason = document.createElement("p");
  reason.textContent = text;
  row.querySelector(".live").replaceChildren(reason);
}

async function ordered(form, file) {
  const body = new URLSearchParams(new FormData(form));
  body.set("name", file.name);
  const answer = await fetch(form.dataset.order, { method: "POST", body });
  if (!answer.ok) throw new Error(await reasonOf(answer));
  return answer.json();
}

/** The sentence of an error page. */
async function reasonOf(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("main .lead")?.textContent ?? `The service answered ${answer.status}.`;
}

function put(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new Error(request.response?.detail ?? `The service answered ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The connection was lost; drop the file again."));
    request.send(file);
  });
}

function state(row, word, tone) {
  const badge = row.querySelector(".state");
  badge.textContent = word;
  badge.className = `badge state ${tone}`;
}

function say(text) { document.getElementById("drop-result").textContent = text; }

/** Lay the size over the original, with a line between them that moves, and a zoom. */
function compareByHand(box) {
  const tools = box.parentElement.querySelector(".compare-tools");
  const [size, place, zoom] = [".pick", ".place", ".zoom"].map((name) => tools.querySelector(name));
  const after = box.querySelector(".after");
  const { width, height } = box.querySelector("img").attributes;
  box.style.aspectRatio = `${width.value} / ${height.value}`; // as high as the picture, unless that is too high
  box.classList.add("over");
  tools.hidden = false;
  const show = () => {
    box.style.setProperty("--place", `${place.value}%`);
    box.style.setProperty("--zoom", zoom.value);
  };
  const point = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    const [x, y] = [100 * (event.clientX - left) / width, 100 * (event.clientY - top) / height];
    place.value = x;
    box.style.setProperty("--at", `${x}% ${y}%`);
    show();
  };
  for (const input of [place, zoom]) input.addEventListener("input", show);
  box.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) point(event); });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!step) return;
    event.preventDefault();
    place.value = Number(place.value) + step;
    show();
  });
  size.addEventListener("change", () => {
    after.querySelector("img").src = size.value;
    after.querySelector("figcaption").textContent = `Size ${size.selectedOptions[0].textContent}`;
  });
  show();
}
